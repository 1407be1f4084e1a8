package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"httpdhs/node"
)

// devCmd runs a cluster in one process.
type devCmd struct {
	Nodes    int    `default:"3" help:"Number of nodes."`
	Port     int    `default:"1234" help:"Port of the first node; the others follow."`
	Replicas int    `default:"2" help:"Copies of each key."`
	LogLevel string `default:"warn" enum:"debug,info,warn,error" help:"Least level to log: ${enum}."`
}

// devNodesMax is what a cluster may have.
const devNodesMax = 100

// devStopTimeout is short: nothing here is worth waiting for.
const devStopTimeout = 3 * time.Second

func (cmd *devCmd) Validate() error {
	switch {
	case cmd.Nodes < 1 || cmd.Nodes > devNodesMax:
		return fmt.Errorf("--nodes is %d, want 1 to %d", cmd.Nodes, devNodesMax)
	case cmd.Port < 1 || cmd.Port+cmd.Nodes-1 > 65535:
		return fmt.Errorf("--port is %d, want %d ports from 1 to 65535", cmd.Port, cmd.Nodes)
	case cmd.Replicas < 1 || cmd.Replicas > node.ReplicasMax:
		return fmt.Errorf("--replicas is %d, want 1 to %d", cmd.Replicas, node.ReplicasMax)
	}
	return nil
}

func (cmd *devCmd) Run(ctx context.Context, term *terminal) error {
	var names []string
	for i := range cmd.Nodes {
		names = append(names, fmt.Sprintf("localhost:%d", cmd.Port+i))
	}
	listeners, err := cmd.listen()
	if err != nil {
		return err
	}
	log := (&logFlags{LogLevel: cmd.LogLevel}).logger(term)
	var running []*node.Node
	for i, name := range names {
		n, err := node.Open(node.Config{
			Name:      name,
			Members:   names,
			Listener:  listeners[i],
			Replicas:  cmd.Replicas,
			OpenFiles: node.OpenFiles() / cmd.Nodes,
			Log:       log.With("node", name),
			Version:   versionName(),
		})
		if err != nil {
			closeAll(listeners[i:])
			return errors.Join(err, shutdown(devStopTimeout, running))
		}
		running = append(running, n)
	}
	untilReady(ctx, running)
	cmd.welcome(term.out, names)
	return untilOver(ctx, devStopTimeout, running...)
}

// listen takes all ports before the first node asks for the others: none of them is down, which it
// would say.
func (cmd *devCmd) listen() (listeners []net.Listener, err error) {
	for i := range cmd.Nodes {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cmd.Port+i))
		if err != nil {
			closeAll(listeners)
			return nil, fmt.Errorf("cannot listen on port %d: %w; another --port moves all %s", cmd.Port+i, err, counted(cmd.Nodes, "node"))
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close() // of one that a node has closed it is no matter
	}
}

// untilReady waits until the nodes have found each other: what the user tries
// first should not meet a cluster that is still starting.
func untilReady(ctx context.Context, nodes []*node.Node) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for _, n := range nodes {
		for ready, _ := n.Ready(); !ready; ready, _ = n.Ready() {
			select {
			case <-poll.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// welcome says what there is and what to do with it.
func (cmd *devCmd) welcome(out io.Writer, names []string) {
	at := func(i int) string { return "http://" + names[i%len(names)] }
	fmt.Fprintf(out, "A cluster of %s, %s of each key, all in memory:\n\n", counted(len(names), "node"), counted(min(cmd.Replicas, len(names)), "replica"))
	for _, name := range names {
		fmt.Fprintf(out, "  http://%s\n", name)
	}
	fmt.Fprintf(out, `
Try:

  curl -X PUT -d value=hello %s/db/greeting
  curl %s/db/greeting
  curl %s/cluster/key/greeting
  httpdhs load-data --sample --to %s

Ctrl-C ends it.
`, at(0), at(1), at(2), strings.Join(names, ","))
}
