// Package wire is what nodes say to each other: every message, how it is encoded, and what is
// checked when it is decoded.
//
// A message is a format byte, a kind byte and a body. An answer is a message too. Integers are
// little endian. Each travels in a frame, with a seal in front of it: see package seal.
//
//	batch    operations, and their results      batch.go
//	list     a part of a page of keys           list.go
//	ping     what a node states of itself       ping.go, pingcode.go
//	digests  what owners hold, compared         catchup.go
//	pull     what one of them lacks             catchup.go
//	ring     who is on a ring                   ring.go
//	hello    the map of the members             hello.go
//	stats    what a node has counted            stats.go
//
// What a node keeps of the members on its disk is here as well: members.go.
//
// Nothing in a message is believed. A length is checked before anything is taken by it. A list is
// bounded. A number that no node says is refused. What is decoded aliases the message.
//
// Concurrency: none. These are functions and values.
package wire
