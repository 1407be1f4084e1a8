package membership

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"httpdhs/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errUnreachable = errors.New("connection refused")

// lan carries hellos between nodes of one process.
type lan struct {
	mu    sync.Mutex
	nodes map[string]*Membership     // guarded by mu: by HTTP address
	cut   func(from, to string) bool // guarded by mu; nil: nothing is cut
	sent  map[string]int             // guarded by mu: hellos by "from>to"
	busy  map[string]int             // guarded by mu: those under way
	most  int                        // guarded by mu: at most under way between two nodes
	delay time.Duration              // of each hello
	lost  func() bool                // whether an answer is lost; nil: none is
}

func newLAN() *lan {
	return &lan{nodes: map[string]*Membership{}, sent: map[string]int{}, busy: map[string]int{}}
}

func (w *lan) hello(from string) func(context.Context, Place, []byte) ([]byte, error) {
	return func(ctx context.Context, to Place, request []byte) ([]byte, error) {
		addr := to.Addr
		pair := from + ">" + addr
		w.mu.Lock()
		node := w.nodes[addr]
		cut := w.cut != nil && w.cut(from, addr)
		w.sent[pair]++
		w.busy[pair]++
		w.most = max(w.most, w.busy[pair])
		delay := w.delay
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.busy[pair]--
		}()
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if node == nil || cut {
			return nil, errUnreachable
		}
		answer, err := node.ServeHello(request)
		w.mu.Lock()
		cut = w.cut != nil && w.cut(from, addr) // meanwhile
		w.mu.Unlock()
		if cut || w.lost != nil && w.lost() {
			return nil, errUnreachable
		}
		return answer, err
	}
}

// reaches says whether hellos get through: what a data plane would find.
func (w *lan) reaches(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[to] != nil && (w.cut == nil || !w.cut(from, to))
}

func (w *lan) setCut(cut func(from, to string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *lan) put(addr string, m *Membership) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[addr] = m
}

func (w *lan) sentTo(from, to string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[from+">"+to]
}

var sameSettings = wire.Settings{Partitions: 1024, Replicas: 2, Partitioner: "ring"}

// options of a node on the wire.
func (w *lan) options(name string) settings {
	return settings{Options: Options{
		Self: wire.Member{Name: name}, Settings: sameSettings,
		Hello: w.hello(name),
	}, Events: Events{
		Live: func(other string) bool { return w.reaches(name, other) },
	}}
}

// settings are all that a node is made of.
type settings struct {
	Options
	Events
}

// begin makes a node and starts it.
func begin(o settings) (*Membership, error) {
	m, err := New(o.Options)
	if err == nil {
		m.Start(o.Events)
	}
	return m, err
}

// open starts a node and puts it on the wire; it is closed with the test.
func (w *lan) open(t *testing.T, o settings) *Membership {
	t.Helper()
	m, err := begin(o)
	if err != nil {
		t.Fatal(err)
	}
	w.put(o.Self.Name, m)
	t.Cleanup(m.Close)
	return m
}

// static starts nodes that have the same list. change changes their settings; nil: it does not.
func (w *lan) static(t *testing.T, list, run []string, change func(name string, o *settings)) (nodes []*Membership) {
	t.Helper()
	for _, name := range run {
		o := w.options(name)
		if o.Static = list; change != nil {
			change(name, &o)
		}
		nodes = append(nodes, w.open(t, o))
	}
	return nodes
}

// kill ends a node as a crash would.
func (w *lan) kill(m *Membership) {
	w.put(m.id.name, nil)
	m.Close()
}

// joins waits until the node is part of a cluster.
func joins(t *testing.T, m *Membership) {
	t.Helper()
	select {
	case <-m.Joined():
	case <-time.After(time.Minute):
		t.Fatalf("%s has not joined after a minute: %v", m.id.name, m.Ready())
	}
}

// agree says whether all are formed and have the same map, with as many members.
func agree(members int, nodes ...*Membership) bool {
	for _, m := range nodes {
		if !m.Formed() || m.Digest() != nodes[0].Digest() || len(m.Members()) != members {
			return false
		}
	}
	return true
}

// stateOf is the state that a node knows of a member, as a word; "absent" if it knows none.
func stateOf(m *Membership, name string) string {
	for _, entry := range m.All() {
		if entry.Name == name {
			return entry.State.String()
		}
	}
	return "absent"
}

func versionOf(m *Membership, name string) uint64 {
	for _, entry := range m.All() {
		if entry.Name == name {
			return entry.Version
		}
	}
	return 0
}

// logs keeps the lines of a log.
type logs struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (l *logs) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logs) WithGroup(string) slog.Handler                    { return l }
func (l *logs) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *logs) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// levels are those of the lines that have a part, in their order.
func (l *logs) levels(part string) string {
	var all []string
	for _, line := range l.all() {
		if strings.Contains(line, part) {
			level, _, _ := strings.Cut(line, " ")
			all = append(all, level)
		}
	}
	return strings.Join(all, " ")
}

func (l *logs) count(part string) (n int) {
	for _, line := range l.all() {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}
