package node

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/server"
)

// Where requests of one partition wait for a lock for good, Alive waits too, so that a supervisor
// is told nothing and restarts the node. With the lock free it is alive again.
func TestAliveHangsWhereRequestsDo(t *testing.T) {
	n, clients, _ := withMetricsPort(t, func(cfg *Config) { cfg.Replicas = 1 })
	poll.True(t, "it is ready", func() bool { ok, _ := n.Ready(); return ok })
	req, _ := http.NewRequest("PUT", "http://"+clients+"/db/k", strings.NewReader("v"))
	req.Close = true
	if res, err := http.DefaultTransport.RoundTrip(req); err != nil || res.StatusCode != 201 {
		t.Fatal(res, err)
	}
	if err := n.Alive(); err != nil {
		t.Fatal(err)
	}

	held, free := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	go func() {
		for p := range n.cfg.Partitions {
			n.store.Scan(p, 0, func(uint64, *kv.Record) bool {
				close(held)
				<-free
				return false
			})
		}
	}()
	<-held
	alive := make(chan error, 1)
	go func() { alive <- n.Alive() }()
	stacks := make([]byte, 1<<20)
	poll.True(t, "Alive waits for a lock", func() bool {
		if len(alive) > 0 {
			t.Fatal("it is alive, and a partition is locked for good")
		}
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if first, rest, _ := strings.Cut(stack, "\n"); strings.Contains(first, "[sync.Mutex.Lock") && strings.Contains(rest, "(*Node).Alive(") {
				return true
			}
		}
		return false
	})
	release()
	if err := <-alive; err != nil {
		t.Errorf("with the lock free: %v", err)
	}
}

// A server whose loop that looks for slow clients stands still is not alive: it would close no
// connection any more.
func TestAStandingServerIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{server: server.New(server.Options{}, nil, nil, nil)} // it does not serve: nothing sweeps
		time.Sleep(sweepLate + time.Second)
		if err := n.Alive(); err == nil || !strings.Contains(err.Error(), "slow clients") {
			t.Errorf("%v", err)
		}
		n.stopping.Store(true) // what hangs in a stop has a bound of its own
		if err := n.Alive(); err != nil {
			t.Errorf("of a node that stops: %v", err)
		}
	})
}
