package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"httpdhs/kv"
	"httpdhs/node"
)

// devCmd runs a cluster in one process.
type devCmd struct {
	Nodes    int    `default:"3" help:"Number of nodes."`
	Port     int    `default:"1234" help:"Port of the first node; the others follow."`
	Replicas int    `default:"2" help:"Copies of each key."`
	RespPort int    `default:"6379" help:"Port of the first node for the Redis protocol; the others follow. 0 is none."`
	LogLevel string `default:"warn" enum:"debug,info,warn,error" help:"Least level to log: ${enum}."`

	webFlags
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
	case cmd.RespPort < 0 || cmd.RespPort+cmd.Nodes-1 > 65535:
		return fmt.Errorf("--resp-port is %d, want %d ports from 1 to 65535, or 0 for none", cmd.RespPort, cmd.Nodes)
	case cmd.RespPort > 0 && cmd.RespPort < cmd.Port+cmd.Nodes && cmd.Port < cmd.RespPort+cmd.Nodes:
		return fmt.Errorf("--port %d and --resp-port %d are too near to each other for %d nodes", cmd.Port, cmd.RespPort, cmd.Nodes)
	case cmd.Replicas < 1 || cmd.Replicas > node.ReplicasMax:
		return fmt.Errorf("--replicas is %d, want 1 to %d", cmd.Replicas, node.ReplicasMax)
	}
	return cmd.webFlags.check()
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
	resp, busy := cmd.listenResp()
	log := (&logFlags{LogLevel: cmd.LogLevel}).logger(term)
	share := cmd.shareMemory(thisRoom(), log)
	var running []*node.Node
	for i, name := range names {
		cfg := node.Config{
			Name:      name,
			Members:   names,
			Listener:  listeners[i],
			Resp:      resp[i],
			Replicas:  cmd.Replicas,
			Web:       cmd.webFlags.config(),
			OpenFiles: node.OpenFiles() / cmd.Nodes,
			Log:       log.With("node", name),
			Version:   versionName(),
		}
		share(&cfg)
		n, err := node.Open(cfg)
		if err != nil {
			closeAll(listeners[i:])
			cmd.closeResp(resp[i:])
			return errors.Join(err, shutdown(devStopTimeout, running))
		}
		running = append(running, n)
	}
	untilReady(ctx, running)
	cmd.welcome(term.out, names, busy)
	return untilOver(ctx, devStopTimeout, running...)
}

// shareMemory says to a node what it may take of the limit that the process is under, if it is
// under one: each node as much as the others.
func (cmd *devCmd) shareMemory(r room, log *slog.Logger) (share func(*node.Config)) {
	r.tell(log, nil)
	if r.limit == 0 {
		return func(*node.Config) {}
	}
	plan := planMemory(memoryAsked{
		limit: r.limit / int64(cmd.Nodes), store: storeDefault,
		value: int64(kv.DefaultLimits().MaxValueBytes), resp: cmd.RespPort > 0,
	})
	plan.begin(log, r.limit, cmd.Nodes)
	return plan.apply
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

// listenResp takes the ports for the Redis protocol. If one of them is taken, most often by a
// Redis, the cluster does without. Then busy says so.
func (cmd *devCmd) listenResp() (resp []node.RespConfig, busy error) {
	resp = make([]node.RespConfig, cmd.Nodes)
	if cmd.RespPort == 0 {
		return resp, nil
	}
	for i := range resp {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cmd.RespPort+i))
		if err != nil {
			cmd.closeResp(resp)
			return make([]node.RespConfig, cmd.Nodes), err
		}
		resp[i].Listener = ln
	}
	return resp, nil
}

func (cmd *devCmd) closeResp(resp []node.RespConfig) {
	for _, c := range resp {
		if c.Listener != nil {
			c.Listener.Close()
		}
	}
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
func (cmd *devCmd) welcome(out io.Writer, names []string, busy error) {
	at := func(i int) string { return "http://" + names[i%len(names)] }
	fmt.Fprintf(out, "A cluster of %s, %s of each key, all in memory:\n\n", counted(len(names), "node"), counted(min(cmd.Replicas, len(names)), "replica"))
	for i, name := range names {
		fmt.Fprintf(out, "  http://%s", name)
		if cmd.RespPort > 0 && busy == nil {
			fmt.Fprintf(out, "  redis://localhost:%d", cmd.RespPort+i)
		}
		fmt.Fprintln(out)
	}
	redis := ""
	switch {
	case busy != nil:
		fmt.Fprintf(out, "\nWithout the Redis protocol: %v.\nAnother --resp-port turns it on, 0 says that it is not wanted.\n", busy)
	case cmd.RespPort > 0:
		redis = fmt.Sprintf("  redis-cli -p %d get greeting\n", cmd.RespPort)
	}
	fmt.Fprintf(out, `
Try:

  curl -X PUT -d value=hello %s/db/greeting
  curl %s/db/greeting
  curl %s/cluster/key/greeting
%s  httpdhs load-data --sample --to %s

Ctrl-C ends it.
`, at(0), at(1), at(2), redis, strings.Join(names, ","))
}
