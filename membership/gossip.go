package membership

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/zeebo/xxh3"
)

const (
	broadcastFormat = 1 // first byte of a broadcast; an entry as JSON follows

	inboxBroadcasts = 256
	inboxStates     = 8

	resolveTimeout = 5 * time.Second
)

// gossip is memberlist and what it needs. A nil *gossip is none at all: nobody is alive in it.
//
// Its delegate methods run on memberlist's loops and under its locks: they copy, hand over and return.
type gossip struct {
	list       *memberlist.Memberlist
	queue      *memberlist.TransmitLimitedQueue
	self       string
	port       int           // that was bound
	state      func() []byte // this node's hello, for the state exchange; nil while there is none to give
	came       func(name string)
	broadcasts chan []byte
	states     chan []byte

	mu     sync.Mutex
	alive  map[string]struct{} // guarded by mu: whom memberlist takes for alive, this node left out
	closed bool                // guarded by mu

	ending sync.Mutex // held while memberlist says goodbye or ends
	ended  bool       // guarded by ending
}

// dialer is memberlist's transport, but for connections that are being opened when this node closes.
type dialer struct {
	*memberlist.NetTransport
	ctx context.Context
}

// DialAddressTimeout is a method of memberlist's NodeAwareTransport.
func (d dialer) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return (&net.Dialer{Timeout: timeout}).DialContext(d.ctx, "tcp", a.Addr)
}

// DialTimeout is a method of memberlist's Transport.
func (d dialer) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return d.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// gossipKey derives memberlist's key, which is AES-256-GCM's, from the cluster secret: HKDF (RFC 5869) with SHA-256,
// no salt, and a label that keeps it apart from all other uses of the secret. It is not stretched: a secret that
// can be guessed can be guessed from a packet.
func gossipKey(secret string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(secret), nil, "httpdhs memberlist key 1", 32)
}

// gossipConfig tunes memberlist for a handful of nodes up to a few hundred. With n nodes:
//
//	a node probes another every ProbeInterval, so that a killed one is probed within about that time, and suspect one
//	ProbeInterval later, after UDP, IndirectChecks detours and TCP have all failed;
//	it is dead SuspicionMult * max(1, log10(n)) * ProbeInterval after that: 3 s for up to ten nodes. From six nodes on
//	that takes SuspicionMult-2 others who suspect it too; with fewer, up to SuspicionMaxTimeoutMult times as long.
//
// So one that is killed is known after about 4 s (the data plane's own probes know at once, and do not wait for it),
// and one that is stopped for 2 s has more than a second left to hear that it is suspect, and to refute. One that is
// starved itself notices by its own failed probes, and takes up to AwarenessMaxMultiplier times as long for each.
func gossipConfig(interval, exchange time.Duration) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.ProbeInterval = interval
	c.ProbeTimeout = interval * 2 / 5
	c.IndirectChecks = 3
	c.SuspicionMult = 6
	c.SuspicionMaxTimeoutMult = 2
	c.AwarenessMaxMultiplier = 8
	c.RetransmitMult = 4 // a broadcast is sent RetransmitMult * ceil(log10(n+1)) times
	c.GossipInterval = interval / 5
	c.GossipNodes = 3
	c.GossipToTheDeadTime = 30 * time.Second
	c.PushPullInterval = exchange
	c.TCPTimeout = 3 * time.Second

	// A restarted node may come back at another address (a free port, another container). Nothing but its name counts.
	c.DeadNodeReclaimTime = time.Millisecond
	return c
}

// openGossip binds memberlist. Nobody is joined yet. Connections are no longer opened once ctx is done.
func openGossip(ctx context.Context, o *Options, state func() []byte, came func(string)) (*gossip, error) {
	g := &gossip{
		self: o.Self.Name, state: state, came: came,
		broadcasts: make(chan []byte, inboxBroadcasts), states: make(chan []byte, inboxStates),
		alive: make(map[string]struct{}),
	}
	c := gossipConfig(o.pace.probe, o.pace.exchange)
	c.Name = o.Self.Name
	c.Delegate, c.Events = g, g
	c.Logger = log.New(slogWriter{o.Log}, "", 0)
	// Nodes whose settings or messages differ drop each other's packets: a hello says why.
	label := strconv.AppendUint([]byte("httpdhs/1/"), xxh3.HashString(fmt.Sprintf("%+v", o.Settings)), 16)
	c.Label = string(label)
	if o.Secret != "" {
		key, err := gossipKey(o.Secret)
		if err != nil {
			return nil, fmt.Errorf("cannot derive the key of the gossip: %w", err)
		}
		c.SecretKey = key
	}
	bind, advertise, err := gossipAddrs(ctx, o)
	if err != nil {
		return nil, err
	}
	transport, err := listenGossip(bind, o.GossipPort, c.Logger)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for gossip: %w", err)
	}
	g.port = transport.GetAutoBindPort()
	c.BindPort = g.port
	c.AdvertiseAddr, c.AdvertisePort = advertise, c.BindPort
	c.Transport = dialer{transport, ctx}
	if o.wrap != nil {
		c.Transport = o.wrap(c.Transport.(dialer))
	}
	g.queue = &memberlist.TransmitLimitedQueue{RetransmitMult: c.RetransmitMult, NumNodes: g.size}
	if g.list, err = memberlist.Create(c); err != nil {
		_ = transport.Shutdown()
		return nil, fmt.Errorf("cannot start gossip: %w", err)
	}
	return g, nil
}

// listenGossip binds a port for both TCP and UDP. A free port of the one may be taken for the other.
func listenGossip(bind string, port int, logger *log.Logger) (t *memberlist.NetTransport, err error) {
	attempts := 1
	if port == 0 {
		attempts = 10
	}
	for range attempts {
		t, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{bind}, BindPort: port, Logger: logger})
		if err == nil {
			return t, nil
		}
	}
	return nil, err
}

// gossipAddrs are the addresses to bind and to advertise. memberlist wants numbers.
func gossipAddrs(ctx context.Context, o *Options) (bind, advertise string, err error) {
	if o.Bind != "" {
		if bind, err = resolve(ctx, o.Bind); err != nil {
			return "", "", fmt.Errorf("cannot listen for gossip: %w", err)
		}
	}
	host, _, _ := net.SplitHostPort(o.Self.Name)
	if advertise, err = resolve(ctx, host); err == nil {
		return bind, advertise, nil
	}
	if ip := net.ParseIP(bind); ip != nil && !ip.IsUnspecified() {
		return bind, bind, nil
	}
	return "", "", fmt.Errorf("cannot advertise gossip at the host of %s: %w", o.Self.Name, err)
}

// resolve returns an address of a host, an IPv4 one if there is.
func resolve(ctx context.Context, host string) (string, error) {
	if ip := net.ParseIP(host); ip != nil {
		return ip.String(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return "", err
	}
	for _, addr := range addrs {
		if addr.IP.To4() != nil {
			return addr.IP.String(), nil
		}
	}
	return addrs[0].IP.String(), nil
}

// join exchanges states with the memberlist at a host:port.
func (g *gossip) join(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ip, err := resolve(ctx, host) // memberlist's own look-up asks for more than is needed, with no bound on the time
	if err != nil {
		return err
	}
	_, err = g.list.Join([]string{net.JoinHostPort(ip, port)})
	return err
}

// isAlive says whether memberlist takes the member for alive.
func (g *gossip) isAlive(name string) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.alive[name]
	return ok
}

// size is how many nodes memberlist knows to be alive, this one included.
func (g *gossip) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.alive) + 1
}

// tell passes entries on. A later one of the same name takes the place of one that still waits.
func (g *gossip) tell(entries []Member) {
	if g == nil {
		return
	}
	for _, entry := range entries {
		data, err := json.Marshal(entry)
		if err != nil {
			panic("BUG: an entry cannot be encoded: " + err.Error())
		}
		g.queue.QueueBroadcast(broadcast{name: entry.Name, message: append([]byte{broadcastFormat}, data...)})
	}
}

// leave says goodbye. memberlist panics when that comes after its end.
func (g *gossip) leave(timeout time.Duration) error {
	if g == nil {
		return nil
	}
	g.ending.Lock()
	defer g.ending.Unlock()
	if g.ended {
		return ErrClosed
	}
	return g.list.Leave(timeout)
}

func (g *gossip) close() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.ending.Lock()
	defer g.ending.Unlock()
	g.ended = true
	return g.list.Shutdown()
}

// NodeMeta is a method of memberlist's delegate. All that there is to say is in the map.
func (g *gossip) NodeMeta(int) []byte { return nil }

// NotifyMsg is a method of memberlist's delegate: a broadcast came.
func (g *gossip) NotifyMsg(message []byte) { g.handOver(g.broadcasts, message) }

// GetBroadcasts is a method of memberlist's delegate.
func (g *gossip) GetBroadcasts(overhead, limit int) [][]byte {
	return g.queue.GetBroadcasts(overhead, limit)
}

// LocalState is a method of memberlist's delegate: what to send in a state exchange.
func (g *gossip) LocalState(bool) []byte { return g.state() }

// MergeRemoteState is a method of memberlist's delegate: what came in a state exchange.
func (g *gossip) MergeRemoteState(state []byte, _ bool) { g.handOver(g.states, state) }

// handOver copies: memberlist goes on using the buffer. What does not fit is dropped, for the next exchange brings it.
func (g *gossip) handOver(to chan<- []byte, message []byte) {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed || len(message) == 0 || len(message) > maxHelloBytes {
		return
	}
	select {
	case to <- bytes.Clone(message):
	default:
	}
}

// NotifyJoin is a method of memberlist's event delegate: a node came, or came back.
func (g *gossip) NotifyJoin(node *memberlist.Node) {
	if node.Name == g.self {
		return
	}
	g.mu.Lock()
	g.alive[node.Name] = struct{}{}
	closed := g.closed
	g.mu.Unlock()
	if !closed {
		g.came(node.Name)
	}
}

// NotifyLeave is a method of memberlist's event delegate: a node is dead, or has left.
func (g *gossip) NotifyLeave(node *memberlist.Node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.alive, node.Name)
}

// NotifyUpdate is a method of memberlist's event delegate.
func (g *gossip) NotifyUpdate(*memberlist.Node) {}

// decodeBroadcast reads and checks an entry that came from outside.
func decodeBroadcast(message []byte) (entry Member, err error) {
	if len(message) == 0 || message[0] != broadcastFormat {
		return Member{}, fmt.Errorf("%w: a broadcast of another format", ErrBadHello)
	}
	if err := json.Unmarshal(message[1:], &entry); err != nil {
		return Member{}, fmt.Errorf("%w: %w", ErrBadHello, err)
	}
	return entry, entry.validate()
}

// broadcast is a message that waits to be sent.
type broadcast struct {
	name    string
	message []byte
}

// Name makes it a memberlist.NamedBroadcast: one of a name waits at a time.
func (b broadcast) Name() string { return b.name }

// Invalidates is not asked for broadcasts that have a name.
func (b broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(broadcast)
	return ok && o.name == b.name
}

// Message returns what is sent.
func (b broadcast) Message() []byte { return b.message }

// Finished is called when the message needs no more sending.
func (b broadcast) Finished() {}

// slogWriter makes memberlist's log ours. It is for those who look for a fault in the gossip itself.
type slogWriter struct{ log *slog.Logger }

func (w slogWriter) Write(line []byte) (int, error) {
	w.log.Debug(string(bytes.TrimSpace(line)))
	return len(line), nil
}
