package replicate

import (
	"slices"
	"sync/atomic"

	"httpdhs/ring"
)

// view is what an operation goes by: the owners of each partition, and the peers behind them. It is replaced as a whole when
// the rings change, and never modified.
//
// The owners of a partition are those of all rings that are written, each once. Those by the ring that is read come first, in its order, so
// the primary is the first of all; while no change of the ring is under way there are no others.
type view struct {
	epoch  uint64        // of the rebalance.State that it was made for
	serial uint64        // grows with each view
	read   *ring.Table   // by which ring is read
	writes []*ring.Table // to the owners of which rings is written; read is the first
	names  []string      // of the nodes on these rings
	self   int           // this node's index in names; -1: it is on none
	peers  []*member     // by index in names; nil: this node

	replicas int // owners by the ring that is read, at the beginning of owners
	width    int // of a partition in owners
	all      []uint16
	count    []uint8 // of owners, by partition
	mine     []bool  // by partition: this node is an owner

	ops     atomic.Int64 // operations that go by this view
	retired atomic.Bool  // another one has taken its place
}

// newView makes the view of these rings, the first of which is read.
func newView(epoch uint64, writes []*ring.Table, self string, peer func(name string) *member) *view {
	v := &view{epoch: epoch, read: writes[0], writes: writes, self: -1, replicas: writes[0].Replicas()}
	index := make(map[string]uint16)
	translate := make([][]uint16, len(writes)) // by ring: its node index to ours
	for i, t := range writes {
		v.width += t.Replicas()
		for _, n := range t.Nodes() {
			at, ok := index[n.Name]
			if !ok {
				at = uint16(len(v.names))
				index[n.Name] = at
				v.names = append(v.names, n.Name)
				if n.Name == self {
					v.self = int(at)
					v.peers = append(v.peers, nil)
				} else {
					v.peers = append(v.peers, peer(n.Name))
				}
			}
			translate[i] = append(translate[i], at)
		}
	}
	partitions := v.read.Partitions()
	v.all = make([]uint16, partitions*v.width)
	v.count = make([]uint8, partitions)
	v.mine = make([]bool, partitions)
	for p := range partitions {
		owners := v.all[p*v.width : p*v.width]
		for i, t := range writes {
			for _, n := range t.Owners(p) {
				if at := translate[i][n]; !slices.Contains(owners, at) {
					owners = append(owners, at)
					v.mine[p] = v.mine[p] || int(at) == v.self
				}
			}
		}
		v.count[p] = uint8(len(owners))
	}
	return v
}

func (v *view) partitions() int           { return len(v.count) }
func (v *view) partition(hash uint64) int { return v.read.Partition(hash) }

// moving says whether the ring is changing.
func (v *view) moving() bool { return len(v.writes) > 1 }

// owners are all that a partition is written to, those that it is read from first.
func (v *view) owners(partition int) []uint16 {
	start := partition * v.width
	return v.all[start : start+int(v.count[partition])]
}

// readers are the owners of a partition by the ring that is read, the primary first.
func (v *view) readers(partition int) []uint16 {
	start := partition * v.width
	return v.all[start : start+v.replicas]
}

// enter returns the view to go by; leave is called when the operation is over.
func (c *Coordinator) enter() *view {
	for {
		v := c.view.Load()
		v.ops.Add(1)
		if c.view.Load() == v {
			return v
		}
		c.leave(v) // who replaced it may have looked at ops before
	}
}

func (c *Coordinator) leave(v *view) {
	if v.ops.Add(-1) == 0 && v.retired.Load() {
		c.wakeSync()
	}
}
