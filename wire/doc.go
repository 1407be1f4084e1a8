// Package wire is what nodes say to each other: every message, how it is encoded, and what is
// checked when it is decoded.
//
// A message is a format byte, a kind byte and a body; an answer is a message too. Integers are
// little endian. Over HTTP each has a seal beside it, which is package seal's.
//
//	batch    operations, and their results      batch.go
//	list     a part of a page of keys           list.go
//	ping     what a node states of itself       ping.go, pingcode.go
//	digests  what owners hold, compared         catchup.go
//	pull     what one of them lacks             catchup.go
//	ring     who is on a ring                   ring.go
//	hello    the map of the members             hello.go
//
// Nothing here is believed: a length is checked before anything is taken by it, a list is bounded,
// and a number that no node says is refused. What decodes aliases the message.
//
// Concurrency: none, these are functions and values.
package wire
