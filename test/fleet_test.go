package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/poll"
)

// soak says that the long versions of the tests of coming and going are wanted: make soak.
var soak = os.Getenv("SOAK") != ""

// soaked is what a test takes: little of it every day, and all with make soak.
func soaked[T any](daily, long T) T {
	if soak {
		return long
	}
	return daily
}

// soakKeys is how many keys the large clusters of make soak hold: a million, or SOAK_KEYS.
func soakKeys() int {
	keys, err := strconv.Atoi(cmp.Or(os.Getenv("SOAK_KEYS"), "1000000"))
	if err != nil || keys < 1 {
		panic("SOAK_KEYS is " + os.Getenv("SOAK_KEYS") + ", want a number of keys")
	}
	return keys
}

// fleet is processes of the binary, any number of them, that come and go: by a conf file or by
// joining.
type fleet struct {
	t     *testing.T
	dir   string
	flags []string // of all
	tls   bool     // the nodes speak TLS
	lines int      // most that are shown of what each process wrote, the last; 0: all

	mu    sync.Mutex // guards all below
	ships []*ship
}

// ship is a node of a fleet: its place, and the process that runs there, if one does.
type ship struct {
	name  string   // host:port, by which the nodes know it
	ask   string   // host:port at which the test asks it
	port  string   // that it listens on, where it is not the one of its name
	under []string // a command to run it under
	args  []string // flags of its own
	data  string   // its data directory; empty: it has none
	proc  *process // nil: was never started
	past  []string // what earlier processes wrote

	image  []string                   // a command that runs the binary of an image; nil: it is a process of this machine
	signal func(syscall.Signal) error // how it is sent a signal if it is none
}

// newFleet makes places for nodes on the loopback. None is started.
func newFleet(t *testing.T, nodes int, flags ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), flags: flags}
	for range nodes {
		addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		f.ships = append(f.ships, &ship{name: addr, ask: addr})
	}
	t.Cleanup(f.close)
	return f
}

func (f *fleet) close() {
	for i := range f.ships {
		if p := f.proc(i); p != nil {
			if f.t.Failed() { // it would not end if it is stopped
				_ = p.cmd.Process.Signal(syscall.SIGCONT)
			}
			f.kill9(i)
		}
	}
	if !f.t.Failed() {
		return
	}
	for i, s := range f.ships {
		for _, text := range s.past {
			f.t.Logf("node %d, earlier:\n%s", i, f.last(text))
		}
		if s.proc != nil {
			f.t.Logf("node %d, httpdhs %s:\n%s", i, strings.Join(s.proc.args, " "), f.last(s.proc.out.String()+s.proc.err.String()))
		}
	}
}

// wroteSince logs all that the nodes have logged since then, however often they were started.
func (f *fleet) wroteSince(began time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := began.UTC().Format("time=2006-01-02T15:04:05.000Z")
	for i, s := range f.ships {
		texts := slices.Clone(s.past)
		if s.proc != nil {
			texts = append(texts, s.proc.out.String()+s.proc.err.String())
		}
		var lines strings.Builder
		for _, text := range texts {
			for line := range strings.SplitAfterSeq(text, "\n") {
				if strings.HasPrefix(line, "time=") && line >= first {
					lines.WriteString(line)
				}
			}
		}
		f.t.Logf("node %d, in this round:\n%s", i, &lines)
	}
}

// last is the end of what a process wrote.
func (f *fleet) last(text string) string {
	if f.lines == 0 {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-f.lines):], "")
}

func (f *fleet) proc(i int) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ships[i].proc
}

func (f *fleet) name(i int) string { return f.ships[i].name }

// index is the place of a node by its name.
func (f *fleet) index(name string) int {
	return slices.IndexFunc(f.ships, func(s *ship) bool { return s.name == name })
}

// conf writes a conf file of the nodes, and returns the flag that names it.
func (f *fleet) conf(nodes ...int) string {
	f.t.Helper()
	text := ""
	for _, i := range nodes {
		text += f.name(i) + "\n"
	}
	name := filepath.Join(f.dir, "httpdhs.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return "--conf=" + name
}

// join is the flag that has a node join by others.
func (f *fleet) join(by ...int) string {
	var names []string
	for _, i := range by {
		names = append(names, f.name(i))
	}
	return "--join=" + strings.Join(names, ",")
}

// start runs node i, at its place, with flags of its own; without any, with those that it was last
// started with.
func (f *fleet) start(i int, args ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.ships[i]
	if len(args) > 0 {
		s.args = args
	}
	if s.proc != nil {
		s.past = append(s.past, s.proc.out.String()+s.proc.err.String())
	}
	port := cmp.Or(s.port, s.name[strings.LastIndexByte(s.name, ':')+1:])
	bind := []string{"server", "--port=" + port}
	if s.ask != s.name {
		bind = append(bind, "--bind=0.0.0.0", "--advertise="+s.name)
	}
	if s.data != "" {
		bind = append(bind, "--data-dir="+s.data)
	}
	var err error
	flags := slices.Concat(bind, f.flags, s.args)
	if s.image != nil {
		s.proc, err = launchCommand(slices.Concat(s.image, flags), f.dir, nil)
	} else {
		s.proc, err = launchUnder(s.under, f.dir, nil, flags...)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// startAll runs all nodes with a conf file of all, and waits until they are ready.
func (f *fleet) startAll() {
	f.t.Helper()
	var all []int
	for i := range f.ships {
		all = append(all, i)
	}
	f.startByConf(all...)
}

func (f *fleet) startByConf(nodes ...int) {
	f.t.Helper()
	conf := f.conf(nodes...)
	for _, i := range nodes {
		f.start(i, conf)
	}
	f.awaitSettled(nodes...)
}

// kill9 ends a node without a word of warning, stop has it end in good order.
func (f *fleet) kill9(i int) {
	p := f.proc(i)
	if f.ships[i].signal == nil {
		p.kill()
		return
	}
	_ = f.ships[i].signal(syscall.SIGKILL) // it may have ended by itself
	if _, err := p.wait(); err != nil {
		f.t.Errorf("node %d was killed: %v", i, err)
	}
}

func (f *fleet) stop(i int) {
	f.t.Helper()
	f.signal(i, syscall.SIGTERM)
	f.awaitEnd(i)
}

// awaitEnd waits until node i has ended in good order.
func (f *fleet) awaitEnd(i int) {
	f.t.Helper()
	p := f.proc(i)
	if status, err := p.wait(); err != nil || status != 0 {
		f.t.Errorf("node %d ends with status %d, %v", i, status, err)
	}
}

// pause stops a node as it is, and resume lets it go on.
func (f *fleet) pause(i int)  { f.signal(i, syscall.SIGSTOP) }
func (f *fleet) resume(i int) { f.signal(i, syscall.SIGCONT) }

func (f *fleet) signal(i int, s syscall.Signal) {
	f.t.Helper()
	send := f.ships[i].signal
	if send == nil {
		send = func(s syscall.Signal) error { return f.proc(i).cmd.Process.Signal(s) }
	}
	if err := send(s); err != nil {
		f.t.Fatal(err)
	}
}

// address is where the test asks node i.
func (f *fleet) address(i int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ships[i].ask
}

// url is where the test asks node i for something.
func (f *fleet) url(i int, path string) string {
	if f.tls {
		return "https://" + f.address(i) + path
	}
	return "http://" + f.address(i) + path
}

// get reads a document that node i makes.
func (f *fleet) get(i int, path string) (status int, body []byte, err error) {
	resp, err := client.Get(f.url(i, path))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func (f *fleet) json(i int, path string, doc any) error {
	status, body, err := f.get(i, path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s of node %d: %d %s", path, i, status, body)
	}
	return json.Unmarshal(body, doc)
}

// view is the cluster as node i sees it.
func (f *fleet) view(i int) (doc api.Cluster, err error) {
	return doc, f.json(i, "/cluster", &doc)
}

// table is the ring by which node i reads.
func (f *fleet) table(i int) (doc api.Ring) {
	f.t.Helper()
	if err := f.json(i, "/cluster/ring", &doc); err != nil {
		f.t.Fatal(err)
	}
	return doc
}

// isReady says why node i is not.
func (f *fleet) isReady(i int) error {
	if p := f.proc(i); !p.running() {
		return fmt.Errorf("node %d has ended: %s%s", i, &p.out, &p.err)
	}
	status, body, err := f.get(i, "/readyz")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("node %d is not ready: %s", i, body)
	}
	return err
}

// settled says why these nodes are not a cluster at rest: all ready, all active to each other,
// nobody else a member, one ring, and no other to come.
func (f *fleet) settled(nodes ...int) error {
	ring := ""
	for _, i := range nodes {
		if err := f.isReady(i); err != nil {
			return err
		}
		doc, err := f.view(i)
		if err != nil {
			return err
		}
		if ring == "" {
			ring = doc.Ring
		}
		if doc.Target != "" || doc.Ring != ring || len(doc.Nodes) != len(nodes) {
			return fmt.Errorf("node %d has %d members, ring %s and target %q; ring %s elsewhere, %d nodes",
				i, len(doc.Nodes), doc.Ring, doc.Target, ring, len(nodes))
		}
		for _, n := range doc.Nodes {
			if !slices.Contains(nodes, f.index(n.Name)) || n.State != api.StateActive {
				return fmt.Errorf("to node %d %s is %s: %s", i, n.Name, n.State, n.Reason)
			}
		}
	}
	return nil
}

func (f *fleet) awaitSettled(nodes ...int) {
	f.t.Helper()
	f.eventually("the nodes are settled", func() error { return f.settled(nodes...) })
}

// awaitDown waits until each of the nodes knows that node j is down, or that it is no member any
// more.
func (f *fleet) awaitDown(j int, at ...int) {
	f.t.Helper()
	f.eventually(fmt.Sprintf("node %d is down", j), func() error { return isDown(f.name(j), f.view, at) })
}

// isDown says which of the nodes does not know that one is down, or no member any more.
func isDown(name string, view func(i int) (api.Cluster, error), at []int) error {
	for _, i := range at {
		doc, err := view(i)
		if err != nil {
			return err
		}
		for _, n := range doc.Nodes {
			if n.Name == name && n.State != api.StateDown {
				return fmt.Errorf("to %s it is %s", doc.Node, n.State)
			}
		}
	}
	return nil
}

// long is the patience with what moves much data.
var long = soaked(2*time.Minute, 10*time.Minute)

func (f *fleet) eventually(what string, cond func() error) {
	f.t.Helper()
	if err := poll.Within(long, cond); err != nil {
		f.t.Fatalf("it is not so that %s: %v", what, err)
	}
}

// metrics are the values of a node's metrics, by name and labels as they are written.
func (f *fleet) metrics(i int) map[string]float64 {
	f.t.Helper()
	status, body, err := f.get(i, "/metrics")
	if err != nil || status != http.StatusOK {
		f.t.Fatalf("metrics of node %d: %d %v", i, status, err)
	}
	return metricsIn(body)
}

// metricsIn are the values of a page of metrics.
func metricsIn(page []byte) map[string]float64 {
	all := make(map[string]float64)
	for line := range strings.Lines(string(page)) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			if v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
				all[line[:at]] = v
			}
		}
	}
	return all
}

// sum is a metric's sum over nodes.
func (f *fleet) sum(name string, nodes ...int) (sum int64) {
	f.t.Helper()
	for _, i := range nodes {
		v, ok := f.metrics(i)[name]
		if !ok {
			f.t.Fatalf("no metric %s", name)
		}
		sum += int64(v)
	}
	return sum
}

// logged says whether a process at node i's place has ever written the text.
func (f *fleet) logged(i int, text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.ships[i]
	return strings.Contains(strings.Join(s.past, "")+s.proc.err.String(), text)
}
