package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/node"
)

// serverCmd runs one node.
type serverCmd struct {
	Port      int    `default:"1234" help:"Port to serve on."`
	Bind      string `default:"127.0.0.1" help:"Address to serve on; 0.0.0.0 for all of this machine."`
	Advertise string `placeholder:"HOST:PORT" help:"Where other nodes and clients reach this one; also its name. By default its line in --conf, else bind and port, or localhost and port if it joins localhost."`
	Conf      string `placeholder:"FILE" help:"File with the host:port of every node known at start, one a line."`
	Zone      string `unset:"" help:"Where the machine stands; the replicas of a key go to different zones."`
	Weight    int    `default:"1" help:"Share of the data, relative to other nodes."`

	GossipPort *string `hidden:"" help:"Ignored: there is no second port any more."` // start scripts still have it

	EvictAfter time.Duration `default:"5m" meant:"m" help:"How long a node has to be down, as a majority sees it, before it is taken off the ring; 0 is never."`
	SyncRate   byteSize      `default:"8MiB" least:"1KiB" meant:"MiB" help:"Most bytes a second that the node fetches from others to hold what it owns, and hands over; 0 is no bound."`

	joinFlags
	clusterFlags
	memoryFlags
	storeFlags
	diskFlags
	respFlags
	metricsFlags
	logFlags
	securityFlags
	stopFlags
	webFlags
	slowFlags

	PprofAddr string `placeholder:"HOST:PORT" help:"Serve net/http/pprof there."`
}

// clusterFlags have to be the same at all nodes.
type clusterFlags struct {
	Replicas    int    `default:"2" help:"Copies of each key."`
	Partitioner string `default:"ring" enum:"ring,rendezvous,modulus" help:"How partitions are dealt to nodes: ${enum}."`
	Partitions  int    `default:"1024" help:"Number of partitions, a power of two."`
}

// storeFlags bound what a node keeps.
type storeFlags struct {
	Eviction       string        `default:"none" enum:"none,s3-fifo" help:"What happens at --max-memory: none refuses what needs more, s3-fifo forgets what was not used lately. ${enum}."`
	MaxKeyBytes    byteSize      `default:"4096" least:"16" meant:"KiB" help:"Longest key."`
	MaxValueBytes  byteSize      `default:"8MiB" least:"1KiB" meant:"MiB" help:"Largest value."`
	TombstoneGrace time.Duration `default:"1h" meant:"h" help:"How long a delete is remembered; a node that was away longer comes back empty."`
}

// logFlags say what is logged, on stderr.
type logFlags struct {
	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"Least level to log: ${enum}."`
	LogFormat string `default:"text" enum:"text,json" help:"Format of the log: ${enum}."`
	AccessLog bool   `help:"Log every request."`
}

func (f *clusterFlags) check() error {
	switch {
	case f.Replicas < 1 || f.Replicas > node.ReplicasMax:
		return fmt.Errorf("--replicas is %d, want 1 to %d", f.Replicas, node.ReplicasMax)
	case f.Partitions < 1 || f.Partitions > node.PartitionsMax || f.Partitions&(f.Partitions-1) != 0:
		return fmt.Errorf("--partitions is %d, want a power of two from 1 to %d", f.Partitions, node.PartitionsMax)
	}
	return nil
}

func (f *storeFlags) check() error {
	const lengthMax = 1 << 30
	switch {
	case f.MaxKeyBytes < 1 || f.MaxKeyBytes > lengthMax:
		return fmt.Errorf("--max-key-bytes is %d, want 1 to %d", f.MaxKeyBytes, lengthMax)
	case f.MaxValueBytes < 1 || f.MaxValueBytes > lengthMax:
		return fmt.Errorf("--max-value-bytes is %d, want 1 to %d", f.MaxValueBytes, lengthMax)
	case f.TombstoneGrace == 0:
		return errors.New("--tombstone-grace is 0, want more")
	}
	return nil
}

// limits of one record, for a node or for a reader of files.
func limits(key, value byteSize) kv.Limits {
	return kv.Limits{MaxKeyBytes: int(key), MaxValueBytes: int(value)}
}

// Validate is called by kong: what is wrong here is a fault in the usage.
func (cmd *serverCmd) Validate() error {
	cmd.Bind = strings.TrimSuffix(strings.TrimPrefix(cmd.Bind, "["), "]") // an IPv6 address as it is written before a port
	switch {
	case cmd.Port < 1 || cmd.Port > 65535:
		return fmt.Errorf("--port is %d, want 1 to 65535", cmd.Port)
	case cmd.Weight < 1 || cmd.Weight > node.WeightMax:
		return fmt.Errorf("--weight is %d, want 1 to %d", cmd.Weight, node.WeightMax)
	case len(cmd.Zone) > node.ZoneBytesMax:
		return fmt.Errorf("--zone has %d bytes, want at most %d", len(cmd.Zone), node.ZoneBytesMax)
	}
	if err := cmd.checkAddrs(); err != nil {
		return err
	}
	return errors.Join(
		cmd.joinFlags.check(cmd.Conf), cmd.clusterFlags.check(), cmd.memoryFlags.check(cmd.MaxValueBytes), cmd.storeFlags.check(), cmd.diskFlags.check(cmd.MaxValueBytes),
		cmd.respFlags.check(cmd.Port, cmd.Replicas), cmd.securityFlags.check(), cmd.stopFlags.check(), cmd.webFlags.check(),
		cmd.metricsFlags.check(cmd.Port, int(cmd.RespPort)))
}

// checkAddrs says which of the addresses of nodes cannot be one.
func (cmd *serverCmd) checkAddrs() error {
	if _, _, err := splitHostPort(net.JoinHostPort(cmd.Bind, strconv.Itoa(cmd.Port))); err != nil {
		return fmt.Errorf("--bind is %q, want an address of this machine", cmd.Bind)
	}
	if err := checkListen(cmd.PprofAddr); cmd.PprofAddr != "" && err != nil {
		return fmt.Errorf("--pprof-addr %w", err)
	}
	if cmd.Advertise == "" {
		return nil
	}
	return checkReachable("--advertise", cmd.Advertise)
}

// checkListen says what is wrong with an address to listen on. It may have no host.
func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("is %q, want HOST:PORT or :PORT", addr)
	}
	return nil
}

func (cmd *serverCmd) Run(ctx context.Context, term *terminal) error {
	self := thisMachine()
	cfg, plan, err := cmd.config(self)
	if err != nil {
		return &usageError{err}
	}
	cfg.Log = cmd.logger(term)
	if open := cmd.memoryFlags.open(); len(open) > 0 {
		self.room.tell(cfg.Log, open)
	}
	warnOfOpen(cfg.Log, cmd.secretFiles())
	if plan != nil {
		plan.begin(cfg.Log, self.room.limit, 1)
	}
	if cmd.GossipPort != nil {
		cfg.Log.Warn("--gossip-port is ignored: nodes need no second port any more; remove the flag", "given", *cmd.GossipPort)
	}
	n, err := node.Open(cfg)
	if errors.Is(err, node.ErrConfig) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	defer close(stopped)
	supervise(n, cfg.Log, stopped)
	err = untilOver(ctx, cmd.ShutdownTimeout, n)
	if ctx.Err() == nil { // nobody has told it to stop
		stay(n, cmd.DrainDelay, cfg.Log)
	}
	return err
}

// config is what the flags, and the files that they name, say about the node. The plan of its
// memory is nil where there is no limit.
func (cmd *serverCmd) config(self *machine) (cfg node.Config, plan *memoryPlan, err error) {
	cfg = node.Config{
		Listen:         net.JoinHostPort(cmd.Bind, strconv.Itoa(cmd.Port)),
		Replicas:       cmd.Replicas,
		Partitions:     cmd.Partitions,
		Partitioner:    cmd.Partitioner,
		Weight:         cmd.Weight,
		Zone:           cmd.Zone,
		EvictAfter:     cmd.EvictAfter,
		SyncRate:       cmp.Or(int(cmd.SyncRate), -1),
		Limits:         limits(cmd.MaxKeyBytes, cmd.MaxValueBytes),
		Eviction:       cmd.Eviction,
		TombstoneGrace: cmd.TombstoneGrace,
		DrainDelay:     cmd.DrainDelay,
		AccessLog:      cmd.AccessLog,
		SlowLog:        cmd.SlowLog,
		PprofAddr:      cmd.PprofAddr,
		Version:        versionName(),
		Web:            cmd.webFlags.config(),
	}
	cmd.joinFlags.apply(&cfg)
	cmd.diskFlags.apply(&cfg)
	if err := cmd.name(&cfg, self); err != nil {
		return cfg, nil, err
	}
	if err := cmd.respFlags.apply(&cfg, cmd.Bind); err != nil {
		return cfg, nil, err
	}
	if err := cmd.metricsFlags.apply(&cfg, cmd.Bind); err != nil {
		return cfg, nil, err
	}
	if plan, err = cmd.memoryFlags.apply(&cfg, self.room); err != nil {
		return cfg, nil, err
	}
	return cfg, plan, cmd.securityFlags.apply(&cfg)
}

// name finds out who the node is and with whom.
func (cmd *serverCmd) name(cfg *node.Config, self *machine) error {
	if cmd.Conf == "" {
		cfg.Name = cmd.Advertise
		if cfg.Name == "" {
			cfg.Name = net.JoinHostPort(cmd.host(self), strconv.Itoa(cmd.Port))
		}
		return nil
	}
	nodes, err := readConf(cmd.Conf)
	if err != nil {
		return err
	}
	cfg.Name, err = findSelf(cmd.Conf, nodes, cmd.Advertise, cmd.Port, self)
	if err == nil {
		err = wantApart(cmd.Conf, nodes, self)
	}
	for _, n := range nodes {
		cfg.Members = append(cfg.Members, n.addr)
	}
	return err
}

// host is the host of the node's name where nothing says it. On 127.0.0.1 a node is called as those
// are that it joins: who writes localhost for them writes it for this one too.
func (cmd *serverCmd) host(self *machine) string {
	const localhost = "localhost"
	if cmd.Bind == "127.0.0.1" && len(cmd.Join) > 0 {
		if other, _, err := splitHostPort(cmd.Join[0]); err == nil && strings.EqualFold(other, localhost) {
			return localhost
		}
	}
	return reachable(cmd.Bind, self)
}

// reachable is a host under which others find what listens on bind: all
// addresses are none.
func reachable(bind string, self *machine) string {
	if ip := net.ParseIP(bind); (bind == "" || ip != nil && ip.IsUnspecified()) && self.hostname != "" {
		return self.hostname
	}
	return bind
}

func (f *logFlags) logger(term *terminal) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(f.LogLevel))); err != nil {
		panic("BUG: a log level that kong let pass: " + f.LogLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(term.err, opts))
	}
	return slog.New(slog.NewTextHandler(term.err, opts))
}

// untilOver waits for the signal that ends ctx, has the nodes drain, and then takes them down, for
// at most timeout. It does so at the same time with all: one after the other, the last would wait
// for peers that are gone. A second signal ends the draining. One while the nodes are taken down
// has its default effect, which ends the process. Whoever sends it finds even this too slow. A node
// that leaves the cluster is taken down when it has left. The last of them ends the wait.
func untilOver(ctx context.Context, timeout time.Duration, nodes ...*node.Node) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed, left := anyFailed(ctx, nodes), anyLeft(ctx, nodes)
	nodes = slices.Clone(nodes)
	var errs []error
	for over := false; !over; over = over || len(nodes) == 0 {
		select {
		case <-ctx.Done():
			drain(nodes)
			over = true
		case err := <-failed:
			errs, over = append(errs, err), true
		case n := <-left:
			nodes = slices.DeleteFunc(nodes, func(other *node.Node) bool { return other == n })
			errs = append(errs, shutdown(timeout, []*node.Node{n}))
		}
	}
	signal.Reset(urging()...)
	return errors.Join(append(errs, shutdown(timeout, nodes))...)
}

// anyLeft passes on which nodes have left the cluster.
func anyLeft(ctx context.Context, nodes []*node.Node) <-chan *node.Node {
	left := make(chan *node.Node, len(nodes))
	for _, n := range nodes {
		go func() {
			select {
			case <-n.Left():
				left <- n
			case <-ctx.Done():
			}
		}()
	}
	return left
}

// anyFailed passes on why one of the nodes stopped serving by itself.
func anyFailed(ctx context.Context, nodes []*node.Node) <-chan error {
	failed := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() {
			select {
			case err := <-n.Failed():
				failed <- err
			case <-ctx.Done():
			}
		}()
	}
	return failed
}

func shutdown(timeout time.Duration, nodes []*node.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	errs := make([]error, len(nodes))
	var stopping sync.WaitGroup
	for i, n := range nodes {
		stopping.Go(func() { errs[i] = n.Shutdown(ctx) })
	}
	stopping.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot stop in good order: %w", err)
	}
	return nil
}
