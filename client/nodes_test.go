package client_test

import (
	"errors"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"httpdhs/internal/poll"
	"httpdhs/internal/ports"
	"httpdhs/node"
)

// TestMain checks that no goroutine is left behind. fasthttp's cleaner of idle connections ends by
// itself, some seconds after the last of them is closed; its servers' clock never does.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(withNodes{m},
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// withNodes stops the nodes of the examples after the tests.
type withNodes struct{ goleak.TestingM }

func (m withNodes) Run() int {
	defer func() {
		for _, n := range running {
			n.Kill()
		}
	}()
	return m.TestingM.Run()
}

var running []*node.Node // by nodes

// nodes are the addresses of two real nodes in this process. The first example starts them.
var nodes = sync.OnceValue(func() (names []string) {
	var configs []node.Config
	for range 2 {
		ln, err := ports.Listen()
		if err != nil {
			panic(err)
		}
		configs = append(configs, node.Config{Name: ln.Addr().String(), Listener: ln, Partitions: 64})
		names = append(names, ln.Addr().String())
	}
	for _, cfg := range configs {
		cfg.Members = names
		n, err := node.Open(cfg)
		if err != nil {
			panic(err)
		}
		running = append(running, n)
	}
	for _, n := range running {
		err := poll.Within(poll.Patience, func() error {
			if ok, reason := n.Ready(); !ok {
				return errors.New(reason)
			}
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	return names
})
