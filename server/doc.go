// Package server is the HTTP face of a node: it turns requests into calls of a Store, and errors
// into statuses. It holds no data and knows no peer. Of the house it imports only the nouns (kv),
// the documents (api), the formats of streams (format) and the seals of messages (seal).
//
// # Where a request goes
//
//	Server      server.go    listens; every request and answer goes through it (handler.go)
//	room        room.go      has the connections: who may be connected (crowd.go), who is too slow
//	                         (timeouts.go)
//	conn        conn.go      one connection: its loop is serve.go, where requests begin and end is
//	                         head.go, body.go and chunks.go; scheme.go tells who speaks TLS and
//	                         should not, or the other way round
//	routes      routes.go    finds the endpoint of a request, and says in which order it is judged
//	gate        stranger.go  refuses pages of other sites, and with auth.go who has no token
//	keys        db.go        /db/{key}: put.go writes, target.go and key.go say which key,
//	                         params.go, condition.go and form.go which value
//	listings    list.go      GET /db; ndjson.go is its lines
//	loads       load.go      /load-data; load_run.go stores
//	batches     batch.go     /batch
//	cluster     cluster.go   what the node tells of itself and the cluster; members.go
//	                         changes the members
//	backups     backup.go    what the node has on its disk, as a tar
//	messages    exchange.go  what other nodes say
//	pages       index.go     the console, and a text for others
//	budgets     memory.go    what requests hold while their clients are waited for
//	journal     journal.go   what is counted and logged; errors.go is the table from
//	                         error to status
//
// A handler (keys to pages) has what it alone needs. It knows the connection of its request, and
// no Server: what it fails with, it returns.
//
// # Invariants
//
// A request is answered once, in the order in which it came. The effect of a PUT or of a peer's
// message on the store happens only after all of its body has arrived: one that is cut short has no
// effect. /load-data and /batch are of any length, so they store block by block while the rest
// arrives. What is cut short has stored what came before. A refusal comes as early as the request's
// headers allow, and the client gets to read why, also when it is still sending. Where a request
// ends is not a matter of opinion: one that a proxy could read in another way is refused, and
// nothing behind it is done.
//
// Memory is bounded. It is the sum of these:
//
//   - two small buffers for each connection (Options.MaxConns)
//   - request bodies and batches in memory at once (Options.MaxInFlightBytes); memory.go counts
//     what buffers take, as they grow with what arrives
//   - values and pages that clients have still to take (Options.MaxAnswerBytes)
//   - a piece of a backup, of which one is made at a time
//   - what the store returns for the requests that are with it at this moment
//
// # Concurrency
//
// Each connection has one goroutine, which reads, calls the store and writes. No other goroutine
// uses anything of a request, except in a load. There a second goroutine stores one block while the
// first reads the next, and the handler waits for it. One more goroutine, started by Serve and
// ended by Shutdown, looks at all connections once a second and cuts the slow ones. What it looks
// at is atomic. All else of a connection belongs to the connection's goroutine.
package server
