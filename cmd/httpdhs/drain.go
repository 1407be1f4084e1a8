package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"httpdhs/node"
)

// stopFlags say how a node goes down.
type stopFlags struct {
	DrainDelay      time.Duration `default:"0s" help:"How long a node that is told to stop, or leaves, is not ready and serves all the same, so that load balancers see it. It comes before --shutdown-timeout."`
	ShutdownTimeout time.Duration `default:"10s" help:"How long a stop may take."`
}

func (f *stopFlags) check() error {
	if f.ShutdownTimeout == 0 {
		return errors.New("--shutdown-timeout is 0, want more")
	}
	return nil
}

// drain has the nodes drain, at the same time. A signal ends that: the one after it ends the
// process.
func drain(nodes []*node.Node) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var draining sync.WaitGroup
	for _, n := range nodes {
		draining.Go(func() { n.Drain(ctx) })
	}
	draining.Wait()
}
