package console

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/internal/browser"
	"httpdhs/internal/poll"
)

// stand serves the console with an API of canned documents, for states hard to bring about.
// Its clock goes on by a poll of the page with each GET /cluster/stats, and not otherwise.
type stand struct {
	t   *testing.T
	url string

	mu      sync.Mutex // guards all below
	cluster api.Cluster
	polls   int // GET /cluster/stats so far
	counts  map[string][]api.OperationStats
	started map[string]time.Time
	hot     []api.PartitionStats
	load    func(node, poll int) (gets, puts float64) // a second
	keys    []any                                     // of GET /db
	values  map[string]standValue                     // by the path under /db/
	answers map[string]standAnswer                    // by method and path: instead of what is below
	asked   []string                                  // methods and addresses, and what Authorization was
}

type standValue struct {
	kind string
	body []byte
	ttl  time.Duration
}

type standAnswer struct {
	status int
	body   any
}

var (
	standBegins = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	standBounds = []float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}
)

// newStand serves a cluster of so many nodes, all of which are well, in so many zones (0: none).
func newStand(t *testing.T, nodes, zones int) *stand {
	t.Helper()
	s := &stand{
		t: t, counts: make(map[string][]api.OperationStats), started: make(map[string]time.Time),
		values: make(map[string]standValue), answers: make(map[string]standAnswer),
		load: func(node, poll int) (gets, puts float64) {
			wave := 1 + 0.35*math.Sin(float64(poll)/40) + 0.12*math.Sin(float64(poll*(node+3))/3)
			return (2600 + 120*float64(node%5)) * wave, 420 * wave
		},
	}
	s.cluster = api.Cluster{
		Ring: "5f1d7c2ab9e04463", Replicas: 2, Partitions: 1024, Partitioner: "ring",
	}
	for i := range nodes {
		n := api.Node{
			Name: fmt.Sprintf("10.0.%d.%d:1234", i/4, 11+i%4), State: api.StateActive, Weight: 1,
			Keys: 231_407 + int64(i*977), Bytes: 48_211_034, Tombstones: 120,
			Memory:  api.Memory{Live: 61 << 20, Dead: 3 << 20, Segments: 72 << 20, Index: 9 << 20, Used: 78 << 20, Max: 256 << 20},
			Version: "v0.1.0", Started: time.Now().Add(-51 * time.Hour),
		}
		if zones > 0 {
			n.Zone = string(rune('a' + i%zones))
		}
		s.cluster.Nodes = append(s.cluster.Nodes, n)
		s.started[n.Name] = standBegins.Add(-51 * time.Hour)
	}
	s.cluster.Node = s.cluster.Nodes[0].Name
	owners := s.ring().Owners
	for i := range s.cluster.Nodes {
		for _, o := range owners {
			if int(o[0]) == i {
				s.cluster.Nodes[i].PrimaryPartitions++
			} else if slices.Contains(o, uint16(i)) {
				s.cluster.Nodes[i].ReplicaPartitions++
			}
		}
	}
	s.hot = []api.PartitionStats{
		{Partition: 417, Reads: 812, Writes: 96}, {Partition: 12, Reads: 530.5, Writes: 12}, {Partition: 700, Reads: 90, Writes: 201},
		{Partition: 888, Reads: 140, Writes: 8},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	files := Handler()
	server := &fasthttp.Server{ReadBufferSize: 64 << 10, Handler: func(ctx *fasthttp.RequestCtx) {
		if slices.Contains(Paths, string(ctx.Path())) {
			files(ctx)
			return
		}
		s.answer(ctx)
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-served
	})
	s.url = "http://" + ln.Addr().String() + "/"
	return s
}

// change changes the canned documents.
func (s *stand) change(f func(c *api.Cluster)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.cluster)
}

// says answers a request, "GET /db/x", in another way from now on. A status of 0 is the usual way.
func (s *stand) says(request string, status int, body any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status == 0 {
		delete(s.answers, request)
		return
	}
	s.answers[request] = standAnswer{status, body}
}

// wasAsked says whether a request came, or one with that Authorization.
func (s *stand) wasAsked(request string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.asked, request)
}

func (s *stand) answer(ctx *fasthttp.RequestCtx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := string(ctx.Method()) + " " + string(ctx.Path())
	s.asked = append(s.asked, string(ctx.Method())+" "+string(ctx.RequestURI()))
	if authorization := ctx.Request.Header.Peek("Authorization"); len(authorization) > 0 {
		s.asked = append(s.asked, string(authorization))
	}
	if said, found := s.answers[request]; found {
		s.write(ctx, said.status, said.body)
		return
	}
	key, isKey := strings.CutPrefix(string(ctx.Request.URI().PathOriginal()), "/db/")
	owners, isOwners := strings.CutPrefix(string(ctx.Request.URI().PathOriginal()), "/cluster/key/")
	switch {
	case request == "GET /cluster":
		s.write(ctx, 200, s.cluster)
	case request == "GET /cluster/stats":
		s.write(ctx, 200, s.stats())
	case request == "GET /cluster/ring":
		s.write(ctx, 200, s.ring())
	case request == "GET /cluster/safe-to-stop":
		s.write(ctx, 200, map[string]any{"safe": true, "reason": ""})
	case request == "GET /db":
		s.write(ctx, 200, map[string]any{"keys": s.keys})
	case isKey:
		s.value(ctx, key)
	case isOwners:
		s.write(ctx, 200, s.owners(owners))
	default:
		s.write(ctx, 404, api.Error{Error: "there is no such thing"})
	}
}

func (s *stand) write(ctx *fasthttp.RequestCtx, status int, body any) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	if err := json.NewEncoder(ctx).Encode(body); err != nil {
		s.t.Error(err)
	}
}

func (s *stand) value(ctx *fasthttp.RequestCtx, key string) {
	v, found := s.values[key]
	switch {
	case !found:
		s.write(ctx, 404, api.Error{Error: "no such key"})
	case ctx.IsDelete():
		delete(s.values, key)
		ctx.SetStatusCode(204)
	case ctx.IsPost() && string(ctx.Request.Header.Peek("If-Match")) == "":
		s.write(ctx, 400, api.Error{Error: "the page sends no tag"})
	default:
		h := &ctx.Response.Header
		h.Set("ETag", `"18a6f5e2c0410001"`)
		h.Set("Last-Modified", standBegins.Format(time.RFC1123))
		h.Set("X-Dht-Node", s.cluster.Node)
		if v.ttl > 0 {
			h.Set("Expires", time.Now().Add(v.ttl).UTC().Format(time.RFC1123))
		}
		ctx.SetContentType(v.kind)
		ctx.SetBody(v.body)
	}
}

func (s *stand) owners(string) api.Key {
	doc := api.Key{Hash: "68b2f05c1d9e7a43", Partition: 418}
	modified := standBegins
	for _, n := range s.cluster.Nodes[:min(2, len(s.cluster.Nodes))] {
		doc.Owners = append(doc.Owners, api.KeyOwner{
			Node: n.Name, State: n.State, Found: true, Version: "18a6f5e2c0410001", Modified: &modified, Size: 213,
		})
	}
	return doc
}

// ring gives each partition two nodes that are up.
func (s *stand) ring() api.Ring {
	r := api.Ring{Fingerprint: s.cluster.Ring, Hash: "xxh3-64", Partitioner: "ring", Partitions: s.cluster.Partitions, Replicas: 2}
	var members []uint16
	for i, n := range s.cluster.Nodes {
		r.Nodes = append(r.Nodes, api.RingNode{Name: n.Name, Zone: n.Zone, Weight: 1})
		if n.State != api.StateJoining {
			members = append(members, uint16(i))
		}
	}
	state := uint32(1)
	for range r.Partitions {
		state = state*1664525 + 1013904223
		first := int(state>>16) % len(members)
		owners := []uint16{members[first]}
		if len(members) > 1 {
			owners = append(owners, members[(first+1+int(state>>8)%(len(members)-1))%len(members)])
		}
		r.Owners = append(r.Owners, owners)
	}
	return r
}

// stats counts on by what the load was since the poll before.
func (s *stand) stats() api.Stats {
	const interval = 2 * time.Second
	s.polls++
	now := standBegins.Add(time.Duration(s.polls) * interval)
	doc := api.Stats{Node: s.cluster.Node, Bounds: standBounds}
	for i, n := range s.cluster.Nodes {
		stats := api.NodeStats{Name: n.Name}
		if n.State == api.StateDown {
			stats.Error = "it does not answer"
			doc.Nodes = append(doc.Nodes, stats)
			continue
		}
		gets, puts := s.load(i, s.polls)
		slow := 1 + 0.5*math.Sin(float64(s.polls)/25)
		s.counts[n.Name] = []api.OperationStats{
			s.count(n.Name, "get", gets*interval.Seconds(), 0.00014*slow), s.count(n.Name, "put", puts*interval.Seconds(), 0.00032*slow),
			s.count(n.Name, "delete", 2, 0.0003), s.count(n.Name, "update", 0, 0), s.count(n.Name, "list", 0.4, 0.02),
			s.count(n.Name, "batch", 0, 0), s.count(n.Name, "load", 0, 0), s.count(n.Name, "resp", gets/9, 0.00006),
		}
		stats.Time, stats.Started, stats.Connections = now, s.started[n.Name], new(40+int64(i%7))
		stats.Operations = s.counts[n.Name]
		if i == 0 {
			stats.HotPartitions = s.hot
		}
		doc.Nodes = append(doc.Nodes, stats)
	}
	return doc
}

// count adds so many operations to those of a kind, with latencies around a middle.
func (s *stand) count(node, kind string, more, middle float64) api.OperationStats {
	o := api.OperationStats{Kind: kind, Buckets: make([]int64, len(standBounds)+1)}
	for _, before := range s.counts[node] {
		if before.Kind == kind {
			o = before
			o.Buckets = slices.Clone(before.Buckets)
		}
	}
	o.Count += int64(more)
	o.Seconds += more * middle
	at, _ := slices.BinarySearch(standBounds, middle)
	for i, part := range []float64{0.6, 0.3, 0.08, 0.02} {
		o.Buckets[min(at+i, len(standBounds))] += int64(more * part)
	}
	return o
}

// quick has a page ask again as soon as it has its answers, while it believes that two seconds have
// gone by.
const quick = `{
  let now = Date.now();
  const later = window.setTimeout;
  Date.now = () => now;
  window.setTimeout = (f, ms, ...rest) => later(() => { if (ms === 2000) now += 2000; f(...rest); }, ms === 2000 ? 5 : ms);
}`

// watched has a page keep what is wrong with it.
const watched = `
  window.faults = [];
  addEventListener("error", (event) => faults.push(String(event.message)));
  addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
  addEventListener("securitypolicyviolation", (event) => faults.push("the policy forbids " + event.blockedURI + " " + event.violatedDirective));`

// page is the console of a stand in a browser.
type page struct {
	*browser.Page
	s *stand
}

// open opens the console at an address such as "#/keys", and waits until it has drawn the nodes. At
// the end of the test nothing was wrong with it, and all that it has loaded is of the node.
func (s *stand) open(b *browser.Browser, at string, width int, dark bool, before ...string) page {
	s.t.Helper()
	p := page{b.For(s.t).Blank(), s}
	p.Look(width, 800, dark)
	for _, script := range append(before, watched) {
		p.Before(script)
	}
	p.Go(s.url + at)
	p.Await(fmt.Sprintf(`document.querySelectorAll("#nodes tr").length === %d`, len(s.cluster.Nodes)))
	s.t.Cleanup(func() {
		var faults, elsewhere []string
		p.Eval(`faults`, &faults)
		p.Eval(`performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => !name.startsWith(location.origin) && !name.startsWith("blob:"))`, &elsewhere)
		if len(faults)+len(elsewhere) > 0 {
			s.t.Errorf("of the page was wrong: %q; it has loaded %q", faults, elsewhere)
		}
	})
	return p
}

// text is what an element shows.
func (p page) text(selector string) (text string) {
	p.s.t.Helper()
	p.Eval(fmt.Sprintf(`document.querySelector(%q)?.innerText ?? "there is none"`, selector), &text)
	return text
}

// shows waits until an element shows a text.
func (p page) shows(selector, text string) {
	p.s.t.Helper()
	p.Await(fmt.Sprintf(`document.querySelector(%q)?.innerText.includes(%q)`, selector, text))
}

// click clicks what has a text, and is of a kind that is pressed.
func (p page) click(text string) {
	p.s.t.Helper()
	found := fmt.Sprintf(`[...document.querySelectorAll("button, a, summary")].filter((one) => one.checkVisibility() && one.innerText.trim() === %q)`, text)
	p.Await(found + `.length === 1`)
	p.Eval(found+`[0].click()`, nil)
}

// polled waits until the page has asked so many times.
func (s *stand) polled(polls int) {
	s.t.Helper()
	poll.Until(s.t, "the page asks on", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.polls < polls {
			return fmt.Errorf("it asked %d times, not %d", s.polls, polls)
		}
		return nil
	})
}
