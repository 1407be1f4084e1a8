package test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"httpdhs/api"
	"httpdhs/internal/history"
)

// mishap is one thing that goes wrong, or a node that comes or goes.
type mishap struct {
	kind  string
	at    time.Duration // after the first of its round
	lasts time.Duration
	node  int
	peers []int         // of those about links: at the other ends
	ways  int           // 0: from the node to them, 1: from them to it, 2: both
	fate  fate          // of the links
	after time.Duration // of a joiner that is killed: how long it is down; less than 0: it is removed
}

func (m *mishap) String() string {
	s := fmt.Sprintf("after %v %s node %d", m.at.Round(time.Millisecond), m.kind, m.node)
	if m.peers != nil {
		s += " " + [...]string{"to", "from", "to and from"}[m.ways] + fmt.Sprint(m.peers)
	}
	if m.lasts > 0 {
		s += fmt.Sprintf(" for %v", m.lasts.Round(time.Millisecond))
	}
	switch {
	case m.kind == "slow":
		s += fmt.Sprintf(" by %v", m.fate.delay)
	case m.kind == "lossy":
		s += fmt.Sprintf(" by %.0f %%", 100*m.fate.loss)
	case m.kind == "join and kill" && m.after < 0:
		s += ", then remove it"
	case m.kind == "join and kill":
		s += fmt.Sprintf(", then down for %v", m.after.Round(time.Millisecond))
	}
	return s
}

// splits says whether nodes that run may not reach each other in time.
func (m *mishap) splits() bool { return m.peers != nil || m.kind == "stop" }

// forgets says whether a member loses its memory.
func (m *mishap) forgets() bool {
	return m.kind == "kill" || m.kind == "terminate" || m.kind == "remove"
}

// changes says whether the members are others afterwards, or may have been meanwhile.
func (m *mishap) changes() bool {
	return slices.Contains([]string{"join", "join and kill", "leave", "remove"}, m.kind)
}

const (
	fewestMembers = 4
	mostMembers   = 6
)

// draw draws what goes wrong in a round: mostly one thing, sometimes two or three that overlap. No
// more members lose their memory than replicas - 1.
func (x *chaos) draw() (mishaps []*mishap) {
	budget, members := x.replicas-1, len(x.members)
	free := slices.Clone(x.members)
	x.rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	spare := x.spare()
	kinds := map[string]int{"kill": 4, "terminate": 3, "stop": 4, "join": 3, "join and kill": 3, "leave": 3, "remove": 2}
	if x.lan != nil {
		kinds["slow"], kinds["cut"], kinds["lossy"] = 5, 2, 2
	}
	count := 1
	for count < 3 && x.rand.IntN(100) < 45 {
		count++
	}
	for len(mishaps) < count {
		m := &mishap{kind: pickByWeight(x.rand, kinds), at: x.span(0, soaked(time.Second, 3*time.Second))}
		fits := len(free) > 0
		switch m.kind {
		case "join", "join and kill":
			fits = len(spare) > 0 && members < mostMembers
		case "leave":
			fits = fits && members > fewestMembers
		case "remove":
			fits = fits && members > fewestMembers && budget > 0
		case "kill", "terminate":
			fits = fits && budget > 0
		}
		if !fits {
			delete(kinds, m.kind)
			continue
		}
		switch {
		case m.kind == "join" || m.kind == "join and kill":
			m.node, spare = spare[0], spare[1:]
			members++
		default:
			m.node, free = free[0], free[1:]
		}
		if m.forgets() {
			budget--
		}
		if m.kind == "leave" || m.kind == "remove" {
			members--
		}
		x.detail(m)
		if m.peers != nil { // one at a time: each is the end of the one before
			delete(kinds, "slow")
			delete(kinds, "cut")
			delete(kinds, "lossy")
		}
		mishaps = append(mishaps, m)
	}
	return mishaps
}

// detail draws how long a mishap lasts, and where.
func (x *chaos) detail(m *mishap) {
	switch m.kind {
	case "stop":
		m.lasts = x.span(500*time.Millisecond, soaked(3*time.Second, 8*time.Second))
	case "join and kill":
		m.lasts, m.after = x.span(20*time.Millisecond, soaked(time.Second, 4*time.Second)), x.span(0, soaked(time.Second, 6*time.Second))
		if x.rand.IntN(2) == 0 {
			m.after = -1
		}
	case "kill", "terminate", "remove":
		m.lasts = x.span(50*time.Millisecond, soaked(2*time.Second, 8*time.Second))
	case "slow", "cut", "lossy":
		m.lasts = x.span(time.Second, soaked(3*time.Second, 60*time.Second))
		m.ways = x.rand.IntN(3)
		others := slices.DeleteFunc(slices.Clone(x.members), func(i int) bool { return i == m.node })
		x.rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
		m.peers = others[:1+x.rand.IntN(len(others))]
		switch m.kind {
		case "slow":
			m.fate.delay = x.span(50*time.Millisecond, time.Second).Round(time.Millisecond)
		case "cut":
			m.fate.cut, m.lasts = true, min(m.lasts, 10*time.Second)
		case "lossy":
			m.fate.loss = 0.01 + 0.3*x.rand.Float64()
		}
	}
}

// span is a time between two, short ones as often as long ones.
func (x *chaos) span(least, most time.Duration) time.Duration {
	u := x.rand.Float64()
	return least + time.Duration(u*u*float64(most-least))
}

func pickByWeight(r *rand.Rand, weights map[string]int) string {
	var all []string
	for name, weight := range weights {
		for range weight {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all[r.IntN(len(all))]
}

// event is something to do at a time, since the round's mishaps began.
type event struct {
	at time.Duration
	do func()
}

// events are what has to be done for a mishap. What they begin may go on after them, until the
// cluster is at rest.
func (x *chaos) events(m *mishap) (events []event) {
	at := func(t time.Duration, do func()) { events = append(events, event{t, do}) }
	begin, end := m.at, m.at+m.lasts
	switch m.kind {
	case "kill":
		at(begin, func() { x.kill(m.node) })
		at(end, func() { x.start(m.node) })
	case "terminate":
		at(begin, func() { x.terminate(m.node) })
		at(end, func() { x.start(m.node) })
	case "remove":
		at(begin, func() { x.kill(m.node) })
		at(end, func() { x.remove(m.node) })
	case "stop":
		at(begin, func() { x.stop(m.node) })
		at(end, func() { x.goOn(m.node) })
	case "join":
		at(begin, func() { x.join(m.node) })
	case "leave":
		at(begin, func() { x.leave(m.node) })
	case "join and kill":
		at(begin, func() { x.join(m.node) })
		at(end, func() { x.killJoiner(m.node) })
		if m.after >= 0 {
			at(end+m.after, func() { x.start(m.node) })
		} else {
			at(end, func() { x.remove(m.node) })
		}
	default:
		at(begin, func() { x.links(m, m.fate) })
		at(end, func() { x.links(m, fate{}) })
	}
	return events
}

// strike has mishaps happen, one thing after the other, and notes what they mean for what is
// promised.
func (x *chaos) strike(mishaps []*mishap) {
	x.window = &history.Window{From: x.crowd.now(), To: history.Never}
	var events []event
	for _, m := range mishaps {
		x.window.Split = x.window.Split || m.splits()
		x.window.Changed = x.window.Changed || m.changes()
		x.faults[m.kind]++
		events = append(events, x.events(m)...)
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	began := time.Now()
	for _, e := range events {
		time.Sleep(time.Until(began.Add(e.at))) // so long does what is under way last: nothing is waited for
		e.do()
	}
}

// away notes that a node does not run as it should, until it is asked again.
func (x *chaos) away(node int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, already := x.awaySince[node]; !already {
		x.awaySince[node] = x.crowd.now()
	}
}

// stop stops a node as it is, and goOn ends that.
func (x *chaos) stop(node int) {
	x.away(node)
	x.crowd.doors.set(node, true, true)
	x.f.pause(node)
}

func (x *chaos) goOn(node int) {
	x.f.resume(node)
	x.crowd.doors.set(node, true, false)
	x.back(node)
}

func (x *chaos) kill(node int) {
	x.away(node)
	x.f.kill9(node)
	x.window.Lost = append(x.window.Lost, x.crowd.now())
}

// terminate asks a node to stop in good order, and waits until it has.
func (x *chaos) terminate(node int) {
	x.away(node)
	x.f.signal(node, syscall.SIGTERM)
	if status, err := x.f.proc(node).wait(); err != nil || status != 0 {
		x.blame("stop", "node %d ends with status %d, %v", node, status, err)
	}
	x.window.Lost = append(x.window.Lost, x.crowd.now())
}

// start runs a node, empty.
func (x *chaos) start(node int) {
	if p := x.f.proc(node); p != nil && p.running() { // it was spared
		return
	}
	var others []int
	for _, i := range x.members {
		if i != node {
			others = append(others, i)
		}
	}
	x.away(node)
	x.f.start(node, x.f.join(others...))
}

func (x *chaos) join(node int) {
	x.start(node)
	x.members = append(x.members, node)
}

// killJoiner kills a node that is joining. If it is an owner already, that is the loss of a member,
// and it is left alone where too many were lost.
func (x *chaos) killJoiner(node int) {
	x.f.pause(node) // what it is does not change any more
	owner := slices.ContainsFunc(x.f.table(x.witness(node)).Nodes, func(n api.RingNode) bool { return n.Name == x.f.name(node) })
	switch {
	case !owner:
		x.away(node)
		x.window.Stillborn++
		x.f.kill9(node)
	case len(x.window.Lost) < x.replicas-1:
		x.kill(node)
	default:
		x.f.resume(node)
	}
}

// leave has a node leave; rest waits until it has.
func (x *chaos) leave(node int) {
	x.away(node)
	x.members = slices.DeleteFunc(x.members, func(i int) bool { return i == node })
	s := x.f.ships[node] // beside the node, from where it reaches the others, too
	p, err := launchUnder(s.under, x.f.dir, nil, "leave", s.name, "--to="+s.name)
	if err != nil {
		x.t.Fatal(err)
	}
	x.leaving = append(x.leaving, leaver{node, p})
}

// leaver is a command that has a node leave.
type leaver struct {
	node    int
	command *process
}

// remove takes a node that is down off the ring, once that is known.
func (x *chaos) remove(node int) {
	if x.f.proc(node).running() { // it was spared
		return
	}
	x.members = slices.DeleteFunc(x.members, func(i int) bool { return i == node })
	by := x.witness(node)
	x.patiently("remove", func() error {
		a := ask(x.crowd.web, http.MethodDelete, x.f.url(by, "/cluster/nodes/"+x.f.name(node)), "")
		if a.status/100 != 2 && a.status != http.StatusNotFound {
			return errors.New(a.reason())
		}
		return nil
	})
}

// witness is a member that runs as it should, and can be asked about a node.
func (x *chaos) witness(node int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, i := range x.members {
		if _, away := x.awaySince[i]; !away && i != node && !x.crowd.doors.stopped(i) {
			return i
		}
	}
	return x.members[0]
}

// links changes the fate of what goes over some links.
func (x *chaos) links(m *mishap, f fate) {
	for _, peer := range m.peers {
		if m.ways != 1 {
			x.lan.router.set(m.node, peer, f)
		}
		if m.ways != 0 {
			x.lan.router.set(peer, m.node, f)
		}
	}
}

// spare are the places at which no member runs.
func (x *chaos) spare() (nodes []int) {
	for i := range x.f.ships {
		if !slices.Contains(x.members, i) {
			nodes = append(nodes, i)
		}
	}
	x.rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes
}

// tend opens the doors of nodes that answer, and closes those of nodes that do not run, until done.
func (x *chaos) tend(done <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		for i := range x.f.ships {
			p := x.f.proc(i)
			switch {
			case p == nil:
			case !p.running():
				x.crowd.doors.set(i, false, false)
			case !x.crowd.doors.isOpen(i):
				if a := ask(x.prober, http.MethodGet, x.f.url(i, "/healthz"), ""); a.status == http.StatusOK {
					x.crowd.doors.set(i, true, false)
					x.back(i)
				}
			}
		}
	}
}

// back notes that a node is asked again.
func (x *chaos) back(node int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if since, away := x.awaySince[node]; away {
		delete(x.awaySince, node)
		x.wasAway = append(x.wasAway, history.Away{Node: node, From: since, To: x.crowd.now()})
	}
}

// timesDown is how often nodes found each other down, by the name of the one that was found.
func (x *chaos) timesDown() map[string]int {
	found := make(map[string]int)
	for _, s := range x.f.ships {
		x.f.mu.Lock()
		texts, proc := slices.Clone(s.past), s.proc
		x.f.mu.Unlock()
		if proc != nil {
			texts = append(texts, proc.err.String())
		}
		for _, text := range texts {
			for line := range strings.Lines(text) {
				if _, name, ok := strings.Cut(line, `msg="peer down" peer=`); ok {
					name, _, _ = strings.Cut(name, " ")
					found[name]++
				}
			}
		}
	}
	return found
}

// unrest is how often nodes were found down since that the round did not expect to be.
func (x *chaos) unrest(since map[string]int, expected func(node int) bool) (n int) {
	for name, times := range x.timesDown() {
		if !expected(x.f.index(name)) {
			n += times - since[name]
		}
	}
	return n
}
