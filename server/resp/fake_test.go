package resp

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"httpdhs/api"
	"httpdhs/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore is a store of one node in a map.
type fakeStore struct {
	mu      sync.Mutex // guards the rest
	entries map[string]kv.Entry
	version kv.Version
	calls   int
	largest int                   // operations in a call
	fail    func(op *kv.Op) error // instead of carrying op out
	before  func()                // each call
	clears  int                   // pages that a Clear deletes; 0: all

	acks, replicas int      // of each operation; 0: 1
	write, read    kv.Level // of the last call
}

func newFakeStore() *fakeStore { return &fakeStore{entries: map[string]kv.Entry{}} }

func (f *fakeStore) Do(call *kv.Call) {
	if f.before != nil {
		f.before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.write, f.read = call.Write, call.Read
	f.largest = max(f.largest, len(call.Ops))
	now := time.Now().UnixMilli()
	for i := range call.Ops {
		op := &call.Ops[i]
		op.Acks, op.Required, op.Replicas = cmp.Or(f.acks, 1), 1, cmp.Or(f.replicas, 1)
		if f.fail != nil {
			if op.Err = f.fail(op); op.Err != nil {
				op.Acks = 0
				continue
			}
		}
		if op.Kind == kv.OpGet {
			f.get(call, op, now)
			continue
		}
		f.decide(op, now)
	}
}

func (f *fakeStore) get(call *kv.Call, op *kv.Op, now int64) {
	e := f.entries[string(op.Key)]
	if op.Existed = e.Live(now); !op.Existed {
		op.Err = kv.ErrNotFound
		return
	}
	if at := len(call.Buf); at > 0 && call.MaxBytes > 0 && at+len(e.Value) > call.MaxBytes {
		op.Err = kv.ErrAnswerFull
		return
	}
	if size := len(e.Value); size > kv.HeldBytes && !call.Holds(kv.Copies{Found: size}) {
		op.Err = kv.ErrAnswersHeld
		return
	}
	at := len(call.Buf)
	call.Buf = append(call.Buf, e.Value...)
	e.Value = call.Buf[at:len(call.Buf):len(call.Buf)]
	op.Entry = e
}

func (f *fakeStore) decide(op *kv.Op, now int64) {
	f.version++
	held := f.entries[string(op.Key)]
	d := kv.Decision{Ops: []*kv.Op{op}}
	d.Begin(f.version, kv.DefaultLimits().MaxValueBytes, 64<<20)
	d.Decide(&held, now)
	r := d.Results[0]
	op.Err, op.Existed = r.Err, r.Existed
	if op.Number = r.Number; r.Found {
		op.Entry = r.Entry
	} else if errors.Is(r.Err, kv.ErrConditionFailed) {
		op.Version = r.Entry.Version
	} else if d.Changed {
		op.Version = f.version
	}
	if d.Changed {
		e := d.Record.Entry
		e.Value = slices.Clone(e.Value)
		f.entries[string(op.Key)] = e
	}
}

func (f *fakeStore) List(r *kv.ListRequest) (kv.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now().UnixMilli()
	var all []kv.Record
	for key, e := range f.entries {
		if e.Live(now) && kv.HashString(key) >= r.From && strings.HasPrefix(key, string(r.Prefix)) {
			all = append(all, kv.Record{Key: []byte(key), Entry: e})
		}
	}
	slices.SortFunc(all, func(a, b kv.Record) int { return cmp.Compare(kv.Hash(a.Key), kv.Hash(b.Key)) })
	if len(all) <= r.Limit {
		return kv.Page{Records: all}, nil
	}
	return kv.Page{Records: all[:r.Limit], Next: kv.Hash(all[r.Limit].Key), More: true}, nil
}

// Clear deletes page by page. Where clears is set, it has no time for more than so many pages.
func (f *fakeStore) Clear(r *kv.ClearRequest) (kv.Cleared, error) {
	done := kv.Cleared{Next: r.From, More: true}
	for pages := 0; done.More && (f.clears == 0 || pages < f.clears); pages++ {
		page, _ := f.List(&kv.ListRequest{Prefix: r.Prefix, From: done.Next, Limit: 1000})
		call := kv.Call{Write: r.Write}
		for i := range page.Records {
			key := page.Records[i].Key
			call.Ops = append(call.Ops, kv.Op{Kind: kv.OpDelete, Hash: kv.Hash(key), Record: kv.Record{Key: key}})
		}
		f.Do(&call)
		var err error
		for i := range call.Ops {
			if call.Ops[i].Err == nil {
				done.Deleted++
			}
			err = cmp.Or(err, call.Ops[i].Err)
		}
		if err != nil {
			return done, err
		}
		done.Next, done.More = page.Next, page.More
	}
	return done, nil
}

// live is how many keys there are.
func (f *fakeStore) live() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		if e.Live(time.Now().UnixMilli()) {
			n++
		}
	}
	return n
}

type fakeCluster struct{ store *fakeStore }

func (f fakeCluster) Cluster(time.Time) api.Cluster {
	keys := f.store.live()
	return api.Cluster{Replicas: 1, Partitions: 64, Nodes: []api.Node{{Name: "a:1", State: api.StateActive, Keys: int64(keys), PrimaryPartitions: 64}}}
}
func (f fakeCluster) Key([]byte, time.Time) api.Key          { return api.Key{} }
func (f fakeCluster) Memory() (used, limit int64, full bool) { return 1 << 20, 0, false }
func (f fakeCluster) Ready() (bool, string)                  { return true, "" }

// start serves a fake store until the test ends.
func start(t testing.TB, o Options) (srv *Server, store *fakeStore, addr string) {
	t.Helper()
	store = newFakeStore()
	srv = New(o, store, fakeCluster{store})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, srv, ln)
	return srv, store, ln.Addr().String()
}

// serveOn serves a listener until the test ends.
func serveOn(t testing.TB, srv *Server, ln net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
