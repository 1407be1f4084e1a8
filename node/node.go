package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/api"
	"httpdhs/dataplane"
	"httpdhs/internal/slowlog"
	"httpdhs/kv"
	"httpdhs/membership"
	"httpdhs/peer"
	"httpdhs/ring"
	"httpdhs/server"
	"httpdhs/shard"
	"httpdhs/topology"
)

// exchangeSlack is what a message between nodes may hold beyond the largest value.
const exchangeSlack = 64 << 20

// Node is a running member of a cluster. view is what it tells of itself and the others, roster how
// it follows and changes the members.
type Node struct {
	*parts
	life
	view   *view
	roster *roster

	bound    bound        // of connections
	slow     *slowlog.Log // nil: off
	server   *server.Server
	resp     *respServer // nil: the node does not speak the Redis protocol
	hosts    *hosts      // of members; nil: a secret tells who is one
	pprof    *sideServer // nil: none
	metrics  *sideServer // nil: none
	listener net.Listener
}

// parts are what a node is put together from. All are made before anything runs.
type parts struct {
	cfg     Config
	log     *slog.Logger
	store   *shard.Store
	members *membership.Membership
	plane   *dataplane.Plane
	wall    *kv.Wall // the time by which the node goes
	clock   *kv.Clock
	synced  *membership.Attendance

	respAddr string // where clients of the Redis protocol reach the node; empty: nowhere
}

// life is how far the node has come.
type life struct {
	started  time.Time
	draining atomic.Bool // by Drain: it is to stop
	stopping atomic.Bool
	ending   chan struct{} // closed when either begins
	quit     chan struct{} // closed when stopping begins
	quitOnce sync.Once
	start    start
	serving  sync.WaitGroup // what runs until the node stops
	failed   chan error     // what ended serving, if not Shutdown

	endingOnce sync.Once
}

// fail delivers an error that ends serving, if none has before.
func (l *life) fail(err error) {
	select {
	case l.failed <- err:
	default:
	}
}

// end begins the stopping.
func (l *life) end() {
	l.stopping.Store(true)
	l.announce()
	l.quitOnce.Do(func() { close(l.quit) })
}

// Open starts a node. It listens when Open returns, and is ready when Ready
// says so.
func Open(cfg Config) (n *Node, err error) {
	cfg.setDefaults()
	cfg.canonicalNames()
	if cfg.Disk == nil {
		cfg.Disk, err = openDisk(&cfg)
	}
	if err == nil {
		n, err = open(cfg)
	}
	if err == nil {
		return n, nil
	}
	if cfg.Listener != nil {
		err = errors.Join(err, cfg.Listener.Close())
	}
	if cfg.Disk != nil {
		err = errors.Join(err, cfg.Disk.Close())
	}
	return nil, err
}

func open(cfg Config) (_ *Node, err error) {
	n := &Node{
		parts: &parts{cfg: cfg, log: cfg.Log},
		life:  life{started: time.Now(), ending: make(chan struct{}), quit: make(chan struct{}), failed: make(chan error, 1)},
	}
	n.start.prepare(n.parts)
	n.roster = &roster{parts: n.parts, life: &n.life, left: make(chan struct{})}
	n.view = &view{parts: n.parts, life: &n.life}
	if cfg.ClusterSecret == "" {
		n.hosts = newHosts(n.memberHosts, cfg.Lookup, n.quit)
	}
	if cfg.ProbeEvery > topology.ProbeEveryMax {
		return nil, fmt.Errorf("ProbeEvery is %s, want at most %s", cfg.ProbeEvery, topology.ProbeEveryMax)
	}
	// What the settings alone can be wrong in is said before anything is opened.
	if _, err := ring.New([]ring.Node{{Name: cfg.Name, Weight: cfg.Weight, Zone: cfg.Zone}}, cfg.ringSettings()); err != nil {
		return nil, err
	}
	if err := checkMemory(&cfg); err != nil {
		return nil, err
	}
	if err := cfg.Web.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	files := cmp.Or(cfg.OpenFiles, OpenFiles())
	if n.bound, err = connBound(files, cfg.connsAside(), cfg.Resp.on()); err != nil {
		return nil, err
	}
	n.bound.within(cfg.Memory.Conns)
	if n.listener = cfg.Listener; n.listener == nil {
		if n.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w; give another --port, or --bind", cfg.Listen, err)
		}
	}
	err = n.listenResp()
	if err == nil {
		err = n.wire()
	}
	if err != nil {
		return nil, errors.Join(err, n.listener.Close(), n.resp.close())
	}
	n.logStart()
	n.warnOpen()
	n.warnPages()
	if cfg.Disk == nil {
		n.begin()
	}
	n.serve()
	return n, nil
}

// serve begins to answer. A node with a disk takes part when it has loaded.
func (n *Node) serve() {
	cfg := &n.cfg
	formed := n.members.Formed()
	listener := n.listener
	if cfg.ServerTLS != nil {
		listener = server.SecureListener(listener, cfg.ServerTLS)
	}
	n.serving.Go(func() {
		if err := n.server.Serve(listener); err != nil {
			n.log.Error("serving ended", "error", err)
			n.fail(err)
		}
	})
	n.resp.serve(n)
	if n.hosts != nil {
		n.serving.Go(n.hosts.run)
	}
	n.serving.Go(func() { n.synced.Run(n.quit) })
	if formed { // else whom it joins asks
		n.serving.Go(func() { n.roster.lookForTwin(n.view.Ready) })
	}
	if cfg.Disk != nil {
		n.serving.Go(n.load)
	}
}

// openStore makes the store, which tells the disk of its changes.
func (n *Node) openStore() (err error) {
	cfg := &n.cfg
	eviction := shard.EvictNone
	if cfg.Eviction != "" {
		if eviction, err = shard.ParseEviction(cfg.Eviction); err != nil {
			return err
		}
	}
	n.wall = kv.NewWall(nil)
	n.clock = kv.NewClock(0, n.wall.Now)
	var journal shard.Journal
	if cfg.Disk != nil {
		journal = cfg.Disk
	}
	n.store, err = shard.Open(shard.Options{
		Now:        n.wall.Expiry,
		Journal:    journal,
		Partitions: cfg.Partitions, MaxBytes: cfg.MaxMemory, Eviction: eviction, Grace: n.grace(),
	})
	return err
}

// grace is that of tombstones, for which the time does not count in which the node did not run.
func (n *Node) grace() kv.Grace {
	g := kv.Grace{Keep: n.cfg.TombstoneGrace}
	if n.cfg.Disk == nil {
		return g
	}
	if ran := n.cfg.Disk.Ran(); !ran.IsZero() {
		g.OffFrom, g.OffFor = ran.UnixMilli(), max(n.started.Sub(ran), 0)
	}
	return g
}

// wire makes the parts and hands each to those that need it.
func (n *Node) wire() (err error) {
	if err := n.openStore(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.unwire())
		}
	}()
	cfg := &n.cfg
	if err := n.newMembers(); err != nil {
		return err
	}
	n.plane, err = dataplane.New(&dataplane.Options{
		Name:       cfg.Name,
		Members:    n.roster,
		Ring:       cfg.ringSettings(),
		Store:      n.store,
		Clock:      n.clock,
		Wall:       n.wall,
		Limits:     cfg.Limits,
		Log:        n.log,
		Dial:       n.dial,
		QueueBytes: cfg.HintBytes,
		QueuesSum:  int(cfg.Memory.QueueBytes),
		ProbeEvery: cfg.ProbeEvery,
		SyncRate:   cfg.SyncRate,
		EvictAfter: cfg.EvictAfter,
		Hello:      n.members.ServeHello,
		Stats:      n.view.tally,
		Boot:       rand.Uint64() | 1,
		Grace:      n.grace(),
		Starting:   n.start.err,
		Describe:   n.view.describe,
	})
	if err != nil {
		return err
	}
	if cfg.Disk == nil {
		if err := n.roster.follow(); err != nil {
			return err
		}
	}
	return n.wireServers()
}

// unwire closes the parts that there are.
func (n *Node) unwire() error { return errors.Join(n.unplug(), n.store.Close()) }

// unplug closes the parts that there are but the store.
func (n *Node) unplug() error {
	if n.members != nil {
		n.members.Close()
	}
	if n.plane != nil {
		n.plane.Close()
	}
	return errors.Join(n.metrics.close(), n.pprof.close())
}

// dial makes the transport to the node at addr.
func (p *parts) dial(addr string) peer.Transport { return p.dialAt(membership.At(addr)) }

// dialAt is dial for a place that may have been found by a name. The node there is called by that
// name, and so its certificate has to be for it.
func (p *parts) dialAt(to membership.Place) *peer.FrameTransport {
	t := peer.NewFrameTransport(cmp.Or(to.Name, to.Addr), p.cfg.ClusterSecret, p.cfg.ClientTLS, p.cfg.Limits.MaxValueBytes)
	t.Addr, t.Dial, t.LookUp = to.Addr, p.cfg.Dial, p.lookup
	return t
}

const (
	// evictingPartitionBytes is what a partition needs, where values are evicted, for most of its
	// memory to be values: the rest are the pages of its two queues and its table.
	evictingPartitionBytes = 64 << 10

	// evictingPartitionLeast is what it needs at all. One tombstone in it, which is not evicted,
	// keeps 16 KiB: pages of its table, of what finds what is due, and of its queues. With hardly
	// more, a delete or an expiry in each partition would fill the store for their grace.
	evictingPartitionLeast = 32 << 10
)

// checkMemory says what is wrong with a bound on memory at which values are evicted.
func checkMemory(cfg *Config) error {
	if least := int64(cfg.Partitions) * evictingPartitionLeast; eviction(cfg) && cfg.MaxMemory < least {
		return fmt.Errorf("%w: --max-memory is %d bytes, and --eviction %s needs at least %d, %d KiB for each of %d partitions, or deletes alone would fill it: give it more (%d KiB each is good), or the cluster fewer --partitions",
			ErrConfig, cfg.MaxMemory, cfg.Eviction, least, evictingPartitionLeast>>10, cfg.Partitions, evictingPartitionBytes>>10)
	}
	return nil
}

func eviction(cfg *Config) bool {
	return cfg.Eviction != "" && cfg.Eviction != shard.EvictNone.String()
}

// logStart tells the settings in effect.
func (n *Node) logStart() {
	cfg := &n.cfg
	settings := cfg.ringSettings()
	n.log.Info("node starts",
		"name", cfg.Name, "listen", n.listener.Addr().String(), "version", cfg.Version,
		"members", len(cfg.Members), "join", cfg.Join, "data_dir", cfg.Data.Dir, "sync", cfg.Data.Sync, "max_disk", cfg.Data.MaxBytes, "replicas", settings.Replicas,
		"partitions", settings.Partitions, "partitioner", settings.Partitioner, "weight", cfg.Weight, "zone", cfg.Zone,
		"max_key_bytes", cfg.Limits.MaxKeyBytes, "max_value_bytes", cfg.Limits.MaxValueBytes,
		"max_memory", cfg.MaxMemory, "eviction", cmp.Or(cfg.Eviction, "none"), "hint_bytes", cfg.HintBytes,
		"sync_rate", cfg.SyncRate, "evict_after", cfg.EvictAfter, "tombstone_grace", cfg.TombstoneGrace,
		"auth", cfg.AuthToken != "", "cluster_secret", cfg.ClusterSecret != "",
		"tls", cfg.ServerTLS != nil, "pprof", cfg.PprofAddr, "resp", n.respAddr, "cors_origins", cfg.Web.Origins, "hosts", cfg.Web.Hosts)
	n.bound.tell(n.log, cfg.OpenFiles == 0)
	if least := int64(cfg.Partitions) * evictingPartitionBytes; eviction(cfg) && cfg.MaxMemory < least {
		n.log.Warn("so little memory makes a poor cache, since each partition takes some pages of its own: give --max-memory more, or the cluster fewer --partitions", "max_memory", cfg.MaxMemory, "partitions", cfg.Partitions, "good", least)
	}
	if known := len(n.members.Members()); n.members.Formed() && cfg.Replicas > known {
		n.log.Warn("fewer nodes than replicas: each key has one copy a node", "replicas", cfg.Replicas, "nodes", known)
	}
}

// warnOpen says what anybody may do to a node that other machines reach, and what to set against
// that.
func (n *Node) warnOpen() {
	if n.pprof != nil && !isLoopback(n.pprof.addr) {
		n.log.Warn("WHOEVER REACHES THE PROFILER'S PORT may look into this process, and take its time: give --pprof-addr an address of the loopback", "listen", n.pprof.addr.String())
	}
	if n.metrics != nil && !isLoopback(n.metrics.addr) && n.cfg.MetricsToken == "" && n.cfg.AuthToken == "" {
		n.log.Warn("whoever reaches the metrics port may read the metrics: set --metrics-token-file, or keep strangers from it", "listen", n.metrics.addr.String())
	}
	addr, ok := n.listener.Addr().(*net.TCPAddr)
	if !ok || addr.IP.IsLoopback() {
		return
	}
	var may, set []string
	if n.cfg.AuthToken == "" {
		may, set = append(may, "read, change and delete all data"), append(set, "--auth-token-file")
	}
	if n.cfg.ClusterSecret == "" {
		may, set = append(may, "join the cluster"), append(set, "--cluster-secret-file")
	}
	if len(set) > 0 {
		n.log.Warn("WHOEVER REACHES THIS PORT may "+strings.Join(may, ", and ")+": set "+strings.Join(set, " and "), "listen", addr.String())
	}
}

// Ready says whether the node serves its share of the keys, or else why not.
func (n *Node) Ready() (ok bool, reason string) { return n.view.Ready() }

// Cluster tells how the members are, and asks them until the deadline.
func (n *Node) Cluster(deadline time.Time) api.Cluster { return n.view.Cluster(deadline) }

// Ring is the partition table in use; not to be modified.
func (n *Node) Ring() *api.Ring { return n.view.Ring() }

// Left is closed when the node has left the cluster: all that is left to do is Shutdown.
func (n *Node) Left() <-chan struct{} { return n.roster.left }

// Failed delivers the error with which serving ended by itself.
func (n *Node) Failed() <-chan error { return n.failed }

// Addr is where the node listens.
func (n *Node) Addr() net.Addr { return n.listener.Addr() }

// URL is where clients on this machine find the node.
func (n *Node) URL() string {
	scheme := "http://"
	if n.cfg.ServerTLS != nil {
		scheme = "https://"
	}
	return scheme + n.listener.Addr().String()
}

// Shutdown stops the node. It is not ready any more, accepts nothing more, answers what it was
// asked, hands over what its queues hold, and lets go. Past the end of ctx it waits for nothing;
// the error says what was left. Members take it as a restart: the node stays one of them.
func (n *Node) Shutdown(ctx context.Context) error {
	n.end()
	n.log.Info("node stops")
	n.start.wait()
	// Requests that wait for a peer could take all the time there is. After most of it the queues
	// are handed over as far as they can be. Then the data plane is closed. So whoever still waits
	// is answered while there is a connection to answer on.
	most, cancelMost := fraction(ctx, 3, 4)
	defer cancelMost()
	nearlyAll, cancelNearlyAll := fraction(ctx, 7, 8)
	defer cancelNearlyAll()
	handOver := sync.OnceValue(func() error {
		defer n.plane.Close()
		return n.plane.Topology.Drain(nearlyAll)
	})
	stop := context.AfterFunc(most, func() { _ = handOver() })
	var servers [2]error
	var stopping sync.WaitGroup
	stopping.Go(func() { servers[0] = n.server.Shutdown(ctx) })
	stopping.Go(func() { servers[1] = n.resp.stop(ctx) })
	stopping.Wait()
	errs := servers[:]
	stop()
	errs = append(errs, handOver())
	n.serving.Wait()
	err := errors.Join(append(errs, n.unplug(), n.closeDisk(), n.store.Close())...) // the disk goes by what the store has
	n.log.Info("node stopped", "after", time.Since(n.started).Round(time.Millisecond), "error", err)
	return err
}

// fraction is ctx with num/den of the time that it has left.
func fraction(ctx context.Context, num, den time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*num/den)
}

// Kill drops the node as a crash does: nothing is drained, nobody is told.
func (n *Node) Kill() {
	n.end()
	n.start.wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.plane.Close()
	_ = n.server.Shutdown(ctx) // its deadline is over: that is the point
	_ = n.resp.stop(ctx)
	n.serving.Wait()
	if n.cfg.Disk != nil {
		n.cfg.Disk.Kill() // before the store, which is emptied
	}
	_ = n.unwire()
}

func (n *Node) closeDisk() error {
	if n.cfg.Disk == nil {
		return nil
	}
	return n.cfg.Disk.Close()
}
