// Package client is a Go client of httpdhs that knows the ring: it fetches the
// partition table once (GET /cluster/ring) and sends each request to the
// node that is the primary of its key, which saves the hop that any other node
// would make.
//
// What it promises:
//
//   - A key is any bytes and arrives as it is: it is percent-encoded so that
//     one decoding gives it back, and nothing on the way normalises it.
//
//   - When a node does not answer, another is asked: first the key's other
//     owners, then the addresses that the client was given, then any member.
//     Any node answers for any key, so the ring is a shortcut and never a
//     condition. Where its names cannot be reached from here (a private
//     network behind one public address), everything goes through the given
//     addresses.
//
//   - Reads are repeated freely. A write is repeated only when it is certain
//     that nothing was done: no connection came about, or the answer says
//     503 with Retry-After. In every other case the error matches
//     ErrOutcomeUnknown, because a write that is sent twice could undo one
//     that someone else made in between.
//
//   - Many operations take few requests: Batch and GetMany deal them out to
//     the primaries of their keys, which are asked at the same time, and
//     NewLoader loads a stream of any length.
//
// The ring is looked at again by the request that notices that it is due: after
// a failure, and every half minute.
// Connections are kept alive and pooled; fasthttp looks after idle ones in the
// background and ends that by itself within MaxIdleConnDuration of Close.
//
// All methods are safe for concurrent use. A context's deadline bounds a call as
// Options.Timeout does. A call returns at once when its context is cancelled:
// with context.Canceled, and if it is a write that was on its way, with
// ErrOutcomeUnknown too. fasthttp cannot take back a request, so one that was
// cancelled keeps a goroutine and a connection until the node answers or its
// time is over.
package client
