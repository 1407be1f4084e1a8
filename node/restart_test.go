package node_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"httpdhs/internal/poll"
	"httpdhs/internal/testcluster"
)

// stubborn are clients that write the same keys over and over, and try each
// write at one node after the other until one takes it.
type stubborn struct {
	stop    atomic.Bool
	running sync.WaitGroup
	done    atomic.Int64

	mu   sync.Mutex
	last map[string]string // key to the value that was last acknowledged
}

func startStubborn(t *testing.T, c *testcluster.Cluster) *stubborn {
	s := &stubborn{last: make(map[string]string)}
	for n := range 4 {
		s.running.Go(func() {
			for round := 0; !s.stop.Load(); round++ {
				key, value := fmt.Sprintf("stubborn-%d-%d", n, round%50), fmt.Sprint(round)
				var resp testcluster.Response
				for try := 0; !resp.OK(); try++ {
					if try == 300 {
						t.Errorf("PUT %s at all nodes, over and over: %d %s %v", key, resp.Status, resp.Body, resp.Err)
						return
					}
					resp = c.Put((n+try)%3, key, value, "")
				}
				s.mu.Lock()
				s.last[key] = value
				s.mu.Unlock()
				s.done.Add(1)
			}
		})
	}
	return s
}

func (s *stubborn) more(t *testing.T, n int64) {
	t.Helper()
	want := s.done.Load() + n
	poll.Until(t, "writes are taken", func() error {
		if got := s.done.Load(); got < want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

func (s *stubborn) end() {
	s.stop.Store(true)
	s.running.Wait()
}

// One node after the other is restarted, each when the one before is ready
// again, while clients write: nothing that was acknowledged is lost, though in
// the end no node has the memory that it began with.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testcluster.Cluster, int) error{
		"in good order": func(c *testcluster.Cluster, i int) error { return c.Stop(context.Background(), i) },
		"by crashes":    func(c *testcluster.Cluster, i int) error { c.Kill(i); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testcluster.Start(t, testcluster.Options{})
			before := keys("before", 50)
			for n, key := range before {
				mustPut(t, c, n%3, key, "value", "")
			}
			s := startStubborn(t, c)
			defer s.end()
			for i := range 3 {
				s.more(t, 200)
				if err := end(c, i); err != nil {
					t.Errorf("node %d did not stop in good order: %v", i, err)
				}
				s.more(t, 50)
				c.Reopen(i)
				c.AwaitReady()
			}
			s.more(t, 200)
			s.end()
			for _, key := range before {
				wantValue(t, c, key, "value", 0, 1, 2)
			}
			for key, value := range s.last {
				wantValue(t, c, key, value, 0, 1, 2)
			}
		})
	}
}

// A node that crashes and is back before the others have noticed is empty all
// the same: it gets its share back before it counts, so that then another may
// crash.
func TestQuickRestart(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	before := ownedBy(c, 0, "before", 30, 1, 2)
	for n, key := range before {
		mustPut(t, c, n%3, key, "value", "")
	}
	s := startStubborn(t, c)
	defer s.end()
	s.more(t, 300)
	for range 3 {
		c.Kill(2)
		c.Reopen(2)
		s.more(t, 50)
		c.AwaitReady()
	}
	s.end()
	for _, i := range []int{0, 2} {
		if c.Logged(i, `msg="peer down" peer=`+c.Name(1)) {
			t.Skip("this machine is so busy that node 1 was found down: what node 2 alone had then may be lost")
		}
	}
	c.Kill(1)
	for _, key := range before {
		wantValue(t, c, key, "value", 0, 2)
	}
	for key, value := range s.last {
		wantValue(t, c, key, value, 0, 2)
	}
}
