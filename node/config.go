package node

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"httpdhs/kv"
)

// Config is all that a node needs to know before it starts. Files and flags
// are read by the caller. Zero values of the fields that say so take defaults.
type Config struct {
	// Name is the node's name: the host:port at which other nodes and clients
	// reach it. It is one of Members.
	Name string

	// Members are the names of all nodes known at start, this one included,
	// in any order. Empty: a cluster of this node alone.
	Members []string

	// Listen is the host:port to bind; empty: Name's. It is not looked at
	// when Listener is given.
	Listen string

	// Listener, when given, is an open socket to serve on; the node closes it.
	Listener net.Listener

	Replicas    int    // copies of each key, this many nodes permitting; 0: 2
	Partitions  int    // a power of two, the same at all nodes; 0: 1024
	Partitioner string // ring, rendezvous or modulus; empty: ring

	// Weight and Zone describe this node alone. They only take effect in a
	// cluster whose members tell each other of themselves; members of a
	// static list all weigh the same.
	Weight int // 0: 1
	Zone   string

	Limits         kv.Limits     // zero: kv.DefaultLimits
	MaxMemory      int64         // bound on what the store takes, bytes; 0: none
	Eviction       string        // at MaxMemory: none or s3-fifo, which needs one; empty: none
	TombstoneGrace time.Duration // how long a delete is remembered; 0: 1h

	// HintBytes bounds the writes kept for each peer that does not take them:
	// when it is full, the oldest of a peer that is down are dropped, and
	// requests to one that is up are refused. 0: 64 MiB.
	HintBytes int

	// ProbeEvery is the time between two questions to a peer of how it is.
	// 0: 500 ms.
	ProbeEvery time.Duration

	AuthToken     string // asked of clients, if set
	ClusterSecret string // asked of peers, if set

	// ServerTLS serves clients and peers over TLS, ClientTLS is used towards
	// peers. Both or neither.
	ServerTLS, ClientTLS *tls.Config

	// Dial, when given, opens the connections to peers instead of the
	// operating system: a test's way to cut and delay them.
	Dial func(addr string, timeout time.Duration) (net.Conn, error)

	AccessLog bool
	PprofAddr string // host:port of net/http/pprof; empty: none

	Log     *slog.Logger // nil: discards
	Version string       // of the binary
}
