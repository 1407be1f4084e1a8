package ring

// repair places what the rounds could not: a partition all of whose allowed nodes are full. A full
// node hands one of its partitions on to another, and that one does the same, until one has room.
// repair looks for the shortest such chain (an augmenting path, as in Ford and Fulkerson), so that
// the exchanges of one chain do not get into each other's way. There always is one, since the
// bounds are above shares that are a flow (see fairShares).
type repair struct {
	*placement
	held [][]int // partitions by node
	from []step  // by node: how the search came to it
}

// step says that a node is reached by a partition, which takes it instead of another node.
type step struct {
	partition int // -1: not reached
	instead   int // -1: the partition in need takes the node in addition
}

func newRepair(p *placement) *repair {
	r := &repair{placement: p, held: make([][]int, len(p.owned)), from: make([]step, len(p.owned))}
	for partition := range p.partitions {
		for _, node := range p.given(partition) {
			r.held[node] = append(r.held[node], partition)
		}
	}
	return r
}

func (r *repair) run(open []int) {
	for _, partition := range open {
		for int(r.count[partition]) < r.replicas {
			r.apply(r.search(partition))
		}
	}
}

// search returns a node with room, to which from leads back.
func (r *repair) search(partition int) int {
	for i := range r.from {
		r.from[i].partition = -1
	}
	var queue []int
	reach := func(partition, instead int) (roomy int) {
		for node := range r.from {
			if r.from[node].partition >= 0 || !r.allows(partition, uint16(node), instead) {
				continue
			}
			r.from[node] = step{partition, instead}
			if r.owned[node] < r.maxOwned[node] {
				return node
			}
			queue = append(queue, node)
		}
		return -1
	}
	if node := reach(partition, -1); node >= 0 {
		return node
	}
	for len(queue) > 0 {
		full := queue[0]
		queue = queue[1:]
		for _, q := range r.held[full] {
			if node := reach(q, full); node >= 0 {
				return node
			}
		}
	}
	panic("BUG: ring: the bounds leave no room for an owner")
}

// apply makes the exchanges that lead to a node, the last one first.
func (r *repair) apply(node int) {
	for {
		s := r.from[node]
		r.held[node] = append(r.held[node], s.partition)
		if s.instead < 0 {
			r.give(s.partition, uint16(node))
			return
		}
		for i, owner := range r.given(s.partition) {
			if int(owner) == s.instead {
				r.given(s.partition)[i] = uint16(node)
			}
		}
		r.owned[node]++
		r.owned[s.instead]--
		for i, q := range r.held[s.instead] {
			if q == s.partition {
				r.held[s.instead] = append(r.held[s.instead][:i], r.held[s.instead][i+1:]...)
				break
			}
		}
		node = s.instead
	}
}
