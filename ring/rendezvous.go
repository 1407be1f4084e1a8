package ring

import (
	"slices"

	"github.com/zeebo/xxh3"
)

// rendezvous is highest random weight (Thaler and Ravishankar, "Using name-based mappings to
// increase hit rates", 1998): every node draws a number for every partition, and the best draws own
// it. A draw u costs -ln(1-u)/weight, so that a node wins by its weight (Schindelhauer and
// Schomaker, "Weighted distributed hash tables", 2005). A node's draws for all partitions are a
// permutation of evenly spread values rather than independent ones.
type rendezvous struct{}

func (rendezvous) Name() string { return "rendezvous" }

func (rendezvous) Rank(nodes []Node, partitions int) Ranking {
	r := &rendezvousRanking{draws: make([]draw, len(nodes)), all: make([]Candidate, 0, len(nodes))}
	for i, n := range nodes {
		seed := xxh3.HashString(n.Name)
		r.draws[i] = draw{permutation: newPermutation(seed, partitions), seed: seed, weight: uint64(n.Weight)}
	}
	return r
}

type draw struct {
	permutation
	seed   uint64
	weight uint64
}

type rendezvousRanking struct {
	draws []draw
	all   []Candidate // scratch
}

func (r *rendezvousRanking) Append(dst []Candidate, partition, limit int) []Candidate {
	p := uint64(partition)
	if limit >= 64 || limit >= len(r.draws) {
		r.all = r.all[:0]
		for i := range r.draws {
			r.all = append(r.all, r.draws[i].candidate(i, p))
		}
		slices.SortFunc(r.all, compareCandidates)
		return append(dst, r.all[:min(limit, len(r.all))]...)
	}
	return r.appendFew(dst, p, limit)
}

// appendFew keeps the best candidates sorted while it goes through the nodes: nearly all fail on
// the worst of them, and most of those before their cost is worked out.
func (r *rendezvousRanking) appendFew(dst []Candidate, p uint64, limit int) []Candidate {
	start := len(dst)
	worst := uint64(1<<64 - 1) // a draw (its upper bits) that is above it times the weight is too dear
	for i := range r.draws {
		d := &r.draws[i]
		if full := len(dst) == start+limit; full && d.stratified(p, 0)>>cheap > worst*d.weight {
			continue
		}
		c := d.candidate(i, p)
		if len(dst) == start+limit {
			if compareCandidates(c, dst[len(dst)-1]) > 0 {
				continue
			}
			dst = dst[:len(dst)-1]
		}
		dst = append(dst, c)
		best := dst[start:]
		for j := len(best) - 1; j > 0 && compareCandidates(best[j], best[j-1]) < 0; j-- {
			best[j], best[j-1] = best[j-1], best[j]
		}
		worst = best[len(best)-1].Cost>>(cheap-(64-logBits)) + 1
	}
	return dst
}

// cheap is by how many bits a draw is shortened to be compared: worst times a weight must fit into
// 64 bits. A draw u costs at least u (in the units of negLog2, u>>7) divided by the weight, since
// -log2(1-u) >= u.
const cheap = 15

func (d *draw) candidate(i int, p uint64) Candidate {
	cost := negLog2(^d.stratified(p, mix(d.seed^p*golden)))
	if d.weight > 1 {
		cost /= d.weight
	}
	return Candidate{Cost: cost, Node: uint16(i)}
}
