package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// counts are clients of the Redis protocol that add to counters, and what they were told.
type counts struct {
	f     *fleet
	ports []int // of the nodes, for that protocol

	stop    chan struct{}
	clients sync.WaitGroup

	mu     sync.Mutex // guards all below
	serves []int      // nodes that are asked
	of     []tally    // by counter
}

// tally is what is known of one counter.
type tally struct {
	acked, unknown int64
	sums           map[int64]bool // that were answered
	twice          int64          // a sum that was answered twice; 0: none
	odd            string         // an answer that is none of those that are expected
}

const counters = 20

func newCounts(f *fleet, ports []int, serves ...int) *counts {
	c := &counts{f: f, ports: ports, stop: make(chan struct{}), serves: serves, of: make([]tally, counters)}
	for i := range c.of {
		c.of[i].sums = make(map[int64]bool)
	}
	return c
}

func (c *counts) begin(clients int) {
	for i := range clients {
		c.clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for !c.over() {
				c.session(random)
			}
		})
	}
}

func (c *counts) end() {
	close(c.stop)
	c.clients.Wait()
}

func (c *counts) over() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// serving sets the nodes that are asked from now on.
func (c *counts) serving(nodes ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serves = nodes
}

// session adds to counters over one connection, for a while.
func (c *counts) session(random *rand.Rand) {
	c.mu.Lock()
	node := c.serves[random.IntN(len(c.serves))]
	c.mu.Unlock()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.ports[node]))
	if err != nil {
		return // it is down: nothing was sent
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for range 1 + random.IntN(50) {
		next := time.Now().Add(pace)
		if c.over() || !c.add(conn, answers, random.IntN(counters), 1+random.IntN(3)) {
			return
		}
		time.Sleep(time.Until(next)) // nothing is waited for: this is the load
	}
}

// add adds 1 to a counter so many times, in one pipeline. It says whether the connection is good
// for more.
func (c *counts) add(conn net.Conn, answers *bufio.Reader, counter, times int) bool {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	command := fmt.Sprintf("INCR counter%d\r\n", counter)
	if _, err := io.WriteString(conn, strings.Repeat(command, times)); err != nil {
		c.unsure(counter, times)
		return false
	}
	for i := range times {
		line, err := answers.ReadString('\n')
		if err != nil {
			c.unsure(counter, times-i)
			return false
		}
		c.take(counter, strings.TrimSpace(line))
	}
	return true
}

func (c *counts) unsure(counter, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[counter].unknown += int64(times)
}

// take takes one answer.
func (c *counts) take(counter int, answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.of[counter]
	if sum, ok := strings.CutPrefix(answer, ":"); ok {
		n, err := strconv.ParseInt(sum, 10, 64)
		if err != nil || t.sums[n] {
			t.twice = n
		}
		t.sums[n] = true
		t.acked++
		return
	}
	switch code, _, _ := strings.Cut(answer, " "); code {
	case "-UNKNOWN":
		t.unknown++
	case "-UNAVAILABLE", "-TRYAGAIN", "-LOADING", "-OOM": // nothing was done
	default:
		t.odd = answer
	}
}

func (c *counts) acked() (sum int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.of {
		sum += c.of[i].acked
	}
	return sum
}

// more waits until so many more additions were acknowledged.
func (c *counts) more(n int64) {
	c.f.t.Helper()
	from := c.acked()
	c.f.eventually(fmt.Sprintf("%d more are acknowledged", n), func() error {
		if got := c.acked() - from; got < n {
			return fmt.Errorf("only %d are", got)
		}
		return nil
	})
}

// check compares what the nodes hold with what the clients were told.
func (c *counts) check(nodes ...int) {
	c.f.t.Helper()
	var acked, unknown, over int64
	for i := range c.of {
		t := &c.of[i]
		acked, unknown = acked+t.acked, unknown+t.unknown
		for _, node := range nodes {
			status, body, err := c.f.get(node, fmt.Sprintf("/db/counter%d?r=all", i))
			value, bad := strconv.ParseInt(string(body), 10, 64)
			if err = errors.Join(err, bad); err != nil || status != 200 {
				c.f.t.Errorf("counter %d at node %d: %d, %v", i, node, status, err)
				continue
			}
			if value < t.acked || value > t.acked+t.unknown {
				c.f.t.Errorf("counter %d is %d at node %d: %d additions were acknowledged, %d may have been done", i, value, node, t.acked, t.unknown)
			}
			if node == nodes[0] {
				over += value - t.acked
			}
		}
		if t.odd != "" {
			c.f.t.Errorf("counter %d: an addition was answered with %q", i, t.odd)
		}
		if t.twice != 0 {
			c.f.t.Errorf("counter %d: two additions were answered with %d", i, t.twice)
		}
	}
	c.f.t.Logf("%d additions acknowledged; of %d whose outcome is not known %d were done", acked, unknown, over)
}

// Fifty clients add to counters at all nodes, while nodes are killed, stopped, join and leave. Each
// counter is the sum of what was acknowledged, and at most what may have been done beside that. No
// two additions have the same answer.
func TestCountersStayExact(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6, "--replicas=3")
	var ports []int
	for range f.ships {
		ports = append(ports, freePort(t))
	}
	resp := func(i int) string { return fmt.Sprint("--resp-port=", ports[i]) }
	conf := f.conf(0, 1, 2, 3)
	for i := range 4 {
		f.start(i, conf, resp(i))
	}
	f.awaitSettled(0, 1, 2, 3)
	c := newCounts(f, ports, 0, 1, 2, 3)
	c.begin(50)
	n := soaked(int64(500), 50_000)
	for range soaked(1, 5) {
		c.more(n)
		f.kill9(1)
		c.more(n)
		f.start(1)
		f.awaitSettled(0, 1, 2, 3)
		f.pause(2)
		f.awaitDown(2, 0, 1, 3)
		c.more(n)
		f.resume(2)
		f.awaitSettled(0, 1, 2, 3)
		c.serving(0, 1, 2, 3, 4)
		f.start(4, f.join(0, 3), resp(4))
		c.more(n)
		f.awaitSettled(0, 1, 2, 3, 4)
		f.stop(0)
		c.more(n)
		f.start(0)
		f.awaitSettled(0, 1, 2, 3, 4)
		p, err := launch(f.dir, nil, "leave", f.name(4), "--to="+f.ships[4].ask)
		if err != nil {
			t.Fatal(err)
		}
		c.more(n)
		c.serving(0, 1, 2, 3)
		if status, err := p.wait(); status != 0 || err != nil {
			t.Fatalf("leave ends with %d, %v: %s%s", status, err, &p.out, &p.err)
		}
		f.awaitSettled(0, 1, 2, 3)
	}
	c.end()
	c.check(0, 1, 2, 3)
}
