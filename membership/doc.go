// Package membership knows who is here. It keeps the cluster's members in a small replicated map, tells the others of
// changes, and finds those that are down again. docs/design/membership.md says what is built on it.
//
// The map ([Map], pure) has an entry a member, of which the newer wins, so that any order and any number of exchanges
// gives the same map. Only the member itself raises the version of its entry while it runs; others do when they
// remove it. Two things carry it:
//
//   - A hello, a message over HTTP that carries the whole map both ways and the settings that have to be equal. Who
//     answers merges before it answers. It is how a node joins, how two nodes make their maps equal when a probe has shown
//     that they differ, and how members that are down are looked for.
//   - Gossip, hashicorp/memberlist: each change as a broadcast, the whole map in its state exchange. It also says soon
//     who has come back. It is not secure without a cluster secret, forgets whom it has not seen for a while, and knows
//     nothing of settings. So what memberlist takes for its members is never the map: a node that it drops stays a member
//     until it is removed, and is looked for by hello.
//
// A node is formed when it is part of a cluster: from the start, if its configuration names all members or none; once
// a formed node has answered it with a map that has its entry, if it joins; or when it founds the cluster, which is
// said at [Options]. Until then its map has itself alone, and what gossip says is not listened to.
//
// # Concurrency
//
// All methods are safe for concurrent use. mu guards the map; readers take an immutable view behind an atomic pointer.
// No lock is held across a callback, a hello, or a call of memberlist, whose own locks are held when it calls back.
//
// Goroutines, all ended and waited for by [Membership.Close]:
//
//	callbacks  Changed, Overtaken and Heard, one after the other   woken by a change
//	gossip     takes in what memberlist handed over              woken by a message
//	seek       finds members that are absent                     every 2 s with jitter, and once formed
//	join       until the node is formed                          every 0.2 to 5 s with jitter
//	calls      one a member that is being said hello to, of      Differs, seek
//	           which 8 at a time do
//
// memberlist's own are told to end, and the delegate is deaf from then on, but memberlist has no way to wait for them. They
// are gone when the probe or the stream under way is over, a few seconds at most.
//
// # Bounds
//
// 1024 members and 1024 removed ones ([Map] says what happens there), 4 MiB a hello, 256 broadcasts and 8 states that
// memberlist has handed over (more are dropped, and made up for by the next exchange), 128 addresses to join.
package membership
