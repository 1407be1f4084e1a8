package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// balancer is what stands between clients and nodes, with connections that it keeps: it asks each
// node every so often whether it is ready, and sends requests to those that said so. A request that
// it could not send for want of a connection goes to another node, if the first is excused. It
// tries nothing else again, and so has its clients see whatever goes wrong.
type balancer struct {
	f       *fleet
	every   time.Duration
	pace    time.Duration // that a client takes for a request, at the least
	clients int
	stop    atomic.Bool
	all     sync.WaitGroup
	done    atomic.Int64 // requests that were answered

	mu     sync.Mutex // guards all below
	nodes  []backend
	failed []string
	acked  []string // keys whose writes were acknowledged; the value of each is the key
}

// backend is what a balancer knows of a node.
type backend struct {
	ready    bool // as it last said
	said503  bool // since it was last ready
	drains   bool // as is known before the balancer hears: answers end connections
	parted   int  // answers since
	underWay int  // requests that it was chosen for
	open     map[*keptConn]struct{}
	excused  bool // it is killed or cut off: what was under way there may fail
	lost     int  // requests that did, since
}

// connectMost is how long a balancer waits for a connection, or for a probe's answer, before it
// begins again.
const connectMost = 2 * time.Second

// startBalancer has clients send requests through it, each one after the other.
func startBalancer(f *fleet, every, pace time.Duration, clients int) *balancer {
	b := &balancer{f: f, every: every, pace: pace, clients: clients, nodes: make([]backend, len(f.ships))}
	for i := range b.nodes {
		b.nodes[i] = backend{ready: true, open: make(map[*keptConn]struct{})}
	}
	for i := range b.nodes {
		b.all.Go(func() { b.follow(i) })
	}
	for c := range clients {
		b.all.Go(func() { b.client(c) })
	}
	return b
}

// at calls do with what is known of node i, and mu held.
func (b *balancer) at(i int, do func(n *backend)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do(&b.nodes[i])
}

// isExcused says whether node i is.
func (b *balancer) isExcused(i int) (yes bool) {
	b.at(i, func(n *backend) { yes = n.excused })
	return yes
}

// anyExcused says whether a node is killed or cut off, or has just come back.
func (b *balancer) anyExcused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.nodes, func(n backend) bool { return n.excused })
}

// follow asks a node, over a new connection each time, as a health check does. Of one that is
// excused and does not answer all connections are cut.
func (b *balancer) follow(i int) {
	probe := &http.Transport{DisableKeepAlives: true}
	for ticker := time.NewTicker(b.every); !b.stop.Load(); <-ticker.C {
		was := b.isExcused(i)
		ctx, cancel := context.WithTimeout(context.Background(), connectMost)
		req, _ := http.NewRequestWithContext(ctx, "GET", b.f.url(i, "/readyz"), nil)
		res, err := probe.RoundTrip(req)
		b.at(i, func(n *backend) {
			switch {
			case err != nil && (was || n.excused):
				n.ready = false
				for k := range n.open {
					k.close()
				}
			case err != nil && !isTimeout(err) && n.ready:
				b.failed = append(b.failed, fmt.Sprintf("node %d, which was ready, is gone: %v", i, err))
				n.ready = false
			case err != nil:
			case res.StatusCode == http.StatusOK:
				n.ready, n.said503 = n.ready || !n.excused, false
			default:
				n.ready, n.said503 = false, true
			}
		})
		if err == nil {
			_ = res.Body.Close()
		}
		cancel()
	}
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// choose is a node that is ready.
func (b *balancer) choose() (i int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range rand.Perm(len(b.nodes)) {
		if n := &b.nodes[i]; n.ready {
			n.underWay++
			return i, true
		}
	}
	return 0, false
}

// client writes keys of its own and reads them. It has a connection to each node at most.
func (b *balancer) client(c int) {
	kept := make([]*keptConn, len(b.nodes))
	var acked []string
	wrote := "" // the key that is read next
	for n := 0; !b.stop.Load(); {
		next := time.Now().Add(b.pace)
		i, ok := b.choose()
		switch {
		case !ok && b.anyExcused():
			// Nodes that were cut off from each other have all to find out what they missed.
			time.Sleep(b.pace) // nothing is waited for: this is the load
			continue
		case !ok:
			b.fail("no node is ready")
			return
		}
		key, request := wrote, "GET /db/%[1]s HTTP/1.1\r\nHost: %[3]s\r\n\r\n"
		if wrote == "" {
			key, request = fmt.Sprintf("roll-%d-%d", c, n), "PUT /db/%[1]s HTTP/1.1\r\nHost: %[3]s\r\nContent-Length: %[2]d\r\n\r\n%[1]s"
		}
		body, how, err := b.send(i, &kept[i], fmt.Sprintf(request, key, len(key), b.f.address(i)))
		switch {
		case how == notSent:
			continue
		case err != nil:
			b.fail(fmt.Sprintf("node %d, %.4s %s: %v", i, request, key, err))
		case how == answered && wrote != "" && body != key:
			b.fail(fmt.Sprintf("node %d: %s is %q", i, key, body))
		case how == answered:
			b.done.Add(1)
			if wrote == "" {
				acked = append(acked, key)
			}
		}
		if wrote == "" && how == answered && err == nil {
			wrote = key
		} else {
			wrote = ""
			n++
		}
		time.Sleep(time.Until(next)) // nothing is waited for: this is the load
	}
	for _, k := range kept {
		k.close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acked = append(b.acked, acked...)
}

// sending is what became of a request.
type sending int

const (
	answered sending = iota // or it failed, which the error says
	notSent                 // an excused node takes no connection
	lost                    // it was under way at an excused node
)

// send sends a request to node i, over the connection there or a new one.
func (b *balancer) send(i int, kept **keptConn, request string) (body string, how sending, err error) {
	defer b.at(i, func(n *backend) { n.underWay-- })
	var was, drains bool
	b.at(i, func(n *backend) { was, drains = n.excused, n.drains })
	k := (*kept).usable()
	if k == nil {
		if k, err = b.connect(i); err != nil {
			*kept = nil
			if was || b.isExcused(i) {
				return "", notSent, nil
			}
			return "", answered, err
		}
	}
	body, last, err := k.exchange(request)
	*kept = k
	b.at(i, func(n *backend) {
		if drains && err == nil {
			if n.parted++; !last {
				err = errors.New("the node drains, and its answer does not end the connection")
			}
		}
		if last || err != nil {
			delete(n.open, k)
			k.close()
			*kept = nil
		}
		if err != nil && body == "" && (was || n.excused) { // an answer has no excuse
			n.lost++
			how, err = lost, nil
		}
	})
	return body, how, err
}

// connect is a new connection to node i.
func (b *balancer) connect(i int) (*keptConn, error) {
	for {
		c, err := net.DialTimeout("tcp", b.f.address(i), connectMost)
		switch {
		case err == nil:
			k := &keptConn{Conn: c, r: bufio.NewReader(c)}
			b.at(i, func(n *backend) { n.open[k] = struct{}{} })
			return k, nil
		case !isTimeout(err) || b.isExcused(i) || b.stop.Load():
			return nil, err
		}
	}
}

func (b *balancer) fail(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, time.Now().UTC().Format("15:04:05.000 ")+why)
}

// withdrawn says why node i may still be asked something.
func (b *balancer) withdrawn(i int) (err error) {
	b.at(i, func(n *backend) {
		if n.ready || !n.said503 || n.underWay > 0 {
			err = fmt.Errorf("ready %v, said 503 %v, %d requests under way", n.ready, n.said503, n.underWay)
		}
	})
	return err
}

// withdraw has node i drain, waits until the balancer has heard, and has what was under way there
// end. Whatever the node answers meanwhile has to end its connection.
func (b *balancer) withdraw(t *testing.T, i int) {
	t.Helper()
	b.f.signal(i, syscall.SIGTERM)
	poll.Until(t, "it drains", func() error {
		status, body, err := b.f.get(i, "/readyz")
		if err == nil && status != http.StatusServiceUnavailable {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	b.at(i, func(n *backend) { n.drains = true })
	poll.Until(t, "the balancer has heard", func() error { return b.withdrawn(i) })
	b.at(i, func(n *backend) {
		t.Logf("node %d drained, and had %d requests before the balancer heard", i, n.parted)
		n.drains, n.parted = false, 0
	})
}

// excuse has node i be killed or cut off, by do, and waits until it is used no more. What was under
// way there at the time may fail.
func (b *balancer) excuse(t *testing.T, i int, do func()) {
	t.Helper()
	b.at(i, func(n *backend) { n.excused, n.lost = true, 0 })
	do()
	poll.True(t, "the balancer misses the node", func() (gone bool) {
		b.at(i, func(n *backend) { gone = !n.ready && n.underWay == 0 })
		return gone
	})
}

// awaitUsed waits until node i is used again. It has no excuse any more. One that was excused and
// missed is not used before: for a second after a cut a node does not know that the others went on
// without it, says that it is ready, and answers with what it has.
func (b *balancer) awaitUsed(t *testing.T, i int) {
	t.Helper()
	poll.True(t, "the balancer uses all other nodes", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for j := range b.nodes {
			if j != i && !b.nodes[j].ready {
				return false
			}
		}
		return true
	})
	b.at(i, func(n *backend) {
		if n.excused && n.lost > b.clients {
			t.Errorf("node %d: %d requests failed, and %d clients had one under way at most", i, n.lost, b.clients)
		}
		if n.excused {
			t.Logf("node %d: %d requests were under way, and failed", i, n.lost)
		}
		n.excused = false
	})
	poll.True(t, "the balancer uses the node again", func() (ready bool) {
		b.at(i, func(n *backend) { ready = n.ready })
		return ready
	})
}

// more waits for so many more answers, or for a request that fails.
func (b *balancer) more(t *testing.T, n int64) {
	t.Helper()
	failures := func() []string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.failed[:min(3, len(b.failed))]
	}
	until := b.done.Load() + n
	poll.Until(t, "requests are answered", func() error {
		if missing := until - b.done.Load(); missing > 0 && len(failures()) == 0 {
			return fmt.Errorf("%d more are missing", missing)
		}
		return nil
	})
	if some := failures(); len(some) > 0 {
		t.Fatalf("requests failed, such as %q", some)
	}
}

// end ends the load, and says what went wrong.
func (b *balancer) end(t *testing.T) {
	t.Helper()
	b.stop.Store(true)
	b.all.Wait()
	some(t, "requests failed", b.failed)
}

// readBack reads at each node what was acknowledged, when the load has ended.
func (b *balancer) readBack(t *testing.T) {
	t.Helper()
	if len(b.acked) == 0 {
		t.Error("nothing was written")
	}
	for i := range b.nodes {
		for keys := range slices.Chunk(b.acked, 1000) {
			var body bytes.Buffer
			for _, key := range keys {
				fmt.Fprintf(&body, "{\"op\":\"get\",\"key\":%q}\n", key)
			}
			res, err := client.Post(b.f.url(i, "/batch"), "application/x-ndjson", &body)
			if err != nil {
				t.Fatal(err)
			}
			lines := json.NewDecoder(res.Body)
			for _, key := range keys {
				var found read
				if err := lines.Decode(&found); err != nil || found.Value != key {
					t.Fatalf("at node %d %s is %+v, %v; it was acknowledged", i, key, found, err)
				}
			}
			_ = res.Body.Close()
		}
	}
	t.Logf("%d requests, %d keys were written, and are there", b.done.Load(), len(b.acked))
}
