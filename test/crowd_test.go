package test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"httpdhs/api"
	"httpdhs/internal/history"
)

// crowd is clients that ask all nodes for everything at once, at all levels, and note what they are
// told. Keys are of kinds:
//
//	still  loaded once and never changed: they are there throughout
//	any    put, read and deleted, many of them
//	hot    the same, four of them, by all clients through all nodes at once
//	new    created under a condition, read and deleted
//	swap   changed under a condition on what was read
//	brief  put for a second or two, and read
type crowd struct {
	f      *fleet
	began  time.Time
	pace   *rate.Limiter
	web    *http.Client
	still  int // keys
	any    int
	doors  doors
	cancel context.CancelFunc
	run    sync.WaitGroup

	gate    sync.RWMutex // held by each request; all of it: none is under way
	round   int          // under gate: values say in which they were written
	tellers []*teller    // their notes are under gate
}

// crowdPace is how many requests are made a second.
var crowdPace = soaked[rate.Limit](500, 1500)

const (
	crowdSize    = 24
	crowdTimeout = 15 * time.Second
)

func newCrowd(f *fleet, seed uint64, still, any int) *crowd {
	c := &crowd{f: f, began: time.Now(), pace: rate.NewLimiter(crowdPace, 10), still: still, any: any,
		web: &http.Client{Timeout: crowdTimeout, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: crowdSize}}}
	c.doors.of = make([]door, len(f.ships))
	for n := range crowdSize {
		c.tellers = append(c.tellers, &teller{c: c, id: n, rand: rand.New(rand.NewPCG(seed, uint64(n)+1)), etags: make(map[string]string)})
	}
	return c
}

// now is the time since the crowd began.
func (c *crowd) now() time.Duration { return time.Since(c.began) }

// begin has the clients ask. The gate may be shut meanwhile.
func (c *crowd) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for _, t := range c.tellers {
		c.run.Go(func() {
			for c.pace.Wait(ctx) == nil {
				c.gate.RLock()
				if node := c.doors.enter(t.rand); node >= 0 {
					t.once(node)
					c.doors.leave(node)
				}
				c.gate.RUnlock()
			}
		})
	}
}

func (c *crowd) end() {
	c.cancel()
	c.run.Wait()
	c.web.CloseIdleConnections()
}

// take is what was noted since it was last called. The gate is shut.
func (c *crowd) take() (ops []history.Op) {
	for _, t := range c.tellers {
		ops = append(ops, t.ops...)
		t.ops = nil
	}
	c.round++
	return ops
}

// keys are those whose state at the end is known.
func (c *crowd) keys() (keys []string) {
	for kind, n := range map[string]int{"still": c.still, "any": c.any, "hot": hotKeys, "new": newKeys, "swap": swapKeys} {
		for i := range n {
			keys = append(keys, fmt.Sprintf("%s-%d", kind, i))
		}
	}
	slices.Sort(keys)
	return keys
}

const (
	hotKeys   = 4
	newKeys   = 32
	swapKeys  = 4
	briefKeys = 8
)

// doors are which nodes are asked. One that is stopped is asked by a few clients only: the others
// would soon all wait for it.
type doors struct {
	mu sync.Mutex // guards of
	of []door
}

type door struct {
	open, stopped bool
	inside        int
}

func (d *doors) enter(r *rand.Rand) (node int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const fewest = 3
	first := r.IntN(len(d.of))
	for n := range d.of {
		i := (first + n) % len(d.of)
		if o := &d.of[i]; o.open && (!o.stopped || o.inside < fewest) {
			o.inside++
			return i
		}
	}
	return -1
}

func (d *doors) leave(node int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of[node].inside--
}

// set changes a door, and says whether it was open.
func (d *doors) set(node int, open, stopped bool) (was bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was = d.of[node].open
	d.of[node].open, d.of[node].stopped = open, stopped
	return was
}

func (d *doors) isOpen(node int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[node].open
}

func (d *doors) stopped(node int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[node].stopped
}

// teller is a client.
type teller struct {
	c     *crowd
	id    int
	rand  *rand.Rand
	puts  int
	etags map[string]string // of swap keys, as it read them last
	ops   []history.Op
}

// value is one that nobody else writes. It says where it is from.
func (t *teller) value(key string) string {
	t.puts++
	return fmt.Sprintf("%s in round %d by client %d, %d", key, t.c.round, t.id, t.puts)
}

// levels are a level for a write and one for a read: mostly those that hold if none is asked for.
func (t *teller) levels() (w, r history.Level) {
	switch dice := t.rand.IntN(100); {
	case dice < 60:
		return history.Live, history.One
	case dice < 85:
		return history.Quorum, history.Quorum
	}
	return history.All, history.All
}

// plain is a key of those that anything may be done with, and what is done: mostly a read.
func (t *teller) plain() (key string, kind history.Kind) {
	kind = history.Get
	switch dice := t.rand.IntN(100); {
	case dice < 40:
		kind = history.Put
	case dice < 48:
		kind = history.Delete
	}
	if t.rand.IntN(100) < 45 {
		return fmt.Sprintf("hot-%d", t.rand.IntN(hotKeys)), kind
	}
	return fmt.Sprintf("any-%d", t.rand.IntN(t.c.any)), kind
}

// once makes one request.
func (t *teller) once(node int) {
	w, r := t.levels()
	o := history.Op{Node: node}
	switch dice := t.rand.IntN(100); {
	case dice < 8:
		t.batch(node, w, r)
		return
	case dice < 10:
		t.load(node, w)
		return
	case dice < 18:
		o.Key = fmt.Sprintf("still-%d", t.rand.IntN(t.c.still))
	case dice < 28:
		const turn = 300 * time.Millisecond // in which most ask for the same two keys
		o.Key = fmt.Sprintf("new-%d", (int(t.c.now()/turn)+t.rand.IntN(2))%newKeys)
		switch dice := t.rand.IntN(100); {
		case dice < 50:
			o.Kind, o.IfAbsent = history.Put, true
		case dice < 65:
			o.Kind = history.Delete
		}
	case dice < 36:
		o.Key = fmt.Sprintf("swap-%d", t.rand.IntN(swapKeys))
		if etag := t.etags[o.Key]; etag != "" && t.rand.IntN(2) == 0 {
			o.Kind, o.IfMatch = history.Put, etag
		}
	case dice < 44:
		o.Key = fmt.Sprintf("brief-%d-%d", t.c.round, t.rand.IntN(briefKeys)) // what an earlier one had may not be expired yet
		if t.rand.IntN(2) == 0 {
			o.Kind, o.TTL = history.Put, time.Duration(500+t.rand.IntN(1500))*time.Millisecond
		}
	default:
		o.Key, o.Kind = t.plain()
	}
	t.single(o, w, r)
}

func (t *teller) single(o history.Op, w, r history.Level) {
	method, query, body := http.MethodGet, "?", ""
	var header []string
	o.How = o.Kind.String()
	switch o.Kind {
	case history.Put:
		method, o.Value = http.MethodPut, t.value(o.Key)
		body = o.Value
	case history.Delete:
		method = http.MethodDelete
	}
	if o.Level = w; o.Kind == history.Get {
		o.Level = r
		query += queryOf("r", r)
	} else {
		query += queryOf("w", w)
	}
	switch {
	case o.IfAbsent:
		o.How, header = "put if absent", []string{"If-None-Match", "*"}
	case o.IfMatch != "":
		o.How, header = "put if match", []string{"If-Match", o.IfMatch}
	case o.TTL > 0:
		o.How, query = "put with ttl", query+"&ttl="+o.TTL.String()
	}
	o.Begin = t.c.now()
	a := t.ask(o.Node, method, "/db/"+o.Key+query, body, header...)
	o.End = t.c.now()
	o.ETag, o.Acks = a.header.Get("ETag"), 0
	_, _ = fmt.Sscanf(a.header.Get("X-Dht-Acks"), "%d/", &o.Acks) // none: it is 0
	if o.Kind == history.Get && a.status == http.StatusOK {
		o.Value = string(a.body)
		if strings.HasPrefix(o.Key, "swap-") {
			t.etags[o.Key] = o.ETag
		}
	}
	t.note(o, a.status, a.reason())
}

func queryOf(name string, l history.Level) string {
	if l == history.One || l == history.Live { // what holds if nothing is said
		return ""
	}
	return name + "=" + l.String()
}

// batch asks for some operations at once.
func (t *teller) batch(node int, w, r history.Level) {
	var body strings.Builder
	ops := make([]history.Op, 2+t.rand.IntN(8))
	for i := range ops {
		o := &ops[i]
		o.Node, o.Level = node, w
		o.Key, o.Kind = t.plain()
		o.How = "batch " + o.Kind.String()
		switch o.Kind {
		case history.Get:
			o.Level = r
		case history.Put:
			o.Value = t.value(o.Key)
		}
		fmt.Fprintf(&body, "{\"op\":%q,\"key\":%q,\"value\":%q}\n", o.Kind, o.Key, o.Value)
	}
	begin := t.c.now()
	a := t.ask(node, http.MethodPost, "/batch?"+queryOf("w", w)+"&"+queryOf("r", r), body.String(), "Content-Type", "application/x-ndjson")
	end := t.c.now()
	lines := strings.SplitAfter(string(a.body), "\n")
	for i := range ops {
		o := &ops[i]
		o.Begin, o.End = begin, end
		var result struct {
			Status                   int
			Value, ETag, Error       string
			Acks, Replicas, Required int
		}
		if a.status != http.StatusOK || i >= len(lines) || json.Unmarshal([]byte(lines[i]), &result) != nil {
			t.note(*o, 0, "of the batch: "+a.reason())
			continue
		}
		o.ETag, o.Acks = result.ETag, result.Acks
		if o.Kind == history.Get && result.Status == http.StatusOK {
			o.Value = result.Value
		}
		t.note(*o, result.Status, plainly(result.Status, result.Error))
	}
}

// load loads some pairs. Each that it does not complain about is stored, by at least as many
// replicas as the level asks for.
func (t *teller) load(node int, w history.Level) {
	var body strings.Builder
	ops := make([]history.Op, 5+t.rand.IntN(15)) // at most 20 are complained about
	for i := range ops {
		o := &ops[i]
		o.Node, o.Level, o.How, o.Kind = node, w, "load", history.Put
		o.Key, _ = t.plain()
		o.Value = t.value(o.Key)
		fmt.Fprintf(&body, "%s\t%s\n", o.Key, o.Value)
	}
	begin := t.c.now()
	a := t.ask(node, http.MethodPost, "/load-data?"+queryOf("w", w), body.String(), "Content-Type", "text/tab-separated-values")
	end := t.c.now()
	var doc api.LoadResult
	if err := json.Unmarshal(a.body, &doc); a.status == http.StatusOK && err != nil {
		a = answer{body: []byte(err.Error())}
	}
	failed := make(map[int64]string)
	for _, e := range doc.Errors {
		failed[e.Line] = e.Error
	}
	for i := range ops {
		o := &ops[i]
		o.Begin, o.End = begin, end
		switch reason, bad := failed[int64(i)+1]; {
		case a.status != http.StatusOK:
			t.note(*o, 0, "of the load: "+a.reason())
		case bad:
			t.note(*o, 0, plainly(0, reason))
		default:
			t.note(*o, http.StatusOK, "")
		}
	}
}

// note notes an operation and what came of it.
func (t *teller) note(o history.Op, status int, reason string) {
	switch {
	case status/100 == 2:
		o.Outcome = history.Done
	case status == http.StatusNotFound && o.Kind == history.Get:
		o.Outcome = history.Absent
	case status == http.StatusPreconditionFailed:
		o.Outcome = history.Refused
	default:
		o.Error = reason
		o.Doubtful = strings.Contains(reason, "may exist")
		if o.Kind == history.Get || status/100 == 4 {
			o.Outcome = history.Failed
		}
	}
	t.ops = append(t.ops, o)
}

// ask sends a request. What goes wrong on the way is status 0.
func (t *teller) ask(node int, method, path, body string, header ...string) answer {
	return ask(t.c.web, method, t.c.f.url(node, path), body, header...)
}

func ask(web *http.Client, method, url, body string, header ...string) answer {
	failed := func(err error) answer { return answer{header: http.Header{}, body: []byte(broken(err))} }
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return failed(err)
	}
	for h := 0; h+1 < len(header); h += 2 {
		req.Header.Set(header[h], header[h+1])
	}
	resp, err := web.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err != nil {
		return failed(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: got}
}

// broken is a broken connection in words that do not depend on addresses.
func broken(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection broken"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in " + crowdTimeout.String()
	}
	return plainly(0, err.Error())
}

// reason is what an answer says is wrong.
func (a *answer) reason() string {
	var doc api.Error
	_ = json.Unmarshal(a.body, &doc) // it need not be one
	return plainly(a.status, cmp.Or(doc.Error, string(a.body)))
}

var numbers = regexp.MustCompile(`[0-9][0-9.:]*`)

// plainly is a status and a reason without what differs from one time to the next.
func plainly(status int, reason string) string {
	const most = 80
	reason = numbers.ReplaceAllString(strings.TrimSpace(reason), "N")
	reason = strings.NewReplacer(`"hot-N"`, "K", `"any-N"`, "K").Replace(reason)
	if len(reason) > most {
		reason = reason[:most] + "…"
	}
	if status == 0 {
		return reason
	}
	return fmt.Sprint(status, " ", reason)
}
