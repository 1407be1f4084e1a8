package ring

// members is what the placement knows of the nodes: their zones, and the bounds on what each may
// own.
type members struct {
	partitions int
	replicas   int   // owners a partition; at most the number of nodes
	zone       []int // zone number by node
	zones      int
	group      []int // group number by node; -1 for none. Of each group a partition has at least one owner.
	groups     int   // at most replicas

	// The most that a node may own, by node index: bound of its fair share.
	maxPrimary []int // as primary
	maxOther   []int // as another owner
	maxOwned   []int // in all; at most the sum of the two
}

func newMembers(nodes []Node, partitions, replicas int) *members {
	n := len(nodes)
	m := &members{partitions: partitions, replicas: replicas, zone: make([]int, n),
		maxPrimary: make([]int, n), maxOther: make([]int, n), maxOwned: make([]int, n)}
	numbers := make(map[string]int)
	for i, node := range nodes {
		number, ok := numbers[node.Zone]
		if !ok {
			number = len(numbers)
			numbers[node.Zone] = number
		}
		m.zone[i] = number
	}
	m.zones = len(numbers)

	total := 0
	for _, node := range nodes {
		total += node.Weight
	}
	shares, zoneDone := m.fairShares(nodes)
	m.formGroups(shares, zoneDone)
	for i, owned := range shares {
		primary := share{num: uint64(nodes[i].Weight), den: uint64(total)}
		m.maxPrimary[i] = primary.bound(partitions)
		m.maxOther[i] = owned.minus(primary).bound(partitions)
		m.maxOwned[i] = min(owned.bound(partitions), m.maxPrimary[i]+m.maxOther[i])
	}
	return m
}

// formGroups makes groups of what every partition must have an owner of: each zone, or, where zones
// are enough, each whose share is the whole; and where they are not enough, each node whose share
// is the whole stands for its zone. A partition keeps places for its groups. Without that, first
// choices would give them too little, and all of the difference would be fallbacks.
func (m *members) formGroups(shares []share, zoneDone []bool) {
	m.group = make([]int, len(shares))
	ofZone := make([]int, m.zones)
	for z := range ofZone {
		ofZone[z] = -1
		if m.zones <= m.replicas || zoneDone[z] {
			ofZone[z] = m.groups
			m.groups++
		}
	}
	taken := make([]bool, m.zones) // a zone's number is taken by its first node that is a group
	for i, s := range shares {
		z := m.zone[i]
		m.group[i] = ofZone[z]
		if m.zones >= m.replicas || s.num != s.den {
			continue
		}
		if taken[z] {
			m.group[i] = m.groups
			m.groups++
		}
		taken[z] = true
	}
	for i, s := range shares { // a zone in which a node is a group is none itself
		if m.zones < m.replicas && taken[m.zone[i]] && s.num != s.den {
			m.group[i] = -1
		}
	}
}

// share is how much of each partition a node should own, on average: an exact fraction. With at
// most 2^16 nodes of weight 100 the denominator is below 2^23 (2^46 for a difference) and the
// numerator below 255 times that.
type share struct{ num, den uint64 }

func (s share) minus(t share) share { return share{s.num*t.den - t.num*s.den, s.den * t.den} }

// bound returns the most partitions that a node with this share may own: 5 % above the fair number,
// which is rounded up where that is more.
func (s share) bound(partitions int) int {
	// Whole partitions and the rest apart, as the product may not fit into 64 bits.
	whole, rest := s.num/s.den*uint64(partitions), s.num%s.den
	fair := rest * uint64(partitions) // over den; below 2^62
	up := whole + (fair+s.den-1)/s.den
	percent := uint64(105)
	above := (whole*percent + fair/s.den*percent + fair%s.den*percent/s.den) / 100
	return int(max(up, above))
}

// fairShares returns what each node should own of a partition: by weight, as even as the zones
// allow. The shares of a partition's nodes sum up to its replicas; a node has at most 1 of it. With
// as many zones as replicas a zone has at most 1 too; with fewer, a zone has at least 1. The zones
// that stopped there are returned as well.
//
// It is water-filling: all nodes rise together, by weight, and those that meet a limit stop there.
// These shares make the bounds feasible. To own that much of every partition alike is a flow within
// all limits, and where there is a fractional flow there is one in whole partitions.
func (m *members) fairShares(nodes []Node) (shares []share, zoneDone []bool) {
	shares = make([]share, len(nodes))
	zoneWeight := make([]int, m.zones)
	zoneDone = make([]bool, m.zones)
	for i, node := range nodes {
		zoneWeight[m.zone[i]] += node.Weight
	}
	left := m.replicas // to be shared by the zones that are not done
	for again := true; again; {
		var short []int
		if m.zones >= m.replicas {
			short = zonesAtMost(left, zoneWeight, zoneDone)
		} else {
			short = m.fillNodes(nodes, shares, left, zoneDone)
		}
		for _, z := range short {
			zoneDone[z] = true
			left--
		}
		again = len(short) > 0
	}
	rest := 0
	for z, weight := range zoneWeight {
		if !zoneDone[z] {
			rest += weight
		}
	}
	for i, node := range nodes {
		if z := m.zone[i]; zoneDone[z] {
			shares[i] = share{uint64(node.Weight), uint64(zoneWeight[z])}
		} else if m.zones >= m.replicas {
			shares[i] = share{uint64(left * node.Weight), uint64(rest)}
		}
	}
	return shares, zoneDone
}

// zonesAtMost returns the zones that would have 1 or more if what is left were shared out by
// weight.
func zonesAtMost(left int, zoneWeight []int, done []bool) (full []int) {
	rest := 0
	for z, weight := range zoneWeight {
		if !done[z] {
			rest += weight
		}
	}
	for z, weight := range zoneWeight {
		if !done[z] && weight*left >= rest {
			full = append(full, z)
		}
	}
	return full
}

// fillNodes shares out what is left among the nodes of the zones that are not done, at most 1 each,
// and returns the zones that come out below 1.
func (m *members) fillNodes(nodes []Node, shares []share, left int, done []bool) (short []int) {
	full := make([]bool, len(nodes))
	zoneFull := make([]bool, m.zones)
	weight, again := 0, true
	for again {
		weight, again = 0, false
		for i, node := range nodes {
			if !done[m.zone[i]] && !full[i] {
				weight += node.Weight
			}
		}
		rising := left
		for i, node := range nodes {
			if !done[m.zone[i]] && !full[i] && node.Weight*left >= weight {
				full[i], zoneFull[m.zone[i]], again = true, true, true
				rising--
			}
		}
		left = rising
	}
	zoneWeight := make([]int, m.zones)
	for i, node := range nodes {
		if done[m.zone[i]] {
			continue
		}
		zoneWeight[m.zone[i]] += node.Weight
		shares[i] = share{1, 1}
		if !full[i] {
			shares[i] = share{uint64(left * node.Weight), uint64(weight)}
		}
	}
	for z := range zoneWeight {
		if !done[z] && !zoneFull[z] && zoneWeight[z]*left < weight {
			short = append(short, z)
		}
	}
	return short
}
