package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/replicate"
	"httpdhs/ring"
	"httpdhs/wire"
)

// The most that some fields of a Config may be. Open refuses more.
const (
	ReplicasMax   = replicate.MaxReplicas
	PartitionsMax = ring.MaxPartitions
	WeightMax     = wire.MaxWeight
	ZoneBytesMax  = wire.MaxZoneBytes
	MembersMax    = wire.MaxMembers
)

// NamePrefix is before a name in Config.Join.
const NamePrefix = wire.NamePrefix

// ErrConfig is what Open returns for fields that do not go together.
var ErrConfig = errors.New("bad settings")

// Config is all that a node needs to know before it starts. Files and flags
// are read by the caller. Zero values of the fields that say so take defaults.
type Config struct {
	// Name is the node's name: the host:port at which other nodes and clients
	// reach it. It is one of Members. Names are compared as
	// wire.CanonicalAddr writes them.
	Name string

	// Members are the names of all nodes known at start, this one included,
	// in any order.
	Members []string

	// Join are addresses (host:port) of members of a running cluster, instead of Members.
	// dns:NAME:PORT is every address that the name has. With neither the node is a cluster of its
	// own.
	Join []string

	// Expect is how many nodes found a cluster by Join, the same at all of them; 0: those that Join
	// lists, see membership.Options.
	Expect int

	// EvictAfter is how long a member has to be down, as a majority sees it, before it is taken
	// off the ring; 0: never.
	EvictAfter time.Duration

	// SyncRate bounds what the node fetches from others to hold what it owns, and hands over, in
	// bytes a second. 0: 8 MiB; negative: no bound. With 8 MiB the slowest requests take about
	// twice as long while two nodes join three on one machine of two cores.
	SyncRate int

	// Listen is the host:port to bind; empty: Name's. It is not looked at
	// when Listener is given.
	Listen string

	// Listener, when given, is an open socket to serve on; the node closes it.
	Listener net.Listener

	Replicas    int    // copies of each key, this many nodes permitting; 0: 2
	Partitions  int    // a power of two, the same at all nodes; 0: 1024
	Partitioner string // ring, rendezvous or modulus; empty: ring

	// Weight and Zone describe this node alone; it tells the others.
	Weight int // 0: 1
	Zone   string

	Limits         kv.Limits     // zero: kv.DefaultLimits
	MaxMemory      int64         // bound on what the store takes, bytes; 0: none
	Eviction       string        // at MaxMemory: none or s3-fifo, which needs one; empty: none
	TombstoneGrace time.Duration // how long a delete is remembered; 0: 1h

	Memory MemoryConfig // beside the store

	Data DataConfig

	// HintBytes bounds the hints kept for each peer, the writes that it does not take. When it is
	// full, the oldest of a peer that is down are dropped, and requests to one that is up are
	// refused. 0: 64 MiB.
	HintBytes int

	// ProbeEvery is the time between two questions to a peer of how it is.
	// 0: 500 ms; at most topology.ProbeEveryMax.
	ProbeEvery time.Duration

	AuthToken     string // asked of clients, if set
	ClusterSecret string // asked of peers, if set

	// ServerTLS serves clients and peers over TLS, ClientTLS is used towards
	// peers. Both or neither.
	ServerTLS, ClientTLS *tls.Config

	// Dial, when given, opens the connections to peers instead of the
	// operating system: a test's way to cut and delay them.
	Dial func(addr string, timeout time.Duration) (net.Conn, error)

	// OpenFiles bounds the files that the node has open, and so its connections. 0 is OpenFiles(),
	// the limit of the process. That is right for a node that is alone in its process.
	OpenFiles int

	// Lookup, when given, finds the addresses of a host instead of the operating system.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	// Disk keeps what the node holds from one start to the next; nil: what Data names. The node
	// closes it.
	Disk Disk

	Resp RespConfig

	// DrainDelay is how long Drain takes, and a node that leaves goes on when it has handed over
	// what it held; 0: neither waits.
	DrainDelay time.Duration

	Web WebConfig

	AccessLog bool
	SlowLog   time.Duration // operations that take as long are logged; 0: none
	PprofAddr string        // host:port of net/http/pprof; empty: none

	MetricsListen string // host:port where the metrics are; empty: with all else
	MetricsToken  string // of who reads the metrics, and nothing else; empty: none of their own

	Log     *slog.Logger // nil: discards
	Version string       // of the binary
}

const (
	defaultReplicas   = 2
	defaultPartitions = 1024
	defaultGrace      = time.Hour
	defaultHintBytes  = 64 << 20
	defaultProbeEvery = 500 * time.Millisecond
	defaultSyncRate   = 8 << 20
)

func (c *Config) setDefaults() {
	if c.Replicas == 0 {
		c.Replicas = defaultReplicas
	}
	if c.Partitions == 0 {
		c.Partitions = defaultPartitions
	}
	if c.Weight == 0 {
		c.Weight = 1
	}
	if c.Limits == (kv.Limits{}) {
		c.Limits = kv.DefaultLimits()
	}
	if c.TombstoneGrace == 0 {
		c.TombstoneGrace = defaultGrace
	}
	if c.HintBytes == 0 {
		c.HintBytes = defaultHintBytes
	}
	if c.ProbeEvery == 0 {
		c.ProbeEvery = defaultProbeEvery
	}
	switch {
	case c.SyncRate == 0:
		c.SyncRate = defaultSyncRate
	case c.SyncRate < 0:
		c.SyncRate = 0
	}
	if c.Listen == "" {
		c.Listen = c.Name
	}
	if c.Lookup == nil {
		c.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// ringSettings are what all nodes have to agree on.
func (c *Config) ringSettings() ring.Settings {
	return ring.Settings{
		Partitions: c.Partitions, Replicas: c.Replicas,
		Partitioner: cmp.Or(c.Partitioner, ring.DefaultPartitioner),
	}
}

// canonicalNames has each name written in the one way by which it is compared.
func (c *Config) canonicalNames() {
	all := func(names []string) []string {
		out := slices.Clone(names)
		for i, name := range out {
			addr, named := wire.CutName(name)
			if out[i] = wire.CanonicalAddr(addr); named {
				out[i] = wire.NameOf(out[i])
			}
		}
		return out
	}
	c.Name, c.Members, c.Join = wire.CanonicalAddr(c.Name), all(c.Members), all(c.Join)
}
