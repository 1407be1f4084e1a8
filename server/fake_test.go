package server

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"httpdhs/api"
	"httpdhs/internal/described"
	"httpdhs/kv"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock for Date headers, one a process and for ever.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// fakeStore is a Store of one replica in a map.
type fakeStore struct {
	mu      sync.Mutex
	entries map[string]kv.Entry
	version kv.Version
	last    kv.Call                     // the last call, without its values
	fail    error                       // if set, the outcome of every operation
	outcome func(op *kv.Op)             // if set, gives every operation its outcome
	list    func(*kv.ListRequest) error // called before each List
	do      func(c *kv.Call)            // called before each Do
	pages   []kv.ListRequest

	clearMost int64 // a Clear deletes no more; 0: no bound
}

func newFakeStore() *fakeStore {
	return &fakeStore{entries: make(map[string]kv.Entry), version: kv.VersionAt(time.Unix(1_700_000_000, 0))}
}

func (f *fakeStore) Do(c *kv.Call) {
	if f.do != nil {
		f.do(c)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = kv.Call{Write: c.Write, Read: c.Read, Deadline: c.Deadline}
	for i := range c.Ops {
		f.doOne(c, &c.Ops[i])
	}
}

func (f *fakeStore) doOne(c *kv.Call, op *kv.Op) {
	if op.Hash != kv.Hash(op.Key) {
		panic("BUG: test: hash is not that of the key")
	}
	now := time.Now().UnixMilli()
	old := f.entries[string(op.Key)]
	live := old.Live(now)
	op.Replicas, op.Required = 2, 2
	switch {
	case f.outcome != nil:
		f.outcome(op)
	case f.fail != nil:
		op.Err, op.Acks = f.fail, 1
	case op.Kind == kv.OpGet && !live:
		op.Err = kv.ErrNotFound
	case op.Kind == kv.OpGet:
		op.Entry = old
		start := len(c.Buf)
		c.Buf = append(c.Buf, old.Value...)
		op.Value = c.Buf[start:]
	case op.Mode() == kv.ModeDecide:
		f.version += 1 << 22
		d := &kv.Decision{Ops: []*kv.Op{op}}
		d.Begin(f.version, 1<<20, 1<<20)
		d.Decide(&old, now)
		r := &d.Results[0]
		op.Err, op.Existed, op.Number, op.Entry = r.Err, r.Existed, r.Number, kv.Entry{Version: r.Entry.Version}
		if r.Found {
			op.Value = bytes.Clone(r.Entry.Value)
		}
		if d.Changed {
			f.entries[string(op.Key)] = kv.Entry{Version: f.version, Expires: d.Record.Expires, Tombstone: d.Record.Tombstone,
				Value: bytes.Clone(d.Record.Value), Meta: bytes.Clone(d.Record.Meta)}
			op.Version, op.Expires, op.Acks = f.version, d.Record.Expires, 2
		}
	default:
		f.version += 1 << 22 // a millisecond each
		e := kv.Entry{Version: f.version, Expires: op.Expires, Tombstone: op.Kind == kv.OpDelete,
			Value: bytes.Clone(op.Value), Meta: bytes.Clone(op.Meta)}
		f.entries[string(op.Key)] = e
		op.Version, op.Existed, op.Acks = f.version, live, 2
	}
}

func (f *fakeStore) Clear(r *kv.ClearRequest) (kv.Cleared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	done := kv.Cleared{Next: r.From}
	for key := range f.entries {
		switch {
		case !strings.HasPrefix(key, string(r.Prefix)) || kv.Hash([]byte(key)) < r.From:
		case done.Deleted == f.clearMost && f.clearMost > 0:
			done.More = true
		default:
			delete(f.entries, key)
			done.Deleted++
		}
	}
	return done, f.fail
}

func (f *fakeStore) List(r *kv.ListRequest) (kv.Page, error) {
	if f.list != nil {
		if err := f.list(r); err != nil {
			return kv.Page{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages = append(f.pages, *r)
	var all []kv.Record
	for key, e := range f.entries {
		if kv.Hash([]byte(key)) >= r.From && bytes.HasPrefix([]byte(key), r.Prefix) && e.Live(time.Now().UnixMilli()) {
			if !r.Values {
				e.Value, e.Meta = nil, nil
			}
			all = append(all, kv.Record{Key: []byte(key), Entry: e})
		}
	}
	slices.SortFunc(all, func(a, b kv.Record) int { return cmp.Compare(kv.Hash(a.Key), kv.Hash(b.Key)) })
	page := kv.Page{Records: all}
	if len(all) > r.Limit {
		page = kv.Page{Records: all[:r.Limit], Next: kv.Hash(all[r.Limit].Key), More: true}
	}
	return page, nil
}

func (f *fakeStore) Partitions() int { return 1024 }

func (f *fakeStore) entry(key string) (kv.Entry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.entries[key]
	return e, ok
}

func (f *fakeStore) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.entries)
}

type fakeCluster struct {
	ring    *api.Ring
	reason  string
	used    int64
	limit   int64
	full    bool
	leave   error // what Leave returns
	left    int   // how often it was called
	removed []string

	recovered int // how often it gave members up

	backup func() (*Backup, error) // nil: nothing is on disk
}

func (f *fakeCluster) Backup() (*Backup, error) {
	if f.backup == nil {
		return nil, ErrNothingOnDisk
	}
	return f.backup()
}

func (f *fakeCluster) Stats(time.Time) api.Stats {
	return api.Stats{Node: "n1", Bounds: []float64{}, Nodes: []api.NodeStats{}}
}

func (f *fakeCluster) Cluster(time.Time) api.Cluster {
	return api.Cluster{Node: "n1", Replicas: 2, Nodes: []api.Node{}}
}
func (f *fakeCluster) Ring() *api.Ring              { return f.ring }
func (f *fakeCluster) Ready() (bool, string)        { return f.reason == "", f.reason }
func (f *fakeCluster) Memory() (int64, int64, bool) { return f.used, f.limit, f.full }
func newRing(fingerprint string) *api.Ring {
	return &api.Ring{Fingerprint: fingerprint, Hash: "xxh3-64", Nodes: []api.RingNode{}, Owners: [][]uint16{}}
}

func (f *fakeCluster) Key(key []byte, _ time.Time) api.Key {
	return api.Key{Key: string(key), Partition: 7, Owners: []api.KeyOwner{}}
}

func (f *fakeCluster) Leave() (api.Leaving, error) {
	f.left++
	return api.Leaving{Node: "n1", State: api.StateLeaving, Partitions: 3, Bytes: 5, Message: "follow it"}, f.leave
}

// Recover gives down:1 up.
func (f *fakeCluster) Recover(accept bool, _ time.Time) (api.Recovery, error) {
	if f.leave != nil {
		return api.Recovery{}, f.leave
	}
	if accept {
		f.recovered++
	}
	return api.Recovery{Node: "n1", Released: f.reason != "", Removed: []string{"down:1"}}, nil
}

// SafeToStop knows n1 and last:1, of which the latter has last copies.
func (f *fakeCluster) SafeToStop(nodes []string, quorum bool, _ time.Time) (api.SafeToStop, error) {
	doc := api.SafeToStop{Node: "n1", Nodes: append([]string{}, nodes...), Safe: !quorum, Reason: "as it is", Waits: []api.Wait{}}
	for _, name := range nodes {
		switch name {
		case "n1":
		case "last:1":
			doc.Safe = false
		default:
			return doc, fmt.Errorf("%w: %q; the members are last:1, n1", ErrNoMember, name)
		}
	}
	return doc, nil
}

// Remove knows down:1 and up:1.
func (f *fakeCluster) Remove(name string) error {
	switch name {
	case "down:1", "[::1]:1":
		f.removed = append(f.removed, name)
		return nil
	case "up:1":
		return fmt.Errorf("%w: %s: have it leave", ErrMemberUp, name)
	}
	return fmt.Errorf("%w: %s; the members are down:1, up:1", ErrNoMember, name)
}

type fakePeers struct{}

func (fakePeers) Exchange(dst, request []byte) ([]byte, error) {
	if bytes.HasPrefix(request, []byte("stop")) {
		return nil, fmt.Errorf("node n2: %w", kv.ErrStopping)
	}
	if bytes.HasPrefix(request, []byte("panic")) {
		panic("ouch")
	}
	if bytes.HasPrefix(request, []byte("long")) {
		return nil, kv.ErrKeyTooLong
	}
	if bytes.HasPrefix(request, []byte("bad")) {
		return nil, errors.New("format 9 is not known here")
	}
	return append(append(dst, "got "...), request...), nil
}

func (fakePeers) Hello(dst, request []byte) ([]byte, error) {
	return append(append(dst, "hello "...), request...), nil
}

// fixture is a server on a port of its own, without the sweep: a test that
// wants one calls it with the time that it chooses.
type fixture struct {
	*Server
	t       *testing.T
	store   *fakeStore
	cluster *fakeCluster
	addr    string
	client  *http.Client
}

func start(t *testing.T, o Options) *fixture {
	t.Helper()
	return startWith(t, o, func(*Server) {})
}

// startWith is start of a server that is changed before it serves.
func startWith(t *testing.T, o Options, change func(*Server)) *fixture {
	t.Helper()
	if o.Name == "" {
		o.Name = "n1:1234"
	}
	f := &fixture{t: t, store: newFakeStore(), cluster: &fakeCluster{ring: newRing("00ff00ff00ff00ff")}}
	f.Server = New(o, f.store, f.cluster, fakePeers{})
	f.sweepEvery, f.clock.now = 0, f.clock.Load // a test turns the clock
	f.limits.farewell = 0                       // nor does it wait for clients at its end
	change(f.Server)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.Serve(ln) }()
	transport := &http.Transport{DisableCompression: true}
	f.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := f.clientBytes.used.Load() + f.peerBytes.used.Load() + f.answerBytes.used.Load(); n != 0 {
			t.Errorf("%d bytes are still in flight", n)
		}
	})
	return f
}

type answer struct {
	status int
	header http.Header
	body   string
	close  bool // the server says that it closes the connection
}

// send sends a request with the target as it is; headers are "Name: value".
func (f *fixture) send(method, target, body string, headers ...string) answer {
	f.t.Helper()
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" || method == "PUT" || method == "POST" {
		b.WriteString("Content-Length: " + itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n" + body)
	c := f.dial()
	defer c.Close()
	go func() { _, _ = io.WriteString(c, b.String()) }()
	got := readAnswer(f.t, bufio.NewReader(c), method)
	f.described(method, target, body, headers, &got)
	return got
}

// described fails the test where a request and its answer are not what the OpenAPI document says.
func (f *fixture) described(method, target, body string, headers []string, got *answer) {
	f.t.Helper()
	e := described.Exchange{
		Method: method, Target: target, Asked: http.Header{}, Sent: body,
		Status: got.status, Answered: got.header, Got: got.body,
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		e.Asked.Add(name, strings.TrimSpace(value))
	}
	if err := e.Fault(); err != nil {
		f.t.Errorf("%s %s: the OpenAPI document says something else: %v", method, target, err)
	}
}

func (f *fixture) dial() *net.TCPConn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	// A bound for a test that hangs; nothing is asserted of it.
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn)
}

func readAnswer(t *testing.T, r *bufio.Reader, method string) answer {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Errorf("no answer: %v", err)
		return answer{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("answer %d cut short: %v", res.StatusCode, err)
	}
	return answer{res.StatusCode, res.Header, string(body), res.Close}
}

// raw sends bytes, closes the sending side, and returns all that comes back.
func (f *fixture) raw(in string) string {
	f.t.Helper()
	c := f.dial()
	defer c.Close()
	go func() {
		_, _ = io.WriteString(c, in)
		_ = c.CloseWrite()
	}()
	out, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		f.t.Errorf("reading the answer: %v", err)
	}
	return string(out)
}

func itoa(n int) string { return string(appendInt(nil, n)) }

func appendInt(dst []byte, n int) []byte {
	if n >= 10 {
		dst = appendInt(dst, n/10)
	}
	return append(dst, byte('0'+n%10))
}

func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("status is %d, want %d (%s)", a.status, status, a.body)
	}
	if status >= 400 && (a.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(a.body, `{"error":"`)) && a.body != "" {
		t.Errorf("error is %q of type %q, want JSON", a.body, a.header.Get("Content-Type"))
	}
}
