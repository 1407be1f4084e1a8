package ring

import (
	"slices"

	"github.com/zeebo/xxh3"
)

// sectors is how many virtual nodes a node has for each unit of its weight: one in each of so many
// equal sectors of the circle. More even out what a node wins; 1024 is where the partitions, not
// the points, have become the grain.
const sectors = 1 << 10

// vnodes is consistent hashing (Karger et al., "Consistent Hashing and Random Trees", 1997). Hashes
// are a circle of 2^64 points; a node puts virtual nodes on it, and a partition, at the point where
// its hashes begin, likes the nodes in the order in which it meets them clockwise. With the bounds
// that the placement holds it is consistent hashing with bounded loads (Mirrokni, Thorup and
// Zadimoghaddam, 2016).
//
// Each unit of weight puts one point into each sector. Its places within the sectors are a
// permutation of evenly spread ones. So it is close to some partitions, far from others, and as
// lucky as any other.
type vnodes struct{}

func (vnodes) Name() string { return "ring" }

func (vnodes) Rank(nodes []Node, partitions int) Ranking {
	r := &circle{step: ^uint64(0)/uint64(partitions) + 1, nodes: len(nodes), met: make([]uint32, len(nodes))}
	for i, n := range nodes {
		for unit := range n.Weight {
			seed := mix(xxh3.HashString(n.Name) + uint64(unit)*golden)
			r.units = append(r.units, vnode{permutation: newPermutation(seed, sectors), seed: seed, node: uint16(i)})
		}
	}
	for i := range r.sorted {
		r.sorted[i].sector = -1
	}
	return r
}

// vnode is one unit of a node's weight.
type vnode struct {
	permutation
	seed uint64
	node uint16
}

// circle walks the points of the ring. A sector's points are made and sorted when a walk reaches
// it; the two latest are kept, since partitions are ranked in order and a walk rarely goes beyond
// the next sector.
type circle struct {
	step   uint64 // between the beginnings of two partitions; 0 with one partition, which begins at 0
	nodes  int
	units  []vnode
	sorted [2]sector // by sector number modulo 2
	met    []uint32  // by node: the walk in which it was last met
	walk   uint32
}

type sector struct {
	sector int         // -1 before the first
	points []Candidate // the cost is the distance from the sector's beginning
}

func (c *circle) Append(dst []Candidate, partition, limit int) []Candidate {
	limit = min(limit, c.nodes)
	const width = 1 << 64 / sectors
	position := uint64(partition) * c.step
	first := int(position / width)
	offset := position % width
	c.walk++
	found := 0
	// Every node has a point in every sector, so one sector beyond the first always ends the walk.
	for turn := 0; found < limit; turn++ {
		points := c.sectorPoints((first + turn) % sectors)
		from := 0
		if turn == 0 {
			from, _ = slices.BinarySearchFunc(points, offset, func(p Candidate, offset uint64) int {
				return compareCandidates(p, Candidate{Cost: offset})
			})
		}
		for _, point := range points[from:] {
			if c.met[point.Node] == c.walk {
				continue
			}
			c.met[point.Node] = c.walk
			distance := uint64(turn)*width + point.Cost - offset
			dst = append(dst, Candidate{Cost: distance, Node: point.Node})
			if found++; found == limit {
				break
			}
		}
	}
	return dst
}

func (c *circle) sectorPoints(number int) []Candidate {
	s := &c.sorted[number%2]
	if s.sector == number {
		return s.points
	}
	const sectorBits = 10
	s.sector, s.points = number, s.points[:0]
	for i := range c.units {
		u := &c.units[i]
		place := u.stratified(uint64(number), mix(u.seed^uint64(number)*golden))
		s.points = append(s.points, Candidate{Cost: place >> sectorBits, Node: u.node})
	}
	slices.SortFunc(s.points, compareCandidates)
	return s.points
}
