package bench

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"httpdhs/api"
	"httpdhs/internal/format"
	"httpdhs/kv"
)

// fasthttp ends its cleaner of idle connections some seconds after the last.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// fakeStore is what the nodes of a fake cluster share.
type fakeStore struct {
	mu     sync.Mutex // guards what follows
	values map[string]string
	writes int
	seen   map[string]int // requests, by method and first part of the path

	ring *api.Ring // nil: this is no cluster

	// A fault, made on purpose; any may be nil. They are called with the lock
	// held.
	onPut     func(n int, key string) (ignore bool)
	onDelete  func(n int, key string) (ignore bool)
	status    func(r *http.Request) int // instead of doing it; 0: none
	status503 func(n int) bool          // after write n was done, or not
}

// newFake starts n nodes of the API over one map. Each is only what the load
// generator asks for.
func newFake(t *testing.T, n int) (*fakeStore, []string) {
	t.Helper()
	s := &fakeStore{values: map[string]string{}, seen: map[string]int{}}
	var addrs []string
	for range n {
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		addrs = append(addrs, server.Listener.Addr().String())
	}
	return s, addrs
}

func (s *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	part := strings.SplitN(r.URL.Path, "/", 3)[1]
	s.seen[r.Method+" /"+part]++
	w.Header().Set("X-Dht-Node", r.Host)
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case s.status != nil && s.status(r) != 0:
		w.WriteHeader(s.status(r))
	case r.Method == http.MethodPost && part == "db" && r.URL.RawQuery != "incr=1":
		w.WriteHeader(http.StatusBadRequest)
	case part == "db":
		s.single(w, r.Method, strings.TrimPrefix(r.URL.Path, "/db/"), body)
	case part == "load-data", part == "batch":
		s.bulk(w, r, part, string(body))
	case r.URL.Path == "/cluster/ring" && s.ring != nil:
		_ = json.NewEncoder(w).Encode(s.ring)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *fakeStore) single(w http.ResponseWriter, method, key string, body []byte) {
	switch method {
	case "GET":
		if value, ok := s.values[key]; ok {
			_, _ = io.WriteString(w, value)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	case "PUT":
		s.put(key, string(body))
		w.WriteHeader(s.written())
	case "POST":
		n, err := strconv.Atoi("0" + s.values[key])
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			return
		}
		s.put(key, strconv.Itoa(n+1))
		_, _ = io.WriteString(w, s.values[key])
	case "DELETE":
		if s.writes++; s.onDelete == nil || !s.onDelete(s.writes, key) {
			delete(s.values, key)
		}
		w.WriteHeader(s.written())
	}
}

func (s *fakeStore) written() int {
	if s.status503 != nil && s.status503(s.writes) {
		return http.StatusServiceUnavailable
	}
	return http.StatusNoContent
}

func (s *fakeStore) put(key, value string) {
	if s.writes++; s.onPut == nil || !s.onPut(s.writes, key) {
		s.values[key] = value
	}
}

func (s *fakeStore) bulk(w http.ResponseWriter, r *http.Request, part, body string) {
	kinds := map[string]format.Format{format.TypeTSV: format.TSV, format.TypeNDJSON: format.NDJSON, format.TypeBinary: format.Binary}
	in, ok := kinds[r.Header.Get("Content-Type")]
	if !ok {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	read := format.NewReader(in, strings.NewReader(body), format.Options{Limits: kv.DefaultLimits(), Ops: part == "batch"})
	var block format.Block
	var op kv.Op
	var out []byte
	loaded := int64(0)
	for read.Fill(&block) == nil {
		for {
			if _, err := read.Next(&op); err != nil {
				break
			}
			loaded++
			out = s.carryOut(out, in, &op)
		}
	}
	if part == "batch" {
		w.Header().Set("Content-Length", strconv.Itoa(len(out)))
		_, _ = w.Write(out)
		return
	}
	_ = json.NewEncoder(w).Encode(api.LoadResult{Loaded: loaded})
}

func (s *fakeStore) carryOut(out []byte, in format.Format, op *kv.Op) []byte {
	res := format.Result{Status: 204, Acks: 1, Replicas: 1}
	if op.Kind == kv.OpPut {
		s.put(string(op.Key), string(op.Value))
	} else if value, ok := s.values[string(op.Key)]; ok {
		res.Status, res.Record = 200, kv.Record{Key: op.Key, Entry: kv.Entry{Value: []byte(value)}}
	} else {
		res.Status = 404
	}
	if in == format.Binary {
		return format.AppendResult(out, &res)
	}
	line, _ := json.Marshal(map[string]any{"status": res.Status})
	// The field that the real one begins with is the only one here.
	return append(append(out, line...), '\n')
}

// testConfig is a short run by number of requests: no test waits for a clock.
func testConfig(addrs []string, w Workload) Config {
	c := DefaultConfig()
	c.To, c.Workload = addrs, w
	c.Conns, c.Pipeline, c.Keys, c.Requests, c.Warmup = 6, 2, 200, 900, 0
	c.Batch, c.Timeout = 20, time.Minute
	return c
}

func mustRun(t *testing.T, c Config) *Report {
	t.Helper()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
