package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// witness is clients that know what they were told, and judge by it what they are told later. Each
// key belongs to one client, which writes it, reads it and deletes it, at any node and one after
// the other. So it knows what has to be there.
type witness struct {
	f      *fleet
	prefix string // of its keys
	query  string // of its writes
	state  []known
	only   [][]int // by client: the keys that it asks for; nil: all of its own

	// doubtful says that of a key that is deleted a 503 may be answered, that it may exist: a node
	// is down, and who is up was taken for down itself.
	doubtful bool
	doubts   atomic.Int64 // how many were

	gates   []*gate // by node
	numbers int     // of writes that are no client's
	stop    atomic.Bool
	run     sync.WaitGroup
	phase   atomic.Int32 // of which the latencies are taken apart
	done    atomic.Int64 // requests that were answered

	mu        sync.Mutex // guards all below
	failed    []string
	wrong     []string
	latencies [][]time.Duration // by phase
}

// known is what is known of a key: the last acknowledged write, and those whose outcome nobody
// knows.
type known struct {
	acked version
	maybe []version
}

// version is the number of a write, and whether it was a delete.
type version struct {
	number  int
	deleted bool
}

// gate lets requests to a node pass, or not.
type gate struct {
	sync.RWMutex
	open bool
}

const clients = 8

// pace is how long a client takes for a request at the least. Every day it leaves the processors to
// what is tested.
var pace = soaked(40*time.Millisecond, 0)

// newWitness stores keys, through all of the nodes, which are those that will be asked.
func newWitness(f *fleet, prefix string, keys int, query string, at ...int) *witness {
	f.t.Helper()
	w := &witness{f: f, prefix: prefix, query: query, state: make([]known, keys), latencies: make([][]time.Duration, 8)}
	for i := range f.ships {
		w.gates = append(w.gates, &gate{open: slices.Contains(at, i)})
	}
	const chunk = 5000
	for from := 0; from < keys; from += chunk {
		var body bytes.Buffer
		for k := from; k < min(from+chunk, keys); k++ {
			w.state[k].acked = version{number: 1}
			fmt.Fprintf(&body, "%s\t%s\n", w.key(k), w.value(k, 1))
		}
		i := at[from/chunk%len(at)]
		resp, err := client.Post(f.url(i, "/load-data"+query), "text/tab-separated-values", &body)
		if err != nil {
			f.t.Fatal(err)
		}
		var doc loaded
		err = json.NewDecoder(resp.Body).Decode(&doc)
		_ = resp.Body.Close()
		if err != nil || doc.Failed > 0 {
			f.t.Fatalf("load at node %d: %+v %v", i, doc, err)
		}
	}
	return w
}

func (w *witness) key(k int) string { return fmt.Sprintf("%s%07d", w.prefix, k) }

// value says which write of which key it is; 100 bytes.
func (w *witness) value(k, number int) string {
	return fmt.Sprintf("%-100s", fmt.Sprintf("%s %d", w.key(k), number))
}

// begin has the clients ask until end.
func (w *witness) begin() {
	for n := range clients {
		w.run.Go(func() { w.client(n) })
	}
}

// end stops them.
func (w *witness) end() {
	w.stop.Store(true)
	w.run.Wait()
}

// more waits until so many more requests were answered.
func (w *witness) more(n int64) {
	w.f.t.Helper()
	want := w.done.Load() + n
	w.f.eventually("requests are answered", func() error {
		if got := w.done.Load(); got < want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

// allow has node i asked, and withdraw not any more: it returns when no request to it is under way.
func (w *witness) allow(i int)    { w.set(i, true) }
func (w *witness) withdraw(i int) { w.set(i, false) }

func (w *witness) set(i int, open bool) {
	w.gates[i].Lock()
	defer w.gates[i].Unlock()
	w.gates[i].open = open
}

// enter is a random node that may be asked, and what to call afterwards.
func (w *witness) enter() (i int, leave func()) {
	for {
		i = rand.IntN(len(w.gates))
		g := w.gates[i]
		g.RLock()
		if g.open {
			return i, g.RUnlock
		}
		g.RUnlock()
	}
}

func (w *witness) client(n int) {
	latencies := make([][]time.Duration, len(w.latencies))
	for number := 2; !w.stop.Load(); number++ {
		next := time.Now().Add(pace)
		k := rand.IntN((len(w.state)-n-1)/clients+1)*clients + n
		if w.only != nil {
			k = w.only[n][rand.IntN(len(w.only[n]))]
		}
		i, leave := w.enter()
		began, phase := time.Now(), w.phase.Load()
		switch dice := rand.IntN(100); {
		case dice < 60:
			w.read(i, k)
		case dice < 95:
			w.write(i, k, version{number: number})
		default:
			w.write(i, k, version{number: number, deleted: true})
		}
		latencies[phase] = append(latencies[phase], time.Since(began))
		leave()
		w.done.Add(1)
		time.Sleep(time.Until(next)) // nothing is waited for: this is the load
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for phase, all := range latencies {
		w.latencies[phase] = append(w.latencies[phase], all...)
	}
}

func (w *witness) write(i, k int, v version) {
	method, value := http.MethodPut, w.value(k, v.number)
	if v.deleted {
		method, value = http.MethodDelete, ""
	}
	status, body := w.ask(i, method, "/db/"+w.key(k)+w.query, value)
	s := &w.state[k]
	switch {
	case status/100 == 2:
		s.acked = v
	case status == 404 && v.deleted && (s.mayBe(version{deleted: true})):
		s.acked = v
	case status == 404 && v.deleted:
		w.note(&w.wrong, "DELETE %s at node %d: 404, and write %d was acknowledged", w.key(k), i, s.acked.number)
	default:
		s.maybe = append(s.maybe, v)
		w.note(&w.failed, "%s %s at node %d: %d %s", method, w.key(k), i, status, body)
	}
}

func (w *witness) read(i, k int) {
	status, body := w.ask(i, http.MethodGet, "/db/"+w.key(k), "")
	if w.doubtful && status == 503 && strings.Contains(body, "may exist") && w.state[k].mayBe(version{deleted: true}) {
		w.doubts.Add(1)
		return
	}
	if status != 200 && status != 404 {
		w.note(&w.failed, "GET %s at node %d: %d %s", w.key(k), i, status, body)
		return
	}
	if fault := w.judge(k, status == 200, body); fault != "" {
		w.note(&w.wrong, "GET %s at node %d: %s", w.key(k), i, fault)
	}
}

// mayBe says whether v can be what is there: the last that was acknowledged, or one of unknown
// outcome. All deletes are alike.
func (s *known) mayBe(v version) bool {
	same := func(o version) bool { return o == v || o.deleted && v.deleted }
	return same(s.acked) || slices.ContainsFunc(s.maybe, same)
}

// judge says what is wrong with what was found under a key; "": nothing is.
func (w *witness) judge(k int, found bool, value string) string {
	s := &w.state[k]
	if !found {
		if s.mayBe(version{deleted: true}) {
			return ""
		}
		return fmt.Sprintf("lost: not there, and write %d was acknowledged", s.acked.number)
	}
	var number int
	if key, rest, ok := strings.Cut(value, " "); !ok || key != w.key(k) {
		return fmt.Sprintf("corrupt: %q", value)
	} else if _, err := fmt.Sscan(rest, &number); err != nil || len(value) != 100 {
		return fmt.Sprintf("corrupt: %q", value)
	}
	if s.mayBe(version{number: number}) {
		return ""
	}
	return fmt.Sprintf("stale: write %d, and the last that was acknowledged is %+v", number, s.acked)
}

func (w *witness) note(list *[]string, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// ask sends a request to node i. What goes wrong on the way is status 0.
func (w *witness) ask(i int, method, path, body string) (status int, answer string) {
	req, err := http.NewRequest(method, w.f.url(i, path), strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(got)
}

// live is how many keys there are; uncertain, of how many nobody knows whether they are there.
func (w *witness) live() (live, uncertain int) {
	for k := range w.state {
		switch s := &w.state[k]; {
		case s.mayBe(version{deleted: true}) && (!s.acked.deleted || len(s.maybe) > 0):
			uncertain++
		case !s.acked.deleted:
			live++
		}
	}
	return live, uncertain
}

// verify reads all keys at each of the nodes.
func (w *witness) verify(at ...int) {
	w.f.t.Helper()
	const chunk = 2000
	var all sync.WaitGroup
	for _, i := range at {
		all.Go(func() {
			for from := 0; from < len(w.state); from += chunk {
				if err := w.verifySome(i, from, min(from+chunk, len(w.state))); err != nil {
					w.note(&w.wrong, "reading %d keys back at node %d: %v", chunk, i, err)
				}
			}
		})
	}
	all.Wait()
}

func (w *witness) verifySome(i, from, to int) error {
	var body bytes.Buffer
	for k := from; k < to; k++ {
		fmt.Fprintf(&body, "{\"op\":\"get\",\"key\":%q}\n", w.key(k))
	}
	resp, err := client.Post(w.f.url(i, "/batch?timeout=30s"), "application/x-ndjson", &body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for k := from; k < to; k++ {
		if !lines.Scan() {
			return fmt.Errorf("%d results of %d: %w", k-from, to-from, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
		}
		var result struct {
			Status       int
			Value, Error string
		}
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil || result.Status != 200 && result.Status != 404 {
			return fmt.Errorf("%s: %s %w", w.key(k), lines.Bytes(), err)
		}
		if fault := w.judge(k, result.Status == 200, result.Value); fault != "" {
			w.note(&w.wrong, "read back %s at node %d: %s", w.key(k), i, fault)
		}
	}
	return nil
}

// conclude reads all back at the nodes. It fails the test for what is lost or wrong, for requests
// that failed, and for another number of copies of a key than copies. With 0 any number is right.
func (w *witness) conclude(copies int, nodes ...int) {
	w.f.t.Helper()
	w.verify(nodes...)
	w.nothingFailed()
	w.nothingWrong()
	if copies > 0 {
		w.wantCopies(copies, nodes...)
	}
}

// nothingWrong fails the test if anything was lost, older than it may be, or made up;
// nothingFailed, if any request had no answer that counts.
func (w *witness) nothingWrong()  { w.f.t.Helper(); some(w.f.t, "answers were wrong", w.wrong) }
func (w *witness) nothingFailed() { w.f.t.Helper(); some(w.f.t, "requests failed", w.failed) }

func some(t *testing.T, what string, list []string) {
	t.Helper()
	if len(list) > 0 {
		t.Errorf("%d %s:\n%s", len(list), what, strings.Join(list[:min(len(list), 15)], "\n"))
	}
}

// p99 is the latency that one of a hundred requests of a phase exceeded.
func (w *witness) p99(phase int) (p99 time.Duration, requests int) {
	all := w.latencies[phase]
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)*99/100], len(all)
}
