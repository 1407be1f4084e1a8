package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/format"
	"httpdhs/kv"
)

// manyStore is a Store in memory for /load-data and /batch. fail, if set, may
// refuse an operation.
type manyStore struct {
	mu    sync.Mutex
	held  map[string]kv.Entry
	calls int
	most  int // operations in one call
	last  kv.Version
	fail  func(call int, op *kv.Op) error
	delay time.Duration
}

func (m *manyStore) Do(c *kv.Call) {
	time.Sleep(m.delay) // so long does a call take: nothing is waited for
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	m.most = max(m.most, len(c.Ops))
	for i := range c.Ops {
		op := &c.Ops[i]
		if op.Hash != kv.Hash(op.Key) || op.Version != 0 {
			op.Err = errors.New("BUG: an operation with a wrong hash or with a version")
			continue
		}
		if m.fail != nil {
			if op.Err = m.fail(m.calls, op); op.Err != nil {
				continue
			}
		}
		e, ok := m.held[string(op.Key)]
		op.Existed = ok && e.Live(time.Now().UnixMilli())
		switch m.last++; op.Kind {
		case kv.OpGet:
			if !op.Existed {
				op.Err = kv.ErrNotFound
				continue
			}
			at := len(c.Buf)
			if c.MaxBytes > 0 && at > 0 && at+len(e.Value) > c.MaxBytes {
				op.Err = kv.ErrAnswerFull
				continue
			}
			c.Buf = append(c.Buf, e.Value...)
			op.Entry = e
			op.Value = c.Buf[at:len(c.Buf):len(c.Buf)]
		case kv.OpPut:
			op.Version = m.last
			e = op.Entry
			e.Value, e.Meta = append([]byte(nil), e.Value...), append([]byte(nil), e.Meta...)
			m.held[string(op.Key)] = e
		case kv.OpDelete:
			op.Version = m.last
			delete(m.held, string(op.Key))
		}
		op.Acks, op.Required, op.Replicas = 2, 1, 2
	}
}

func (m *manyStore) List(*kv.ListRequest) (kv.Page, error)      { return kv.Page{}, nil }
func (m *manyStore) Clear(*kv.ClearRequest) (kv.Cleared, error) { return kv.Cleared{}, nil }
func (m *manyStore) Partitions() int                            { return 1024 }

// values is what the store holds, without types and expiries.
func (m *manyStore) values() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]string)
	for k, e := range m.held {
		all[k] = string(e.Value)
	}
	return all
}

// serveMany serves a manyStore on a port of its own until the test ends.
func serveMany(t testing.TB, o Options) (addr string, m *manyStore) {
	t.Helper()
	m = &manyStore{held: make(map[string]kv.Entry)}
	s := New(o, m, nil, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), m
}

// send sends a body and returns the answer's.
func send(t testing.TB, method, url, contentType string, body io.Reader) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

// loadInto loads a body that must be taken to its end.
func loadInto(t testing.TB, addr, query, contentType, body string) api.LoadResult {
	t.Helper()
	status, answer := send(t, "POST", "http://"+addr+"/load-data"+query, contentType, strings.NewReader(body))
	if status != 200 {
		t.Fatalf("status %d: %s", status, answer)
	}
	var res api.LoadResult
	if err := json.Unmarshal([]byte(answer), &res); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return res
}

// Every format loads, also by PUT, chunked, and by the types that curl sends.
func TestLoadFormats(t *testing.T) {
	want := map[string]string{"a": "1", "b": "2,\t3"}
	binary := kv.AppendRecord(nil, &kv.Record{Key: []byte("a"), Entry: kv.Entry{Value: []byte("1")}})
	binary = kv.AppendRecord(binary, &kv.Record{Key: []byte("b"), Entry: kv.Entry{Value: []byte("2,\t3")}})
	for _, c := range []struct{ method, contentType, body string }{
		{"POST", "", "a\t1\nb\t2,\t3\n"},
		{"PUT", "", "a\t1\nb\t2,\t3"},
		{"POST", "", "\xef\xbb\xbfa\t1\nb\t2,\t3\n"},
		{"POST", "application/x-www-form-urlencoded", "a\t1\nb\t2,\t3\n"},
		{"POST", "text/tab-separated-values; charset=utf-8", "a\t1\r\nb\t2,\t3\r\n"},
		{"POST", "text/csv", "a,1\nb,\"2,\t3\"\n"},
		{"POST", "application/x-ndjson", `{"key":"a","value":"1"}` + "\n" + `{"key":"b","value":"2,\t3"}`},
		{"PUT", "application/vnd.httpdhs.records", string(binary)},
	} {
		for _, chunked := range []bool{false, true} {
			addr, m := serveMany(t, Options{})
			var body io.Reader = strings.NewReader(c.body)
			if chunked {
				body = io.MultiReader(body)
			}
			status, answer := send(t, c.method, "http://"+addr+"/load-data", c.contentType, body)
			if status != 200 || answer != `{"loaded":2,"failed":0,"errors":[]}`+"\n" {
				t.Errorf("%s %q: %d %s", c.method, c.contentType, status, answer)
			}
			if got := m.values(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s %q: stored %q", c.method, c.contentType, got)
			}
		}
	}
}

// Two keys are never taken for one: what would be read as U+FFFD is refused, in a load and in a
// batch, whether it comes as bytes or as an escape.
func TestHalfCharactersAreRefused(t *testing.T) {
	addr, m := serveMany(t, Options{})
	var pairs, ops strings.Builder
	for _, key := range []string{`a\ud800`, `a\udc00`, "a\xff"} {
		fmt.Fprintf(&pairs, `{"key":"%s","value":"1"}`+"\n", key)
		fmt.Fprintf(&ops, `{"op":"put","key":"%s","value":"1"}`+"\n", key)
	}
	pairs.WriteString(`{"key":"a\ufffd","value":"1"}`)
	if res := loadInto(t, addr, "", "application/x-ndjson", pairs.String()); res.Loaded != 1 || res.Failed != 3 {
		t.Errorf("%+v", res)
	}
	status, answer := send(t, "POST", "http://"+addr+"/batch", "application/x-ndjson", strings.NewReader(ops.String()))
	if status != 200 || strings.Count(answer, `{"status":400,"error":"`) != 3 {
		t.Errorf("%d %s", status, answer)
	}
	if got := m.values(); !reflect.DeepEqual(got, map[string]string{"a\ufffd": "1"}) {
		t.Errorf("stored %q", got)
	}
}

// What is packed is refused whatever its type says, and nothing of it is stored.
func TestLoadRefusesWhatIsPacked(t *testing.T) {
	addr, m := serveMany(t, Options{})
	for _, path := range []string{"/load-data", "/batch"} {
		for _, contentType := range []string{"", "application/x-ndjson"} {
			status, answer := send(t, "POST", "http://"+addr+path, contentType, strings.NewReader("\x1f\x8b\x08\x00\tx\nkey\tvalue\n"))
			if status != 415 || !strings.Contains(answer, "gunzip -c") {
				t.Errorf("%s %s: %d %s", path, contentType, status, answer)
			}
		}
	}
	if got := m.values(); len(got) != 0 {
		t.Errorf("stored %q", got)
	}
}

// What cannot be loaded is refused before anything of it is stored.
func TestLoadRefuses(t *testing.T) {
	addr, m := serveMany(t, Options{})
	f := func(want int, words, query string, header ...string) {
		t.Helper()
		req, _ := http.NewRequest("POST", "http://"+addr+"/load-data"+query, strings.NewReader("a\t1\n"))
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != want || !strings.Contains(string(body), words) {
			t.Errorf("%s %q: %d %s", query, header, resp.StatusCode, body)
		}
	}
	f(415, "send text/tab-separated-values, text/csv, application/x-ndjson or application/vnd.httpdhs.records", "", "Content-Type", "application/pdf")
	f(415, "multipart/form-data", "", "Content-Type", "multipart/form-data; boundary=x")
	f(415, "uncompressed", "", "Content-Encoding", "gzip")
	f(400, "ttl", "?ttl=0")
	f(400, "w is", "?w=some")
	if got := m.values(); len(got) != 0 {
		t.Errorf("stored %q", got)
	}
}

// Of many pairs with one key the last in the stream wins, in whichever block
// it is, and also when operations have to be tried again.
func TestLoadKeepsOrder(t *testing.T) {
	addr, m := serveMany(t, Options{})
	m.delay = time.Millisecond
	m.fail = func(call int, op *kv.Op) error {
		if v := op.Value; call%2 == 1 && len(v) > 1 && v[len(v)-2] == '7' {
			return kv.ErrOverloaded
		}
		return nil
	}
	const keys, rounds = 100, 1000
	var body strings.Builder
	for round := range rounds {
		for k := range keys {
			fmt.Fprintf(&body, "key%d\t%d\n", k, round*10+k%10)
		}
	}
	res := loadInto(t, addr, "", "", body.String())
	if res.Loaded != keys*rounds || res.Failed != 0 {
		t.Fatalf("%+v", res)
	}
	for k, v := range m.values() {
		if want := fmt.Sprintf("%d", (rounds-1)*10+int(k[len(k)-1]-'0')); v != want {
			t.Errorf("%s is %s, want %s", k, v, want)
		}
	}
	if m.calls < 10 || m.most > loadOpsMax {
		t.Errorf("%d calls of up to %d operations", m.calls, m.most)
	}
}

// Bad lines and refused pairs are counted, and the first 20 are named in the
// order of the stream.
func TestLoadErrors(t *testing.T) {
	addr, m := serveMany(t, Options{})
	m.fail = func(_ int, op *kv.Op) error {
		if op.Key[0] == 'x' {
			return kv.ErrNoMemory
		}
		return nil
	}
	var body strings.Builder
	for i := range 50 {
		fmt.Fprintf(&body, "a%d\t1\nno tab\nx%d\t1\n", i, i)
	}
	res := loadInto(t, addr, "?ttl=1h", "text/tab-separated-values", body.String())
	if res.Loaded != 50 || res.Failed != 100 || len(res.Errors) != 20 {
		t.Fatalf("%+v", res)
	}
	for i, e := range res.Errors {
		if e.Line != int64(i/2*3+2+i%2) || (e.Error == kv.ErrNoMemory.Error()) != (i%2 == 1) {
			t.Errorf("error %d is %+v", i, e)
		}
	}
	for k, e := range m.held {
		if left := time.Until(time.UnixMilli(e.Expires)); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s expires in %v", k, left)
		}
	}
}

// A body that is cut short has its whole lines loaded, and the half one not.
// (One that ends before its first bytes are there never gets to the handler.)
func TestLoadCutShort(t *testing.T) {
	const lines = 2000
	var body strings.Builder
	for i := range lines {
		fmt.Fprintf(&body, "%05d\tStockholm\n", i)
	}
	body.WriteString("12345\tStockh")
	for _, head := range []string{
		fmt.Sprintf("Content-Length: %d\r\n\r\n", body.Len()+3),
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", body.Len()+3),
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", body.Len()),
	} {
		addr, m := serveMany(t, Options{})
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /load-data HTTP/1.1\r\nHost: x\r\n%s%s", head, body.String())
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 400 || !strings.Contains(string(answer), fmt.Sprintf(`"loaded":%d,"failed":0`, lines)) {
			t.Errorf("%q: %d %s", head, resp.StatusCode, answer)
		}
		if got := m.values(); len(got) != lines || got["12345"] != "" {
			t.Errorf("%q: stored %d, 12345 is %q", head, len(got), got["12345"])
		}
	}
}

// When nobody takes anything, the rest of the stream is read and counted, and
// waits for no more timeouts.
func TestLoadGivesUp(t *testing.T) {
	addr, m := serveMany(t, Options{})
	m.fail = func(int, *kv.Op) error { return kv.ErrTimeout }
	const lines = 100_000
	status, answer := send(t, "POST", "http://"+addr+"/load-data", "", strings.NewReader(strings.Repeat("a\t1\n", lines)))
	if status != 503 || !strings.Contains(answer, fmt.Sprintf(`"loaded":0,"failed":%d,`, lines)) ||
		!strings.Contains(answer, "not tried") {
		t.Errorf("%d %.300s", status, answer)
	}
	if m.calls != loadPatience {
		t.Errorf("%d calls, want %d", m.calls, loadPatience)
	}
}

// A level that no key can have is told after the first block: nothing more of
// the stream is read.
func TestLoadLevel(t *testing.T) {
	for _, lines := range []int{1, 1_000_000} {
		addr, m := serveMany(t, Options{})
		m.fail = func(int, *kv.Op) error { return kv.ErrLevel }
		status, answer := send(t, "POST", "http://"+addr+"/load-data?w=3", "", strings.NewReader(strings.Repeat("a\t1\n", lines)))
		if status != 400 || !strings.Contains(answer, kv.ErrLevel.Error()+"; GET /cluster") || !strings.Contains(answer, `"loaded":0`) {
			t.Errorf("%d lines: %d %.300s", lines, status, answer)
		}
		if m.calls > 3 {
			t.Errorf("%d blocks were tried", m.calls)
		}
	}
}

// What a content type of JSON says does not get into the headers of a GET.
func TestLoadContentType(t *testing.T) {
	addr, m := serveMany(t, Options{})
	res := loadInto(t, addr, "", "application/x-ndjson", `{"key":"a","value":"1","content_type":"a\r\nX: y"}`+"\n"+`{"key":"b","value":"1","content_type":"a/b"}`)
	if res.Loaded != 1 || res.Failed != 1 || res.Errors[0].Error != "the Content-Type has control characters" {
		t.Errorf("%+v", res)
	}
	if got := m.values(); len(got) != 1 || got["b"] != "1" {
		t.Errorf("stored %q", got)
	}
}

// A stream that cannot be read on ends with what came before loaded.
func TestLoadLost(t *testing.T) {
	addr, m := serveMany(t, Options{})
	good := string(kv.AppendRecord(nil, &kv.Record{Key: []byte("a")}))
	status, answer := send(t, "POST", "http://"+addr+"/load-data", format.TypeBinary,
		strings.NewReader(good+strings.Repeat("garbage", 1<<20)))
	if status != 400 || !strings.Contains(answer, `"loaded":1,"failed":1,"errors":[{"line":2,`) {
		t.Errorf("%d %s", status, answer)
	}
	if got := m.values(); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

// Memory that other requests hold is not taken twice.
func TestLoadWithoutMemory(t *testing.T) {
	addr, _ := serveMany(t, Options{MaxInFlightBytes: 100 << 10})
	status, answer := send(t, "POST", "http://"+addr+"/load-data", "", strings.NewReader(strings.Repeat("a\t1\n", 100_000)))
	if status != 503 || !strings.Contains(answer, errInFlight.msg) {
		t.Errorf("%d %s", status, answer)
	}
}

// A panic in the half that stores is answered by the handler: 500.
func TestLoadPanicIsTheHandlers(t *testing.T) {
	addr, m := serveMany(t, Options{})
	m.fail = func(int, *kv.Op) error { panic("of a store") }
	defer func() { m.fail = nil }()
	if status, answer := send(t, "POST", "http://"+addr+"/load-data", "", strings.NewReader(strings.Repeat("a\t1\n", 50_000))); status != 500 {
		t.Errorf("%d %s", status, answer)
	}
}

// The 14,108 postal codes of Sweden, the sample that users load first.
func TestLoadPostalCodes(t *testing.T) {
	tsv, err := os.ReadFile("../../shared/data/postalcodes.tsv")
	if err != nil {
		t.Skipf("the postal codes are not here: %v", err)
	}
	addr, m := serveMany(t, Options{})
	res := loadInto(t, addr, "", "text/tab-separated-values", string(tsv))
	if res.Loaded != 14108 || res.Failed != 0 {
		t.Fatalf("%+v", res)
	}
	want := make(map[string]string)
	for line := range strings.Lines(string(tsv)) {
		k, v, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		want[k] = v
	}
	if got := m.values(); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %d values, want %d", len(got), len(want))
	}
}

// idleStore takes a round trip for each call and does nothing.
type idleStore struct {
	manyStore
	trip time.Duration
}

func (s *idleStore) Do(c *kv.Call) {
	if s.trip > 0 {
		time.Sleep(s.trip) // so long does a call take: nothing is waited for
	}
}

func BenchmarkLoad(b *testing.B) {
	line := "10005\tStockholm\n"
	const lines = 1 << 20
	body := strings.Repeat(line, lines)
	for _, trip := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		b.Run("trip="+trip.String(), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				l := &loader{store: &idleStore{trip: trip}, timeout: time.Second, blocks: new(loadBlocks), hold: func(int64) bool { return true }}
				err := l.run(format.NewReader(format.TSV, strings.NewReader(body), format.Options{Limits: kv.DefaultLimits()}))
				if err != nil || l.result().Loaded != lines {
					b.Fatal(err, l.result())
				}
			}
			b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
		})
	}
}
