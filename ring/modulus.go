package ring

import (
	"cmp"
	"slices"
)

// modulus deals the partitions out in turns: partition modulo nodes, where a node of weight w has w
// turns in the cycle, spread evenly. It is for comparison and for fixed clusters: it has the best
// balance and is easy to follow by hand, but it is exempt from least movement. When one node joins
// or leaves, nearly all partitions move.
type modulus struct{}

func (modulus) Name() string { return "modulus" }

func (modulus) Rank(nodes []Node, partitions int) Ranking {
	divisor := nodes[0].Weight
	for _, n := range nodes {
		for a := n.Weight; a != 0; {
			divisor, a = a, divisor%a
		}
	}
	type turn struct {
		at    uint64 // of the cycle's length, in units of 2^-32
		order int
		node  uint16
	}
	var turns []turn
	for order, i := range alternateZones(nodes) {
		w := uint64(nodes[i].Weight / divisor)
		for k := range w {
			turns = append(turns, turn{at: (2*k + 1) << 32 / (2 * w), order: order, node: uint16(i)})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	r := &cycle{partitions: partitions, nodes: len(nodes), met: make([]uint32, len(nodes))}
	for _, t := range turns {
		r.turns = append(r.turns, t.node)
	}
	return r
}

// alternateZones returns the node indices such that neighbours are of different zones for as long
// as there are any.
func alternateZones(nodes []Node) []int {
	nth := make([]int, len(nodes)) // of its zone
	seen := make(map[string]int)
	order := make([]int, len(nodes))
	for i, n := range nodes {
		order[i], nth[i] = i, seen[n.Zone]
		seen[n.Zone]++
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(nth[a], nth[b]), cmp.Compare(nodes[a].Zone, nodes[b].Zone))
	})
	return order
}

type cycle struct {
	turns      []uint16
	partitions int
	nodes      int
	met        []uint32 // by node: the walk in which it was last met
	walk       uint32
}

func (c *cycle) Append(dst []Candidate, partition, limit int) []Candidate {
	start := partition % len(c.turns)
	if len(c.turns) > c.partitions { // else only the beginning of the cycle would have turns
		start = partition * len(c.turns) / c.partitions
	}
	limit = min(limit, c.nodes)
	c.walk++
	for i, found := 0, 0; found < limit; i++ {
		node := c.turns[(start+i)%len(c.turns)]
		if c.met[node] == c.walk {
			continue
		}
		c.met[node] = c.walk
		found++
		dst = append(dst, Candidate{Cost: uint64(i), Node: node})
	}
	return dst
}
