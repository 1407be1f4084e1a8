// Package resp serves the protocol of Redis, RESP2 and RESP3, so that a client of Redis uses
// httpdhs by changing an address.
//
// A connection has one goroutine. It reads what has arrived, and takes all complete commands out of
// it ([parser]). Each is looked up and checked ([session.dispatch]). Most commands plan operations
// on keys. All that one read has brought are carried out in one kv.Call (plan.go), and their
// answers go out in one write. A pipeline so costs what one request does.
//
// Commands that cannot be planned (a listing, what changes the session) act at once, after
// everything before them was carried out and answered. command.go says how a command is added.
//
// Invariants: each command has one answer, in the order of the commands, until the connection is
// closed. Arguments alias the read buffer; nothing keeps them beyond the call. What all connections
// hold in memory has bounds (memory.go), and a client that does not read or stops in the middle of
// a command is closed (room.go).
//
// A [Server] is safe for concurrent use. A session belongs to its connection's goroutine.
package resp
