package ring

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Limits on what [New] accepts.
const (
	MaxNodes      = 1<<16 - 1 // an owner is stored as a uint16
	MaxWeight     = 100
	MaxPartitions = 1 << 16
	MaxReplicas   = 255 // keeps the products of share.go within 64 bits
)

// Sentinels that the errors of this package wrap.
var (
	ErrNodes    = errors.New("bad ring members")
	ErrSettings = errors.New("bad ring settings")
)

// Node is a member of the ring.
type Node struct {
	Name   string // host:port; unique in the ring
	Weight int    // share of the data relative to the other nodes, 1 to MaxWeight
	Zone   string // what fails together (a rack, a datacentre); nodes that state none share the empty zone
}

// Settings are equal on all members: they are part of the table's fingerprint.
type Settings struct {
	Partitions  int    // a power of two, 1 to MaxPartitions
	Replicas    int    // owners a partition, the primary included, 1 to MaxReplicas; fewer while there are fewer nodes
	Partitioner string // one of Names; empty is DefaultPartitioner
}

// New computes the table of owners. The nodes may be in any order; they are copied. It returns an
// error that wraps [ErrNodes] or [ErrSettings] and says what to change.
//
// It takes time in the order of partitions times replicas, plus what the partitioner needs to rank
// the nodes.
func New(nodes []Node, s Settings) (*Table, error) {
	if s.Partitioner == "" {
		s.Partitioner = DefaultPartitioner
	}
	partitioner, err := Lookup(s.Partitioner)
	if err != nil {
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	if err := validateNodes(nodes); err != nil {
		return nil, err
	}

	t := &Table{
		nodes:    nodes,
		settings: s,
		replicas: min(s.Replicas, len(nodes)),
		shift:    64 - uint(bits.TrailingZeros(uint(s.Partitions))),
	}
	t.fingerprint = fingerprint(t.nodes, s)
	m := newMembers(nodes, s.Partitions, t.replicas)
	p := newPlacement(m, partitioner.Rank(nodes, s.Partitions))
	p.run()
	t.owners = p.owners
	choosePrimaries(m, t.owners)
	return t, nil
}

func (s Settings) validate() error {
	switch {
	case s.Partitions < 1 || s.Partitions > MaxPartitions || s.Partitions&(s.Partitions-1) != 0:
		return fmt.Errorf("%w: partitions is %d: use a power of two from 1 to %d", ErrSettings, s.Partitions, MaxPartitions)
	case s.Replicas < 1 || s.Replicas > MaxReplicas:
		return fmt.Errorf("%w: replicas is %d: use 1 to %d", ErrSettings, s.Replicas, MaxReplicas)
	}
	return nil
}

// validateNodes takes the nodes sorted by name.
func validateNodes(nodes []Node) error {
	if len(nodes) == 0 {
		return fmt.Errorf("%w: there are none: give at least one node", ErrNodes)
	}
	if len(nodes) > MaxNodes {
		return fmt.Errorf("%w: there are %d: use at most %d nodes", ErrNodes, len(nodes), MaxNodes)
	}
	for i, n := range nodes {
		switch {
		case n.Name == "":
			return fmt.Errorf("%w: a node has no name: name every node by its host:port", ErrNodes)
		case i > 0 && nodes[i-1].Name == n.Name:
			return fmt.Errorf("%w: %q is there twice: give every node a name of its own", ErrNodes, n.Name)
		case n.Weight < 1 || n.Weight > MaxWeight:
			return fmt.Errorf("%w: the weight of %q is %d: use 1 to %d", ErrNodes, n.Name, n.Weight, MaxWeight)
		}
	}
	return nil
}
