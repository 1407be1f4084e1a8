// Package membership knows who is here. It keeps the cluster's members in a small replicated map, tells the others of
// changes, and finds those that are down again. docs/design/membership.md says what is built on it.
//
// The map ([Map], pure) has an entry a member, of which the newer wins, so that any order and any number of exchanges
// gives the same map. Only the member itself raises the version of its entry while it runs; others do when they
// remove it.
//
// A hello carries the map: a message over HTTP that has the whole of it both ways, and the
// settings that have to be equal. Who answers merges before it answers. It is how a node joins,
// and how members that are down are looked for. A node that changes the map itself says hello to
// all that are up. The digest of the map is in each probe of the data plane, which asks all peers
// at once when the map has changed; where a probe shows that two maps differ, their nodes say
// hello.
//
// A node is formed when it is part of a cluster: from the start, if its configuration names all members or none; once
// a formed node has answered it with a map that has its entry, if it joins; or when it founds the cluster, which is
// said at [Options]. Until then its map has itself alone.
//
// # Concurrency
//
// All methods are safe for concurrent use. mu guards the map; readers take an immutable view behind an atomic pointer.
// No lock is held across a callback or a hello.
//
// Goroutines, all ended and waited for by [Membership.Close]:
//
//	callbacks  Changed, Overtaken and Heard, one after the other   woken by a change
//	seek       finds members that are down                       every 2 s with jitter, and once formed
//	join       until the node is formed                          every 0.2 to 5 s with jitter
//	calls      one a member that is being said hello to, of      Differs, seek
//	           which 8 at a time do
//
// # Bounds
//
// 1024 members and 1024 removed ones ([Map] says what happens there), 4 MiB a hello, 128
// addresses to join.
package membership
