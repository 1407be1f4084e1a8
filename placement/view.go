package placement

import (
	"slices"
	"sync/atomic"

	"httpdhs/peer"
	"httpdhs/ring"
)

// View is what an operation goes by: the owners of each partition, and the peers behind them. It is
// replaced as a whole when the rings change. But for the count of operations that go by it, it is
// never modified.
//
// The owners of a partition are those of all rings that are written, each once. Those by the ring
// that is read come first, in its order, so the primary is the first of all. While no change of the
// ring is under way there are no others.
type View struct {
	Generation uint64 // of the rebalance.State that it was made for
	Serial     uint64 // grows with each view

	Read     *ring.Table   // by which ring is read
	Writes   []*ring.Table // to the owners of which rings is written; Read is the first
	Names    []string      // of the nodes on these rings
	Self     int           // this node's index in Names; -1: it is on none
	Peers    []*peer.Peer  // by index in Names; nil: this node
	Replicas int           // owners by the ring that is read, at the beginning of Owners

	width int // of a partition in all
	all   []uint16
	count []uint8 // of owners, by partition
	mine  []bool  // by partition: this node is an owner

	ops     atomic.Int64 // operations that go by this view
	retired atomic.Bool  // another one has taken its place
}

// NewView makes the view of these rings. The first of them is the ring that is read. find returns
// the peer of a name that is not self.
func NewView(generation, serial uint64, writes []*ring.Table, self string, find func(name string) *peer.Peer) *View {
	v := &View{
		Generation: generation, Serial: serial,
		Read: writes[0], Writes: writes, Self: -1, Replicas: writes[0].Replicas(),
	}
	index := make(map[string]uint16)
	translate := make([][]uint16, len(writes)) // by ring: its node index to ours
	for i, t := range writes {
		v.width += t.Replicas()
		for _, n := range t.Nodes() {
			at, ok := index[n.Name]
			if !ok {
				at = uint16(len(v.Names))
				index[n.Name] = at
				v.Names = append(v.Names, n.Name)
				if n.Name == self {
					v.Self = int(at)
					v.Peers = append(v.Peers, nil)
				} else {
					v.Peers = append(v.Peers, find(n.Name))
				}
			}
			translate[i] = append(translate[i], at)
		}
	}
	v.deal(translate)
	return v
}

// deal works out the owners of each partition. translate has each ring's node indices in ours.
func (v *View) deal(translate [][]uint16) {
	partitions := v.Read.Partitions()
	v.all = make([]uint16, partitions*v.width)
	v.count = make([]uint8, partitions)
	v.mine = make([]bool, partitions)
	for p := range partitions {
		owners := v.all[p*v.width : p*v.width]
		for i, t := range v.Writes {
			for _, n := range t.Owners(p) {
				if at := translate[i][n]; !slices.Contains(owners, at) {
					owners = append(owners, at)
					v.mine[p] = v.mine[p] || int(at) == v.Self
				}
			}
		}
		v.count[p] = uint8(len(owners))
	}
}

// Partitions is how many there are.
func (v *View) Partitions() int { return len(v.count) }

// Partition is that of a key's hash.
func (v *View) Partition(hash uint64) int { return v.Read.Partition(hash) }

// Moving says whether the ring is changing.
func (v *View) Moving() bool { return len(v.Writes) > 1 }

// Owners are all that a partition is written to, those that it is read from first. They are
// indices of Names and Peers.
func (v *View) Owners(partition int) []uint16 {
	start := partition * v.width
	return v.all[start : start+int(v.count[partition])]
}

// Readers are the owners of a partition by the ring that is read, the primary first.
func (v *View) Readers(partition int) []uint16 {
	start := partition * v.width
	return v.all[start : start+v.Replicas]
}

// Mine says whether this node is an owner of the partition.
func (v *View) Mine(partition int) bool { return v.mine[partition] }

// Place is this node's place among the owners of a partition; -1: it is none of them.
func (v *View) Place(owners []uint16) int {
	for k, n := range owners {
		if int(n) == v.Self {
			return k
		}
	}
	return -1
}

// Shared are the partitions that readers ask both this node and p for.
func (v *View) Shared(p *peer.Peer) (partitions []int) {
	at := uint16(slices.Index(v.Peers, p))
	for part := range v.Partitions() {
		if owners := v.Readers(part); v.Self >= 0 && slices.Contains(owners, uint16(v.Self)) && slices.Contains(owners, at) {
			partitions = append(partitions, part)
		}
	}
	return partitions
}

// FirstLive is the name of the first owner of the partition by a ring that is not down; empty:
// there is none.
func (v *View) FirstLive(t *ring.Table, partition int) string {
	for _, n := range t.Owners(partition) {
		name := t.NodeAt(n).Name
		if p := v.Peers[slices.Index(v.Names, name)]; p == nil || p.State() != peer.Down {
			return name
		}
	}
	return ""
}

// Idle says whether no operation goes by this view.
func (v *View) Idle() bool { return v.ops.Load() == 0 }
