// Package client is the Go client of httpdhs, a distributed hash table over HTTP. It knows which
// node owns which key and sends each request there. It goes on with other nodes when one is down.
// After each error it says whether a write may have been done.
//
// # A first program
//
// With a node at localhost:1234 (httpdhs dev starts three), this prints hello:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"httpdhs/client"
//	)
//
//	func main() {
//		c, err := client.New(client.Options{Addrs: []string{"localhost:1234"}})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer c.Close()
//		ctx := context.Background()
//		if _, err := c.Put(ctx, "greeting", []byte("hello"), nil); err != nil {
//			log.Fatal(err)
//		}
//		value, err := c.Get(ctx, "greeting", nil)
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Printf("%s\n", value.Data)
//	}
//
// # Keys and values
//
// A key is a string, and a value is a []byte. Keys are names: they are written as literals,
// compared and used in maps. A Go string holds any bytes, and so may a key: invalid UTF-8, slashes
// and zero bytes arrive as they are. Values are what encoders make and readers take. Nodes accept
// keys of 1 to 4096 bytes and values of up to 8 MiB, unless they are set up otherwise.
//
// The options of a call may be nil, and the zero value of each of their fields is its default.
//
// # Writes
//
// PutOptions.W says how many replicas must have stored a write before Put returns. The default is
// every replica that is up. PutOptions.TTL has the value expire.
//
// PutOptions.If makes a write conditional. IfAbsent creates a key that nobody else has created.
// IfMatch replaces the version that was read, unless somebody was faster: read, change, write with
// the ETag of what was read, and start over on ErrConditionFailed. Without a condition the last
// writer wins. docs/guarantees.md says what holds when nodes fail.
//
// Add, Append and Expire change the value that is there, at its primary, in one step: a counter, a
// log, a session that lives on.
//
// # Many keys
//
// GetMany and Batch carry out many operations in few requests, which the owners of the keys get at
// the same time. After an error of GetMany, a *GetManyError tells the keys that were not read from
// those that have no value. A Loader loads records of any number, from a map, a file or a function,
// in bounded memory. Keys lists the keys that begin with a prefix, with or without their values.
// DeletePrefix deletes them.
//
// # Routing
//
// The client fetches the partition table of the cluster and sends each request to the primary of
// its key, which saves the hop that any other node would make. Any node answers for any key, so
// this is a shortcut and no condition. If a node does not answer, the client asks the other owners
// of the key, then Options.Addrs, then other nodes. It looks at the table again every half minute
// and after a failure, so it follows nodes that join and leave. A node that was not reached is left
// alone for half a second, and for longer each time, up to 16 s.
//
// Nodes are reached by the names that they have for each other. Where those do not work, behind a
// load balancer or with forwarded ports, set Options.NoRouting.
//
// # Errors, and what is certain after one
//
// A read goes on to the next node when one fails or does not answer. A write goes on only if it was
// certainly not done: no connection came about, or the node refused and said so. A write that is
// sent twice could undo what somebody else has written in between. When all nodes ask to come back
// later, the client waits as long as they say and starts over, if the time allows.
//
// A Put, a Delete, an update or an operation of a Batch that fails was certainly not done, unless
// its error matches ErrOutcomeUnknown. So look for ErrOutcomeUnknown first. The same goes for Leave
// and Remove, which do no harm when they are sent twice, and so go on to the next node like a read.
//
// Tell errors apart with errors.Is:
//
//   - ErrNotFound: the key has no value.
//   - ErrConditionFailed: somebody else has written the key. Nothing was written. Read it again.
//   - ErrOutcomeUnknown: the write may have been done, or may still appear. Read the key to find
//     out, or write it again if that does no harm: to add once more does.
//   - ErrUnavailable: the cluster cannot do it now. Try again later. After Leave, Remove and a load
//     it may match ErrOutcomeUnknown, too.
//   - ErrFull: the nodes have no memory for the write. It may have been done only if the error
//     matches ErrOutcomeUnknown, too.
//   - ErrUnauthorized, ErrWantsTLS, ErrNoTLS: the Options do not fit the nodes.
//   - ErrIncomplete: some records of a load failed.
//   - ErrClosed: the call came after Close.
//
// Any other refusal is about the request and will happen again: a value that is too large, or a
// level of more replicas than there are. errors.As finds the *StatusError of a node's answer, whose
// Message says what to do. What would not arrive as it is, or cannot be meant, is an error of the
// client and is not sent: an empty key, a line end in a content type, a negative TTL.
//
// A load is many writes, and its error does not speak for each. What its LoadReport counts as
// loaded is stored. A record that failed may be stored, too, or may still appear. Where the error
// matches ErrOutcomeUnknown, so may records that are counted as neither. A Loader repeats its
// records until a node has taken them: to load them again does no harm, unless somebody else
// writes their keys.
//
// # Time
//
// Options.Timeout bounds each request with all its attempts, and the deadline of the context bounds
// the call. The error then matches context.DeadlineExceeded, and ErrOutcomeUnknown if a write had
// been sent. Get, Put and Delete are one request. A listing is one for each page, and a batch one
// or more for each node. A node itself gives up an operation after 5 s: a longer Timeout leaves
// time for further attempts, not for slower ones.
//
// A call whose context is cancelled returns at once. The error matches context.Canceled, and
// ErrOutcomeUnknown if a write had been sent.
//
// # Concurrency and closing
//
// One Client serves a whole program: all its methods may be called by many goroutines at once. It
// keeps connections alive and pools them, up to Options.MaxConns to each node. It starts no
// goroutine that outlives its calls, with two exceptions. A request that was cancelled keeps one
// until the node answers or its time is over, for a request cannot be taken back. And each pool of
// connections has one, which ends some seconds after the last connection of the pool is closed.
//
// Close it when the program ends, or when its cluster is not needed any more.
package client
