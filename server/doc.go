// Package server is the HTTP face of a node: it turns requests into calls of
// a Store, and errors into statuses. It holds no data, knows no peer, and
// imports nothing of the house but the nouns (kv), the documents (api), the
// formats of streams (format) and the seals of messages (seal).
//
// The files, in reading order: server.go is the life of a server, room.go who may be connected,
// conn.go and serve.go the life of a connection and timeouts.go the one place where slow clients
// are cut; scheme.go tells who speaks TLS to a node that does not, or the other way round; head.go,
// body.go and chunks.go are where a request begins and ends; handler.go is what each request goes
// through, and stranger.go refuses what other sites have a browser send; routes.go has all routes,
// and the order in which a request is judged; db.go and put.go the keys and values, with target.go and key.go (which key),
// params.go, condition.go and form.go (which value); list.go and ndjson.go the listing; load.go
// and load_run.go the loading, batch.go the batches; cluster.go and exchange.go the rest;
// errors.go is the one table from error to status.
//
// # Invariants
//
// A request is answered once, in the order in which it came. The effect of a
// PUT or of a peer's message on the store happens only after all of its body
// has arrived: one that is cut short has no effect. /load-data and /batch are
// of any length, so they store block by block while the rest arrives, and what
// is cut short has stored what came before. What is refused is refused as early as its headers
// allow, and the client gets to read why, also when it is still sending.
// Where a request ends is not a matter of opinion: one that a proxy could read in
// another way is refused, and nothing behind it is done.
//
// Memory is bounded: connections (Options.MaxConns) times two small buffers,
// plus request bodies and batches in memory at once (Options.MaxInFlightBytes:
// memory.go counts what buffers take, as they grow with what arrives), plus values and pages that clients have still
// to take (Options.MaxAnswerBytes), plus what the store returns for the
// requests that are with it at this moment.
//
// # Concurrency
//
// Each connection has one goroutine, which reads, calls the store and writes;
// nothing of a request is used by another one, but in a load: there a second
// goroutine stores one block while the first reads the next, and the handler
// waits for it. One more goroutine, started by
// Serve and ended by Shutdown, looks at all connections once a second and
// cuts the slow ones. What it looks at is atomic; all else of a connection
// belongs to the connection's goroutine.
package server
