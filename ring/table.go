package ring

import (
	"slices"
	"strings"
)

// Table is who owns which partition. It is immutable.
type Table struct {
	nodes       []Node // sorted by name
	settings    Settings
	replicas    int
	shift       uint     // of a hash, to its partition; 64 with one partition
	owners      []uint16 // replicas a partition, the primary first
	fingerprint uint64
}

// Nodes returns the members sorted by name; a node's place in it is its node index. It is a copy.
func (t *Table) Nodes() []Node { return slices.Clone(t.nodes) }

// Index returns the node index of a name.
func (t *Table) Index(name string) (int, bool) {
	return slices.BinarySearchFunc(t.nodes, name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
}

// Settings returns the settings, with the partitioner's name filled in.
func (t *Table) Settings() Settings { return t.settings }

// Partitions returns how many partitions there are.
func (t *Table) Partitions() int { return t.settings.Partitions }

// Replicas returns how many owners each partition has: the replicas asked for, or all nodes where
// they are fewer.
func (t *Table) Replicas() int { return t.replicas }

// Partition returns the partition of a key's hash: its high bits.
func (t *Table) Partition(hash uint64) int { return int(hash >> t.shift) }

// Owners returns the node indices of a partition's owners, the primary first. It does not allocate;
// the caller must not modify it. The partition must be in [0, Partitions()).
func (t *Table) Owners(partition int) []uint16 {
	end := (partition + 1) * t.replicas
	return t.owners[end-t.replicas : end : end]
}

// Fingerprint names the table: two tables with the same fingerprint have the same members and
// settings, and so the same owners. The bytes that it is the hash of are documented in
// fingerprint.go, and do not change between releases.
func (t *Table) Fingerprint() uint64 { return t.fingerprint }

// Counts returns for each node index how many partitions it is the primary of, and of how many it
// is another owner.
func (t *Table) Counts() (primary, replica []int) {
	primary, replica = make([]int, len(t.nodes)), make([]int, len(t.nodes))
	for p := range t.settings.Partitions {
		for i, node := range t.Owners(p) {
			if i == 0 {
				primary[node]++
			} else {
				replica[node]++
			}
		}
	}
	return primary, replica
}

// NodeAt returns the member of a node index.
func (t *Table) NodeAt(index uint16) *Node { return &t.nodes[index] }
