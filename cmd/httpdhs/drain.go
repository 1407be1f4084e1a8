package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"httpdhs/node"
)

// stopFlags say how a node goes down.
type stopFlags struct {
	DrainDelay      time.Duration `default:"0s" help:"How long a node that is told to stop, or leaves, is not ready and serves all the same, so that load balancers see it. It comes before --shutdown-timeout. The process of a node that has left ends as much later."`
	ShutdownTimeout time.Duration `default:"10s" help:"How long a stop may take. Requests under way have three quarters of it."`
}

func (f *stopFlags) check() error {
	if f.ShutdownTimeout == 0 {
		return errors.New("--shutdown-timeout is 0, want more")
	}
	return nil
}

// urging are the signals that stop a command, and hurry one that stops already.
func urging() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// stopSignals are those that stop a command: urging, and SIGHUP, which comes when the terminal
// closes. It comes twice then, from the kernel and from the shell, so that it hurries nobody. One
// that is ignored at the start stays so, as under nohup.
func stopSignals() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return urging()
	}
	return append(urging(), syscall.SIGHUP)
}

// stay keeps the process of a node that has left, for a delay or until a signal. Whoever had the
// node leave goes on to stop it for good, as by scaling a set of pods down. Until then, what
// restarts each process that ends would have the node join again.
func stay(n *node.Node, delay time.Duration, log *slog.Logger) {
	select {
	case <-n.Left():
	default:
		return
	}
	if delay == 0 {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	log.Info("the node has left: its process ends after this time, or when it is told to stop", "after", delay)
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}

// drain has the nodes drain, at the same time. A signal ends that: the one after it ends the
// process.
func drain(nodes []*node.Node) {
	ctx, stop := signal.NotifyContext(context.Background(), urging()...)
	defer stop()
	var draining sync.WaitGroup
	for _, n := range nodes {
		draining.Go(func() { n.Drain(ctx) })
	}
	draining.Wait()
}
