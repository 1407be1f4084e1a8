package ring

import (
	"fmt"
	"strings"
)

// DefaultPartitioner is the one that an empty Settings.Partitioner means.
const DefaultPartitioner = "ring"

// Partitioner decides which nodes a partition would like as its owners. The bounds on what a node
// may own, distinct zones and primaries are not its business: they are the same for all, in the
// placement that follows.
type Partitioner interface {
	// Name is what --partitioner calls it.
	Name() string
	// Rank prepares the order of preference of each of the partitions. The nodes are valid and
	// sorted by name.
	Rank(nodes []Node, partitions int) Ranking
}

// Ranking is a partition's order of preference over all nodes. It may keep scratch: one goroutine
// at a time.
type Ranking interface {
	// Append appends the first limit candidates of a partition to dst (all of them, if they are
	// fewer), each node at most once, in order of rising cost. A larger limit must give the same
	// beginning.
	Append(dst []Candidate, partition, limit int) []Candidate
}

// Candidate is a node that a partition would like as an owner.
type Candidate struct {
	Cost uint64 // comparable between all partitions and nodes: a node keeps the partitions that it costs least
	Node uint16 // node index
}

// compareCandidates orders by cost, and where costs collide by node.
func compareCandidates(a, b Candidate) int {
	switch {
	case a.Cost < b.Cost:
		return -1
	case a.Cost > b.Cost:
		return 1
	}
	return int(a.Node) - int(b.Node)
}

// partitioners are listed in the order in which Names shows them: the default first.
var partitioners = []Partitioner{vnodes{}, rendezvous{}, modulus{}}

// Lookup returns the partitioner of that name; empty means the default. The error names those that
// there are.
func Lookup(name string) (Partitioner, error) {
	if name == "" {
		name = DefaultPartitioner
	}
	for _, p := range partitioners {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: there is no partitioner %q: use one of %s", ErrSettings, name, strings.Join(Names(), ", "))
}

// Names returns the names of the partitioners, the default first.
func Names() []string {
	names := make([]string, len(partitioners))
	for i, p := range partitioners {
		names[i] = p.Name()
	}
	return names
}
