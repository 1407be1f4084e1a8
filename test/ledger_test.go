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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ledger is clients that write down what they were told, while nodes are killed. Each key belongs
// to one client, which writes, reads and deletes it, one after the other. Counters belong to all.
// At rest everything is read, and the books are closed: what is there then is what there was.
type ledger struct {
	f     *fleet
	slack time.Duration // what was acknowledged so long before a kill of all may be lost; 0: nothing may
	state []page        // by key
	sums  []account     // by counter

	gate sync.RWMutex // held for reading by a request; who holds it to write is alone
	stop atomic.Bool
	run  sync.WaitGroup
	done atomic.Int64 // requests that were answered

	mu    sync.Mutex // guards all below
	wrong []string
	kills []killed        // of all nodes, since the books were closed
	ages  []time.Duration // at the kill, of acknowledged writes that were lost, as they may be
}

// killed is when all nodes were killed.
type killed struct{ from, to time.Time }

// page is what is known of a key.
type page struct {
	rested version // when the books were closed
	writes []entry // since then, in their order
}

// entry is a change that was made, or may have been.
type entry struct {
	version
	acked        bool
	lost         bool // it was found so, and that may be
	began, ended time.Time
}

// account is what is known of a counter. Each entry adds 1.
type account struct {
	rested int64

	mu   sync.Mutex // guards adds
	adds []entry
}

const (
	ledgerClients  = 8
	ledgerKeys     = 40 // of each client
	ledgerCounters = 4
)

// ledgerPace is how long a client takes for a request at the least. Every day it leaves the
// processors to what is tested; make kills asks for all they can do.
var ledgerPace = map[bool]time.Duration{true: 10 * time.Millisecond}[kills == killsDaily]

func newLedger(f *fleet, slack time.Duration) *ledger {
	l := &ledger{f: f, slack: slack, state: make([]page, ledgerClients*ledgerKeys), sums: make([]account, ledgerCounters)}
	for k := range l.state {
		l.state[k].rested = version{deleted: true}
	}
	for i := range l.sums {
		if a := ask(client, http.MethodPut, f.url(0, "/db/"+sumKey(i)), "0"); !a.ok() {
			f.t.Fatalf("counter %d: %d %s", i, a.status, a.body)
		}
	}
	return l
}

func (l *ledger) key(k int) string { return fmt.Sprintf("key%d", k) }
func sumKey(i int) string          { return fmt.Sprintf("sum%d", i) }

func (l *ledger) value(k, number int) string {
	return fmt.Sprintf("%s %d %s", l.key(k), number, strings.Repeat("x", number*37%500))
}

func (l *ledger) begin() {
	for n := range ledgerClients {
		l.run.Go(func() {
			for number := 1; !l.stop.Load(); number++ {
				next := time.Now().Add(ledgerPace)
				if !l.request(n, number) {
					next = next.Add(time.Millisecond) // a node that is down is not asked all the time
				}
				time.Sleep(time.Until(next)) // nothing is waited for: this is the load
			}
		})
	}
}

func (l *ledger) end() {
	l.stop.Store(true)
	l.run.Wait()
}

// request makes one of client n. It says whether it was answered.
func (l *ledger) request(n, number int) bool {
	l.gate.RLock()
	defer l.gate.RUnlock()
	i := rand.IntN(len(l.f.ships))
	k := rand.IntN(ledgerKeys)*ledgerClients + n
	var answered bool
	switch dice := rand.IntN(100); {
	case dice < 20:
		answered = l.read(i, k)
	case dice < 60:
		answered = l.write(i, k, version{number: number})
	case dice < 75:
		answered = l.write(i, k, version{number: number, deleted: true})
	case dice < 90:
		answered = l.add(i, rand.IntN(ledgerCounters))
	default:
		answered = l.addByCondition(i, rand.IntN(ledgerCounters))
	}
	if answered {
		l.done.Add(1)
	}
	return answered
}

// outcome is what an answer says of a change.
type outcome uint8

const (
	unknown outcome = iota
	made
	refused
)

// outcomeOf reads an answer. One that did not come says nothing, unless there was no connection.
func (l *ledger) outcomeOf(what string, a *answer) outcome {
	switch {
	case a.ok():
		return made
	case a.status == http.StatusPreconditionFailed, string(a.body) == "connection refused":
		return refused
	case a.status == 0, bytes.Contains(a.body, []byte(`"outcome":"unknown"`)):
		return unknown
	case a.status == http.StatusServiceUnavailable:
		return refused
	}
	l.blame("%s: %d %s", what, a.status, a.body)
	return unknown
}

func (l *ledger) blame(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (l *ledger) write(i, k int, v version) bool {
	method, body := http.MethodPut, l.value(k, v.number)
	if v.deleted {
		method, body = http.MethodDelete, ""
	}
	e := entry{version: v, began: time.Now()}
	a := ask(client, method, l.f.url(i, "/db/"+l.key(k)), body)
	e.ended = time.Now()
	if v.deleted && a.status == http.StatusNotFound {
		l.judge(i, k, a.status, "")
		return true
	}
	switch l.outcomeOf(method+" "+l.key(k), &a) {
	case made:
		e.acked = true
		fallthrough
	case unknown:
		l.state[k].writes = append(l.state[k].writes, e)
	}
	return e.acked
}

func (l *ledger) read(i, k int) bool {
	a := ask(client, http.MethodGet, l.f.url(i, "/db/"+l.key(k)), "")
	if a.status == 0 || a.status == http.StatusServiceUnavailable {
		return false
	}
	l.judge(i, k, a.status, string(a.body))
	return true
}

// add adds 1 to a counter.
func (l *ledger) add(i, counter int) bool {
	return l.account(counter, func() answer {
		return ask(client, http.MethodPost, l.f.url(i, "/db/"+sumKey(counter)+"?incr"), "")
	})
}

// addByCondition adds 1 to what it has read, if it is that still.
func (l *ledger) addByCondition(i, counter int) bool {
	url := l.f.url(i, "/db/"+sumKey(counter))
	was := ask(client, http.MethodGet, url, "")
	sum, err := strconv.ParseInt(string(was.body), 10, 64)
	switch {
	case was.status == 0, was.status == http.StatusServiceUnavailable:
		return false
	case was.status != http.StatusOK || err != nil:
		l.blame("counter %d at node %d: %d %q", counter, i, was.status, was.body)
		return false
	}
	return l.account(counter, func() answer {
		return ask(client, http.MethodPut, url, strconv.FormatInt(sum+1, 10), "If-Match", was.header.Get("ETag"))
	})
}

func (l *ledger) account(counter int, add func() answer) bool {
	e := entry{began: time.Now()}
	a := add()
	e.ended = time.Now()
	how := l.outcomeOf("an addition to "+sumKey(counter), &a)
	if e.acked = how == made; how == refused {
		return false
	}
	s := &l.sums[counter]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adds = append(s.adds, e)
	return e.acked
}

// judge blames an answer to a read that cannot be right.
func (l *ledger) judge(i, k, status int, value string) {
	if fault := l.fault(k, status, value); fault != "" {
		l.blame("%s at node %d: %d %.80q: %s", l.key(k), i, status, value, fault)
	}
}

// fault says what is wrong with what was found under a key; "": nothing is.
func (l *ledger) fault(k, status int, value string) string {
	found := version{deleted: true}
	if status == http.StatusOK {
		var number int
		if _, err := fmt.Sscanf(value, l.key(k)+" %d ", &number); err != nil || value != l.value(k, number) {
			return "nobody has written that"
		}
		found = version{number: number}
	} else if status != http.StatusNotFound {
		return "that is no answer"
	}
	same := func(v version) bool { return v == found || v.deleted && found.deleted }
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.state[k]
	for n := range slices.Backward(p.writes) {
		switch e := &p.writes[n]; {
		case same(e.version):
			l.lose(p.writes[n+1:])
			return ""
		case e.acked && !l.mayBeLost(e):
			if slices.ContainsFunc(p.writes[:n], func(old entry) bool { return !old.acked && same(old.version) }) {
				return "" // it may have come later
			}
			return fmt.Sprintf("last acknowledged was %+v, at %s", e.version, e.ended.UTC().Format("15:04:05.000"))
		}
	}
	if same(p.rested) {
		l.lose(p.writes)
		return ""
	}
	return fmt.Sprintf("there was %+v, and %d writes since", p.rested, len(p.writes))
}

// age is how long before the kill of all that may have cost it a change was acknowledged.
func (l *ledger) age(e *entry) (age time.Duration, may bool) {
	if l.slack == 0 {
		return 0, false
	}
	for _, k := range l.kills {
		if age := k.from.Sub(e.ended); e.began.Before(k.to) && age <= l.slack {
			return max(age, 0), true
		}
	}
	return 0, false
}

func (l *ledger) mayBeLost(e *entry) bool { _, may := l.age(e); return may }

// lose notes acknowledged changes that were lost, as they may be. mu is held.
func (l *ledger) lose(entries []entry) {
	for i := range entries {
		if e := &entries[i]; e.acked && !e.lost {
			age, _ := l.age(e)
			e.lost, l.ages = true, append(l.ages, age)
		}
	}
}

// losses tells of acknowledged writes that were lost, as they may be.
func (l *ledger) losses() string {
	if len(l.ages) == 0 {
		return "nothing"
	}
	slices.Sort(l.ages)
	at := func(percent int) time.Duration {
		return l.ages[(len(l.ages)-1)*percent/100].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d writes that were acknowledged up to %v before the kill; 90 %% of them %v, half %v", len(l.ages), at(100), at(90), at(50))
}

// more waits until so many more requests were answered.
func (l *ledger) more(n int64) {
	l.f.t.Helper()
	want := l.done.Load() + n
	l.f.eventually("requests are answered", func() error {
		if got := l.done.Load(); got < want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

// struck notes that all nodes were killed.
func (l *ledger) struck(from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kills = append(l.kills, killed{from, to})
}

// audit reads everything at all nodes, which are at rest, while nobody asks for anything else. Then
// the nodes come to agree, and the books are closed.
func (l *ledger) audit() {
	l.f.t.Helper()
	l.gate.Lock()
	defer l.gate.Unlock()
	for i := range l.f.ships {
		l.f.awaitSettled(l.f.all()...)
		found, err := l.readAll(i, "r=one")
		if err != nil {
			l.f.t.Fatal(err)
		}
		for k := range l.state {
			l.judge(i, k, found[k].Status, found[k].Value)
		}
	}
	newest, err := l.readAll(0, "r=all")
	if err != nil {
		l.f.t.Fatal(err)
	}
	for i := range l.f.ships {
		l.f.eventually("all nodes answer the same", func() error {
			now, err := l.readAll(i, "r=one")
			for k := range newest {
				if err == nil && now[k] != newest[k] {
					err = fmt.Errorf("node %d: %+v, and node 0: %+v", i, now[k], newest[k])
				}
			}
			return err
		})
	}
	l.close(newest)
	if some(l.f.t, "answers were wrong", l.wrong); l.f.t.Failed() {
		l.f.t.FailNow()
	}
}

// close judges what all nodes hold, and goes on from there.
func (l *ledger) close(newest []read) {
	for k := range l.state {
		l.judge(0, k, newest[k].Status, newest[k].Value)
		l.state[k] = page{rested: version{deleted: newest[k].Status == http.StatusNotFound}}
		_, _ = fmt.Sscanf(newest[k].Value, l.key(k)+" %d ", &l.state[k].rested.number) // judge has looked
	}
	for c := range l.sums {
		l.balance(c, &newest[len(l.state)+c])
	}
	l.kills = nil
}

func (l *ledger) balance(c int, found *read) {
	s := &l.sums[c]
	value, err := strconv.ParseInt(found.Value, 10, 64)
	least, most := s.rested, s.rested+int64(len(s.adds))
	var doubtful []entry // that may be lost
	for i := range s.adds {
		switch e := &s.adds[i]; {
		case e.acked && l.mayBeLost(e):
			doubtful = append(doubtful, *e)
		case e.acked:
			least++
		}
	}
	if err != nil || value < least || value > most {
		l.blame("counter %d: %d %q, and it is %d to %d; it was %d", c, found.Status, found.Value, least, most, s.rested)
	}
	slices.SortFunc(doubtful, func(a, b entry) int { return a.ended.Compare(b.ended) })
	l.lose(doubtful[min(len(doubtful), int(max(0, value-least))):]) // those of unknown outcome that were made may hide some
	s.rested, s.adds = value, nil
}

// read is what was found under a key.
type read struct {
	Key    string
	Status int
	Value  string
}

// readAll reads all keys, and then all counters, at a node.
func (l *ledger) readAll(i int, query string) (all []read, err error) {
	var body bytes.Buffer
	for k := range l.state {
		fmt.Fprintf(&body, "{\"op\":\"get\",\"key\":%q}\n", l.key(k))
	}
	for c := range l.sums {
		fmt.Fprintf(&body, "{\"op\":\"get\",\"key\":%q}\n", sumKey(c))
	}
	resp, err := client.Post(l.f.url(i, "/batch?timeout=30s&"+query), "application/x-ndjson", &body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var r read
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		if r.Status != http.StatusOK && r.Status != http.StatusNotFound {
			return nil, fmt.Errorf("at node %d: %s", i, lines.Bytes())
		}
		all = append(all, r)
	}
	if len(all) != len(l.state)+len(l.sums) {
		return nil, errors.Join(fmt.Errorf("%d results at node %d", len(all), i), io.ErrUnexpectedEOF)
	}
	return all, nil
}
