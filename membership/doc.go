// Package membership knows who is here. It keeps the cluster's members in a small replicated map,
// tells the others of changes, and finds those that are down again. docs/design/membership.md says
// what is built on it.
//
// The map has an entry a member. Of two entries of a member the newer wins, so any order and any
// number of exchanges gives the same map. While a member runs, it alone raises the version of its
// entry. Others do when they remove it.
//
// A hello carries the map: a message that has the whole of it both ways, and the
// settings that have to be equal. Who answers merges before it answers. It is how a node joins,
// and how members that are down are looked for. A node that changes the map itself says hello to
// all that are up. The digest of the map is in each probe of the data plane, which asks all peers
// at once when the map has changed; where a probe shows that two maps differ, their nodes say
// hello.
//
// A node is formed when it is part of a cluster. If its configuration names all members or none, it
// is formed from the start. So is one that has kept the map from before it was started. If it
// joins, it is formed once a formed node has answered with a map that has its entry. It may also
// found the cluster, see [Options]. Until then its map has itself alone.
//
// # What does what
//
//	Membership  membership.go  what the owner calls, and its callbacks; leave.go has leaving
//	state       state.go       what the node knows of the members and says of itself; no I/O
//	Map         map.go         the replicated map, pure
//	asker       ask.go         says one hello, and judges the answer (identity.go, fault.go)
//	calls       seek.go        says hello to members, when something changes or one is down
//	joiner      join.go        makes the node part of a cluster
//	founding    found.go       so many nodes agree to found a cluster: their words, and attempts
//	Place       place.go       where a hello goes, and what a name to join leads to
//	guest       visit.go       looks at the addresses to join, of a node that has kept the map
//	Away        away.go        finds out whether others went on without this node
//	Attendance  attendance.go  knows when this node was in sync, and up to when it has gone on
//	host        serve.go       answers hellos
//
// # Concurrency
//
// All methods are safe for concurrent use. state.mu guards the map. Readers take an immutable view
// behind an atomic pointer. No lock is held across a callback or a hello.
//
// Goroutines, all ended and waited for by [Membership.Close]:
//
//	callbacks  Changed, Overtaken and Heard, one by one   woken by a change
//	seek       finds members that are down                every 2 s with jitter, and once formed
//	join       until the node is formed                   every 0.2 to 5 s with jitter
//	calls      one a member that is said hello to;        Differs, seek
//	           8 at a time talk
//
// Visit and Away ask in goroutines that they wait for.
//
// # Bounds
//
// 100 members and 1024 removed ones ([Map] says what happens there), 4 MiB a hello, 128
// addresses to join, and 100 more to visit.
package membership
