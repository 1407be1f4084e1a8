// Package ring says who owns a key. It is a pure function from members and settings to an immutable
// [Table]: every member computes the same table from the same members, in whatever order it learned
// of them, on whatever architecture it runs.
//
// A key's hash has its partition in its high bits; a partition has owners, the primary first. [New]
// computes them in four steps, one a file:
//
//	share.go    what each node should own: its weighted fair share, as far as zones allow, and the
//	            bounds on it
//	partitioner the order in which a partition would like to have the nodes (vnodes.go,
//	            rendezvous.go, modulus.go)
//	place.go    partitions ask for nodes in that order, and nodes accept up to their bounds;
//	            repair.go places the rest
//	primary.go  one owner of each partition becomes its primary, within the bounds on primaries
//
// Invariants, strongest first:
//
//   - The owners of a partition are distinct nodes: min(replicas, nodes) of them.
//   - They are in min(replicas, zones) distinct zones. The empty zone is a zone like any other.
//   - No node owns more than max(1.05 * fair share, ceil(fair share)) partitions, nor is it the
//     primary of more than that bound of its share of primaries, nor a further owner of more than
//     that of its share of those. The fair share is by weight. Zones win over it: where they force
//     partitions upon a node (the only one in its zone, say), its fair share is what they force,
//     and the others share the rest by weight. The bound on owned partitions always holds. That on
//     primaries may yield where zones are lopsided and partitions few (below 256): the owners are
//     given first, and no choice among them need then be within it.
//   - A node that joins or leaves moves little besides what it gains or loses; docs/design/ring.md
//     has the figures, and says for which sizes they hold.
//
// All arithmetic is on integers: floating point may be fused into other roundings on another
// architecture, and two members that disagree on one partition lose its writes.
//
// Concurrency: there is none here. A [Table] does not change once made and may be read by any
// number of goroutines.
package ring
