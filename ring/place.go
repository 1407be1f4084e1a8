package ring

import (
	"cmp"
	"slices"
)

// placement gives each partition its owners. It goes in rounds. In round r each partition that
// still lacks owners asks its r-th candidate, unless the owners that it already has forbid that
// candidate (see allows). A node that is asked by more than it has room for takes those that it
// costs least.
//
// An owner once given is kept through the later rounds. This is what holds movement down: a first
// choice of one partition is never pushed out by a fallback of another. So one node more or less
// changes the first choices that it wins or leaves, and otherwise only the few fallbacks. (Deferred
// acceptance, and any optimal matching, push along chains through the whole table.
// docs/design/ring.md has the figures.)
type placement struct {
	*members
	ranking Ranking
	lists   [][]Candidate // by partition: the candidates known so far
	owners  []uint16      // replicas a partition, of which count are given
	count   []uint8       // by partition
	owned   []int         // partitions by node
}

func newPlacement(m *members, r Ranking) *placement {
	return &placement{members: m, ranking: r, lists: make([][]Candidate, m.partitions),
		owners: make([]uint16, m.partitions*m.replicas), count: make([]uint8, m.partitions), owned: make([]int, len(m.zone))}
}

// firstLook is by how many more than its replicas the candidates are that a partition looks up at
// first.
const firstLook = 6

func (p *placement) run() {
	nodes := len(p.owned)
	first := min(p.replicas+firstLook, nodes)
	all := make([]Candidate, 0, p.partitions*first)
	open := make([]int, p.partitions) // partitions that lack owners
	for i := range open {
		open[i] = i
		all = p.ranking.Append(all, i, first)
		p.lists[i] = all[i*first : (i+1)*first : (i+1)*first]
	}
	var asks []ask
	for round := 0; round < nodes && len(open) > 0; round++ {
		asks = asks[:0]
		for _, partition := range open {
			if c := p.candidate(partition, round); p.owned[c.Node] < p.maxOwned[c.Node] && p.allows(partition, c.Node, -1) {
				asks = append(asks, ask{c, partition})
			}
		}
		p.answer(asks)
		open = slices.DeleteFunc(open, func(i int) bool { return int(p.count[i]) == p.replicas })
	}
	if len(open) > 0 {
		newRepair(p).run(open)
	}
}

type ask struct {
	Candidate
	partition int
}

// answer gives room to the cheapest asks. A partition is in at most one of them.
func (p *placement) answer(asks []ask) {
	slices.SortFunc(asks, func(a, b ask) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(a.partition, b.partition))
	})
	for _, a := range asks {
		if p.owned[a.Node] < p.maxOwned[a.Node] {
			p.give(a.partition, a.Node)
		}
	}
}

func (p *placement) give(partition int, node uint16) {
	p.owners[partition*p.replicas+int(p.count[partition])] = node
	p.count[partition]++
	p.owned[node]++
}

// candidate returns a partition's candidate of a round, and looks up more of them where the list is
// too short.
func (p *placement) candidate(partition, round int) Candidate {
	if round >= len(p.lists[partition]) {
		p.lists[partition] = p.ranking.Append(nil, partition, min(4*round, len(p.owned)))
	}
	return p.lists[partition][round]
}

// given returns the owners that a partition has so far.
func (p *placement) given(partition int) []uint16 {
	first := partition * p.replicas
	return p.owners[first : first+int(p.count[partition])]
}

// allows says whether a node may become an owner of a partition, next to its present owners or
// instead of one of them (-1 for none). A node is there once, and a zone once where zones are
// enough. Places are kept for the groups of which the partition has no owner yet.
func (p *placement) allows(partition int, node uint16, instead int) bool {
	given := p.given(partition)
	places := p.replicas - len(given) - 1 // after this one
	if instead >= 0 {
		places++
	}
	for _, owner := range given {
		if owner == node {
			return false
		}
		if p.zones >= p.replicas && int(owner) != instead && p.zone[owner] == p.zone[node] {
			return false
		}
	}
	if places >= p.groups {
		return true
	}
	missing := p.groups
	if p.group[node] >= 0 {
		missing--
	}
	for i, owner := range given {
		g := p.group[owner]
		if int(owner) == instead || g < 0 || g == p.group[node] || p.groupAmong(given[:i], g, instead) {
			continue
		}
		missing--
	}
	return places >= missing
}

// groupAmong says whether one of the owners but the one that goes is of a group.
func (p *placement) groupAmong(owners []uint16, group, goes int) bool {
	for _, owner := range owners {
		if int(owner) != goes && p.group[owner] == group {
			return true
		}
	}
	return false
}
