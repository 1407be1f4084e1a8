package test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"httpdhs/internal/history"
)

// Faults happen at random while clients ask all nodes for everything. Nodes are killed, stopped in
// good order, and stopped as they are. Links between them get slow, lose packets or are cut. Nodes
// join, are killed while they join, leave and are removed. Nothing breaks what docs/guarantees.md
// promises, as package history checks it. What is broken is whole again in a bounded time: all
// members active, nothing kept for anybody, and every owner of a key with the same version.
//
// With make soak it goes on for SOAK_MINUTES. SOAK_SEED repeats what is drawn, but not how the
// machine interleaves it.
func TestRandomFaults(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("faults at random take their time: make soak RUN=RandomFaults")
	}
	t.Parallel()
	x := newChaos(t, soakSeed(), 7, "--sync-rate=1MiB")
	defer x.summary()
	for end := time.Now().Add(soakMinutes()); time.Now().Before(end) && x.rests; {
		mishaps := x.draw()
		x.round(mishaps)
	}
	x.judge()
}

// Two of three nodes are killed at once, and the checker is told of one. It finds that keys with
// two replicas are lost.
func TestRandomFaultsControl(t *testing.T) {
	t.Parallel()
	x := newChaos(t, 1, 3)
	defer x.summary()
	x.sabotage = func() {
		x.f.kill9(0)
		x.f.start(0)
	}
	x.round([]*mishap{{kind: "kill", node: 1, lasts: 50 * time.Millisecond}})
	if x.broken["lost"] == 0 {
		t.Errorf("both replicas of keys forget at once, and what is found is %v", x.broken)
	}
}

func soakSeed() uint64 {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SOAK_SEED"), strconv.Itoa(1+rand.IntN(1_000_000))), 10, 64)
	if err != nil {
		panic("SOAK_SEED is no number: " + err.Error())
	}
	return seed
}

func soakMinutes() time.Duration {
	minutes, err := strconv.Atoi(cmp.Or(os.Getenv("SOAK_MINUTES"), "10"))
	if err != nil || minutes < 1 {
		panic("SOAK_MINUTES is " + os.Getenv("SOAK_MINUTES") + ", want a number of minutes")
	}
	return time.Duration(minutes) * time.Minute
}

// chaos is a cluster to which things happen at random, the clients that ask it, and what came of
// it. All but what mu guards is the test's own goroutine's.
type chaos struct {
	t        *testing.T
	f        *fleet
	lan      *lan // nil: there is none, and links stay whole
	crowd    *crowd
	prober   *http.Client
	rand     *rand.Rand
	seed     uint64
	replicas int
	members  []int // of the ring, when it is at rest
	leaving  []leaver
	window   *history.Window // of this round
	before   map[string]history.Found
	sabotage func() // what happens that nobody is told of

	mu        sync.Mutex // guards all below, up to the blank line
	awaySince map[int]time.Duration
	wasAway   []history.Away
	starved   int // how often the machine had no time for the test itself

	rounds  int
	rests   bool // it came to rest so far
	slowest map[string]time.Duration
	faults  map[string]int
	asked   map[string]int // by how
	failed  map[string]int // by phase, how and why
	broken  map[string]int // violations by property
	told    []string       // some of them
}

// newChaos runs as many nodes as fit into a cluster of five, with places for more, in a network of
// their own if that can be made.
func newChaos(t *testing.T, seed uint64, places int, flags ...string) *chaos {
	t.Helper()
	x := &chaos{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), rests: true, prober: &http.Client{Timeout: time.Second},
		before: make(map[string]history.Found), awaySince: make(map[int]time.Duration), slowest: make(map[string]time.Duration),
		faults: make(map[string]int), asked: make(map[string]int), failed: make(map[string]int), broken: make(map[string]int),
	}
	x.replicas = 2 + x.rand.IntN(2)
	if places <= 3 {
		x.replicas = 2
	}
	flags = append(flags, fmt.Sprintf("--replicas=%d", x.replicas), "--partitions=256")
	var err error
	if x.f, x.lan, err = tryLAN(t, places, flags...); err != nil {
		t.Logf("links stay whole: %v", err)
		x.f = newFleet(t, places, flags...)
	}
	x.f.lines = 30
	for i := range min(places, 5) {
		x.members = append(x.members, i)
	}
	t.Logf("seed %d, %d replicas", seed, x.replicas)
	x.f.startByConf(x.members...)
	x.crowd = newCrowd(x.f, seed, soaked(500, 2000), soaked(200, 800))
	x.stock()
	done := make(chan struct{})
	var tending sync.WaitGroup
	tending.Go(func() { x.tend(done) })
	tending.Go(func() { x.watch(done) })
	x.crowd.begin()
	t.Cleanup(func() { // before the nodes are killed
		x.crowd.end()
		close(done)
		tending.Wait()
		x.prober.CloseIdleConnections()
	})
	return x
}

// stock loads the keys that stay, and those that are changed under conditions.
func (x *chaos) stock() {
	x.t.Helper()
	var body bytes.Buffer
	put := func(key, value string) {
		fmt.Fprintf(&body, "%s\t%s\n", key, value)
		x.before[key] = history.Found{Value: value}
	}
	for i := range x.crowd.still {
		key := fmt.Sprintf("still-%d", i)
		put(key, key+strings.Repeat(".", 2000))
	}
	for i := range swapKeys {
		key := fmt.Sprintf("swap-%d", i)
		put(key, key)
	}
	a := ask(x.crowd.web, http.MethodPost, x.f.url(0, "/load-data?w=all"), body.String(), "Content-Type", "text/tab-separated-values")
	if doc := readLoaded(x.t, a); doc.Failed > 0 {
		x.t.Fatalf("load: %+v", doc)
	}
}

// round has things happen, waits until the cluster is at rest, and judges what clients were told.
func (x *chaos) round(mishaps []*mishap) {
	x.rounds++
	began := time.Now()
	downs := x.timesDown()
	calm := x.span(soaked(200*time.Millisecond, time.Second), soaked(500*time.Millisecond, 4*time.Second))
	time.Sleep(calm) // so long nothing goes wrong: nothing is waited for
	unrest := x.unrest(downs, nobody)
	downs = x.timesDown()
	x.strike(mishaps)
	if x.sabotage != nil {
		x.sabotage()
	}
	rest := x.rest()
	x.window.To = x.crowd.now()
	unrest += x.unrest(downs, x.mayBeDown)
	downs = x.timesDown()
	time.Sleep(calm) // the same: nothing is waited for
	unrest += x.unrest(downs, nobody)

	x.crowd.gate.Lock()
	defer x.crowd.gate.Unlock()
	s := &history.Segment{Replicas: x.replicas, Before: x.before, Ops: x.crowd.take(), Window: x.window, Keys: x.crowd.keys()}
	x.closeWindow(unrest)
	agree, last := x.gather(s)
	var words []string
	for _, m := range mishaps {
		words = append(words, m.String())
	}
	found, first := x.check(s)
	x.t.Logf("%v round %d: %s; at rest after %v, agreed after %v; %d operations, %d violations", x.crowd.now().Round(time.Second), x.rounds,
		strings.Join(words, "; "), rest, agree, len(s.Ops), found)
	if last != nil {
		x.t.Logf("  it did not agree at once: %v", last)
	}
	for _, v := range first {
		x.t.Logf("  %v", v)
	}
	if found > 0 {
		x.f.wroteSince(began)
	}
	x.before = s.Found[x.members[0]]
}

func nobody(int) bool { return false }

// mayBeDown says whether a node may be found down, by what happened in this round.
func (x *chaos) mayBeDown(node int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, away := x.awaySince[node]
	return away || x.window.Split || slices.ContainsFunc(x.wasAway, func(a history.Away) bool { return a.Node == node })
}

// closeWindow notes who was away. If nodes found others down that had no fault, either they have a
// fault, or the machine had no time for them. The test knows the second by its own wait for the
// machine. What is then not answered is nobody's fault.
func (x *chaos) closeWindow(unrest int) {
	x.mu.Lock()
	for node, since := range x.awaySince {
		x.wasAway = append(x.wasAway, history.Away{Node: node, From: since, To: x.window.To})
	}
	clear(x.awaySince)
	x.window.Away, x.wasAway = x.wasAway, nil
	starved := x.starved
	x.starved = 0
	x.mu.Unlock()
	if unrest > 0 || starved > 0 {
		x.window.From, x.window.To, x.window.Split = 0, history.Never, true
	}
	switch {
	case starved > 0:
		x.faults["(the machine was busy elsewhere)"] += starved
	case unrest > 0:
		x.blame("rest", "nodes were found down %d times, and nothing was wrong with them", unrest)
	}
}

// watch counts the times that the machine had no time for the test itself, until done.
func (x *chaos) watch(done <-chan struct{}) {
	const every, late = 50 * time.Millisecond, 250 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := time.Now(); ; last = time.Now() {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		if time.Since(last) > every+late {
			x.mu.Lock()
			x.starved++
			x.mu.Unlock()
		}
	}
}

// wasStarved is how often that was, in this round so far.
func (x *chaos) wasStarved() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.starved
}

// check judges a round, and counts. It returns how many violations there are, and the first of each
// property.
func (x *chaos) check(s *history.Segment) (found int, first []history.Violation) {
	for i := range s.Ops {
		o := &s.Ops[i]
		phase := "while faults are at work"
		if o.End < s.Window.From || o.Begin >= s.Window.To {
			phase = "at rest"
		}
		x.asked[o.How]++
		if name := "a " + cmp.Or(map[bool]string{true: "read"}[o.Kind == history.Get], "write") + " at " + o.Level.String() + " " + phase; !s.Window.WasAway(o) {
			x.slowest[name] = max(x.slowest[name], o.End-o.Begin)
		}
		if o.Error != "" {
			x.failed[phase+"\t"+o.How+", "+o.Level.String()+"\t"+o.Error]++
		}
	}
	all := history.Check(s)
	for _, v := range all {
		x.broken[v.Property]++
		if !slices.ContainsFunc(first, func(f history.Violation) bool { return f.Property == v.Property }) {
			first = append(first, v)
			x.told = append(x.told, fmt.Sprintf("round %d: %v", x.rounds, v))
		}
	}
	return len(all), first
}

// blame notes a violation that no history shows.
func (x *chaos) blame(property, format string, args ...any) {
	x.broken[property]++
	x.told = append(x.told, fmt.Sprintf("round %d: %s: %s", x.rounds, property, fmt.Sprintf(format, args...)))
}

// judge fails the test if anything was broken.
func (x *chaos) judge() {
	x.t.Helper()
	if len(x.told) > 0 {
		const most = 20
		x.t.Errorf("seed %d breaks %v:\n%s", x.seed, x.broken, strings.Join(x.told[:min(len(x.told), most)], "\n"))
	}
}

// summary logs what was done and what came of it, in a table.
func (x *chaos) summary() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	total := 0
	for _, n := range x.asked {
		total += n
	}
	fmt.Fprintf(w, "seed %d, %d replicas, %v, %d rounds\t\t\t\n", x.seed, x.replicas, x.crowd.now().Round(time.Second), x.rounds)
	rows := func(what string, counts map[string]int) {
		fmt.Fprintf(w, "%s\t\t\t\n", what)
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(w, "  %d\t%s\n", counts[name], name)
		}
	}
	rows(fmt.Sprintf("operations: %d", total), x.asked)
	rows("faults", x.faults)
	rows("errors", x.failed)
	fmt.Fprintln(w, "the longest\t\t\t")
	for _, name := range slices.Sorted(maps.Keys(x.slowest)) {
		fmt.Fprintf(w, "  %v\t%s\n", x.slowest[name].Round(time.Millisecond), name)
	}
	rows("violations", x.broken)
	_ = w.Flush() // into memory
	x.t.Log("\n" + b.String())
}
