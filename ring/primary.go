package ring

// choosePrimaries puts one owner of each partition first. It begins with the first that the
// placement gave. Then it shifts primaries between nodes until no node is above its bound as a
// primary, nor as another owner. (The second bound means that it is a primary often enough.) To
// shift moves no data: a partition keeps its owners.
//
// Where no shift helps (owners that zones force can make it so) the bound on primaries yields.
func choosePrimaries(m *members, owners []uint16) {
	nodes := len(m.zone)
	c := &primaries{members: m, owners: owners, held: make([][]int, nodes), count: make([]int, nodes), from: make([]link, nodes)}
	for i, node := range owners {
		c.held[node] = append(c.held[node], i/m.replicas)
		if i%m.replicas == 0 {
			c.count[node]++
		}
	}
	for node := range nodes {
		for c.count[node] > c.maxPrimary[node] && c.shift(node, true) {
		}
	}
	for node := range nodes {
		for c.count[node] < c.least(node) && c.shift(node, false) {
		}
	}
}

type primaries struct {
	*members
	owners []uint16
	held   [][]int // partitions by node
	count  []int   // partitions by node as their primary
	from   []link  // by node: how the search came to it
}

// link says that a node is reached from another one, by a partition that both own.
type link struct{ partition, node int } // partition -1: not reached

// least is how often a node must be a primary so as not to be another owner above its bound.
func (c *primaries) least(node int) int { return len(c.held[node]) - c.maxOther[node] }

func (c *primaries) of(partition int) []uint16 {
	return c.owners[partition*c.replicas : (partition+1)*c.replicas]
}

// shift takes one primary from a node (away) or gives it one, along the shortest chain of
// partitions that leads to a node that can gain or lose one. It reports whether there is one.
func (c *primaries) shift(start int, away bool) bool {
	for i := range c.from {
		c.from[i].partition = -1
	}
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		node := queue[0]
		for _, partition := range c.held[node] {
			set := c.of(partition)
			others := set[:1] // giving: the primary loses
			if isPrimary := int(set[0]) == node; isPrimary != away {
				continue
			} else if away {
				others = set[1:]
			}
			for _, other := range others {
				if int(other) == start || c.from[other].partition >= 0 {
					continue
				}
				c.from[other] = link{partition, node}
				if c.ends(int(other), away) {
					c.apply(start, int(other), away)
					return true
				}
				queue = append(queue, int(other))
			}
		}
	}
	return false
}

// ends says whether a node can gain a primary (away), or lose one.
func (c *primaries) ends(node int, away bool) bool {
	if away {
		return c.count[node] < c.maxPrimary[node]
	}
	return c.count[node] > c.least(node)
}

// apply shifts along the chain that leads from start to end.
func (c *primaries) apply(start, end int, away bool) {
	for node := end; node != start; {
		reached := c.from[node]
		if away {
			promote(c.of(reached.partition), node)
		} else {
			promote(c.of(reached.partition), reached.node)
		}
		node = reached.node
	}
	if away {
		start, end = end, start
	}
	c.count[start]++
	c.count[end]--
}

// promote puts a node first among the owners, and keeps the others in their order.
func promote(set []uint16, node int) {
	for i := len(set) - 1; i > 0; i-- {
		if int(set[i]) == node {
			copy(set[1:i+1], set[:i])
			set[0] = uint16(node)
			return
		}
	}
}
