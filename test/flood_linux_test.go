package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"httpdhs/api"
	"httpdhs/internal/poll"
)

// A flood is clients that take connections and give nothing for them. The first node of three is
// flooded; the others are not. With make soak it is as large as one machine can make it; every
// day the node may have few files open, and so few connections. One of all kinds comes every day,
// and one of each kind alone with make thorough, too.

// underLimit has nodes run with so few files open.
func underLimit(files int) []string {
	return []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, files), "sh"}
}

// floodFleet is three nodes. The first may have so many files open, or with 0 as many as this
// process.
func floodFleet(t *testing.T, files int) *fleet {
	t.Helper()
	f := newFleet(t, 3, "--replicas=2")
	if files > 0 {
		f.ships[0].under = underLimit(files)
	}
	f.startAll()
	return f
}

// halves are requests that are not whole, for one reason or another.
var halves = []string{
	"GET /db/flood HTTP/1.1\r\nHost: localho",
	"GET /db/flood HTTP/1.1\r\nHost: localhost\r\nX: y\r\n",
	"P",
	"GET /internal/link HTTP/1.1\r\nHost: localhost\r\nConnection: Upgr",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

// The same of bodies: they make room when they have stood still for a quarter of a second.
var halfBodies = []string{
	"PUT /db/flood HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nha",
	"PUT /db/flood HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
	"POST /load-data HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
	upgrade + "ha",
}

// flood has this many clients connect to a node, send what sent says and wait for the end of the
// connection. They do so again and again, until so many have been sent. A client that is kept out
// tries again.
type flood struct {
	clients, total int
	few            bool // files: some clients may be refused
	sent           func(n int) string

	pace   *rate.Limiter
	count  atomic.Int64
	closed atomic.Int64
	stop   chan struct{}
	all    sync.WaitGroup
}

// floodPace is how many connections are made a second: with make soak as many as there can be.
var floodPace = soaked[rate.Limit](1000, rate.Inf)

func (d *flood) begin(addr string) {
	d.stop = make(chan struct{})
	d.count.Store(0)
	d.closed.Store(0)
	d.pace = rate.NewLimiter(floodPace, 100)
	for i := range d.clients {
		// Addresses of the loopback have ports of their own.
		from := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%200))}}
		d.all.Go(func() {
			for d.once(from, addr) {
			}
		})
	}
}

// once is one connection, and says whether there is to be another.
func (d *flood) once(from *net.Dialer, addr string) bool {
	select {
	case <-d.stop:
		return false
	default:
	}
	_ = d.pace.Wait(context.Background()) // which does not end
	nc, err := from.Dial("tcp", addr)
	if err != nil {
		return true
	}
	defer nc.Close()
	n := d.count.Add(1)
	_, _ = io.WriteString(nc, d.sent(int(n)))
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, nc)
		close(over)
	}()
	select {
	case <-over:
		d.closed.Add(1)
		return true
	case <-d.stop:
		_ = nc.Close()
		<-over
		return false
	}
}

func (d *flood) end() {
	close(d.stop)
	d.all.Wait()
}

// watch is who must not be disturbed: the nodes, which see each other, and clients of the one that
// is flooded.
type watch struct {
	f     *fleet
	few   bool
	stop  chan struct{}
	fresh *http.Client // with a connection for each request
	all   sync.WaitGroup

	mu                           sync.Mutex // guards all below
	looks, asks, broken, refused int
	wrong                        []string
}

func (f *fleet) watch(few bool) *watch {
	w := &watch{f: f, few: few, stop: make(chan struct{}),
		fresh: &http.Client{Timeout: poll.Patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	for i := range f.ships {
		w.begin(func(int) { w.look(i) })
	}
	w.begin(w.ask)
	return w
}

// begin does something again and again until the end.
func (w *watch) begin(do func(n int)) {
	pace := rate.NewLimiter(50, 1)
	w.all.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-w.stop:
				return
			default:
				_ = pace.Wait(context.Background()) // which does not end
				do(n)
			}
		}
	})
}

// end says what was wrong.
func (w *watch) end() []string {
	close(w.stop)
	w.all.Wait()
	w.f.t.Logf("%d looks at how the nodes see each other; %d requests of clients, of which %d lost their connection and %d were refused", w.looks, w.asks, w.broken, w.refused)
	if kept, most := w.broken+w.refused, w.asks/50; !w.few && kept > 1+most || kept > w.asks/2 {
		w.note("%d of %d clients lost their connection, and %d were refused", w.broken, w.asks, w.refused)
	}
	return w.wrong
}

func (w *watch) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// look looks how node i sees the others, on a connection that stays.
func (w *watch) look(i int) {
	doc, err := w.f.view(i)
	if err != nil && !(w.few && i == 0) { // who looks is a client too
		w.note("node %d does not say how the others are: %v", i, err)
	}
	for _, n := range doc.Nodes {
		if n.State != api.StateActive {
			w.note("to node %d %s is %s: %s", i, n.Name, n.State, n.Reason)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
}

// ask is a client that comes new, writes something and reads it. One that has not sent its request
// before thousands of others have connected loses its connection: a test with as many clients may
// be as slow.
func (w *watch) ask(n int) {
	path, value := fmt.Sprintf("/db/watched%d?timeout=30s", n%100), fmt.Sprint("value ", n)
	a := ask(w.fresh, "PUT", w.f.url(0, path), value)
	if a.ok() {
		a = ask(w.fresh, "GET", w.f.url(0, path), "")
	}
	w.mu.Lock()
	w.asks++
	refused := w.few && a.status == http.StatusServiceUnavailable
	switch {
	case a.status == 0:
		w.broken++
	case refused:
		w.refused++
	}
	w.mu.Unlock()
	if a.status != 0 && !refused && (!a.ok() || string(a.body) != value) {
		w.note("a client is told %d %.200s", a.status, a.body)
	}
}

// floodRounds is how often a flood may come until one disturbs nobody: where the processors are
// busy with something else, a node may have been silent for that.
var floodRounds = soaked(3, 1)

// withstands has a node flooded, and says that nobody was disturbed.
func (f *fleet) withstands(d *flood) {
	f.t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(d.clients+500) {
		f.t.Skipf("the test may open %d files, too few for %d clients (%v)", limit.Cur, d.clients, err)
	}
	for round := 1; ; round++ {
		wrong := f.round(d)
		if len(wrong) == 0 {
			break
		}
		for _, w := range wrong[:min(10, len(wrong))] {
			f.t.Log(w)
		}
		if round == floodRounds {
			f.t.Errorf("%d were disturbed, in the last of %d rounds too", len(wrong), round)
			break
		}
	}
	for i := range f.ships {
		if panics := f.metrics(i)["httpdhs_http_panics_total"]; panics != 0 {
			f.t.Errorf("node %d: %v panics", i, panics)
		}
	}
}

// round is one flood, and returns what was wrong meanwhile.
func (f *fleet) round(d *flood) (wrong []string) {
	f.t.Helper()
	w := f.watch(d.few)
	d.begin(f.ships[0].ask)
	f.eventually("the flood has come", func() error {
		if n := d.count.Load(); n < int64(d.total) {
			return fmt.Errorf("%d of %d half requests were sent", n, d.total)
		}
		return nil
	})
	wrong = w.end()
	d.end()
	f.awaitSettled(0, 1, 2) // until then, whoever asks for metrics may be refused, too
	m := f.metrics(0)
	f.t.Logf("%d requests were sent, %d connections closed, %v to make room, %v turned away",
		d.count.Load(), d.closed.Load(), m["httpdhs_http_evicted_connections_total"], m["httpdhs_http_rejected_connections_total"])
	return wrong
}

// ofOneKind skips a test every day for the sake of TestFloodOfAllKinds.
func ofOneKind(t *testing.T) {
	t.Helper()
	if !thorough && !soak {
		t.Skip("one of all kinds comes instead (make thorough)")
	}
}

// Half requests, as many as there can be, each sent again when its connection was closed, keep
// out neither the other nodes nor clients.
func TestFloodOfHalfRequests(t *testing.T) {
	ofOneKind(t)
	f := floodFleet(t, soaked(2048, 0))
	f.withstands(&flood{
		clients: soaked(1600, 10_800), total: soaked(3000, 40_000),
		sent: func(n int) string { return halves[n%len(halves)] },
	})
}

// The same of half bodies.
func TestFloodOfHalfBodies(t *testing.T) {
	ofOneKind(t)
	f := floodFleet(t, soaked(2048, 0))
	f.withstands(&flood{
		clients: soaked(1600, 10_800), total: soaked(3000, 40_000),
		sent: func(n int) string { return halfBodies[n%len(halfBodies)] },
	})
}

// Connections that say nothing, or nothing more, keep nobody out.
func TestFloodOfIdleConnections(t *testing.T) {
	ofOneKind(t)
	f := floodFleet(t, soaked(2048, 0))
	f.withstands(&flood{
		clients: soaked(1600, 10_800), total: soaked(3000, 40_000),
		sent: func(n int) string {
			return []string{"", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", upgrade}[n%3]
		},
	})
}

// all is of all kinds of them.
func all(n int) string {
	kinds := [][]string{halves, halfBodies, {"", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", upgrade}}
	kind := kinds[n%len(kinds)]
	return kind[n/len(kinds)%len(kind)]
}

// All of these at once keep nobody out.
func TestFloodOfAllKinds(t *testing.T) {
	f := floodFleet(t, soaked(2048, 0))
	f.withstands(&flood{clients: soaked(1600, 10_800), total: soaked(3000, 40_000), sent: all})
}

// Nor, where few files may be open, the other nodes. Clients may be refused then, for more half
// bodies may come in a quarter of a second than there are places: not half of them are.
func TestFloodWithFewFiles(t *testing.T) {
	f := floodFleet(t, 256)
	f.withstands(&flood{clients: 400, total: soaked(3000, 40_000), few: true, sent: all})
}

// A node that may have few files open says so, keeps within them, and serves on: also when more
// connections than that stay idle. With too few it does not start, and says what to do.
func TestFewFiles(t *testing.T) {
	f := floodFleet(t, 256)
	if !f.logged(0, "few files may be open") || !f.logged(0, "open_files=256") || !f.logged(1, "max_connections=8192") {
		t.Error("the bound is not logged")
	}
	idle := make([]net.Conn, 0, 600)
	for range cap(idle) {
		nc := dial(t, f.ships[0].ask)
		_, _ = io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if a, err := nc.read("GET"); err != nil || a.status != 200 {
			t.Fatalf("connection %d: %d %v", len(idle), a.status, err)
		}
		idle = append(idle, nc)
	}
	for i := range f.ships {
		if a := send(t, f.ships[i].ask, "PUT", "/db/few?w=all", "files"); !a.ok() {
			t.Errorf("node %d: %d %s", i, a.status, a.body)
		}
	}
	m := f.metrics(0)
	if open := m["httpdhs_http_connections"]; open > 200 || open < 50 {
		t.Errorf("%v connections are open", open)
	}
	if n := m["httpdhs_http_evicted_connections_total"]; n < 400 {
		t.Errorf("%v connections were closed to make room", n)
	}
	f.awaitSettled(0, 1, 2)

	f = newFleet(t, 1)
	f.ships[0].under = underLimit(60)
	f.start(0)
	status, err := f.proc(0).wait()
	if said := f.proc(0).err.String(); err != nil || status == 0 || !strings.Contains(said, "only 60 files may be open") || !strings.Contains(said, "ulimit -n") {
		t.Errorf("with 60 files it ends with %d, %v: %s", status, err, said)
	}
}
