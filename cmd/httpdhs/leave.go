package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"httpdhs/client"
	"httpdhs/internal/api"
)

// leaveCmd has a node hand its data over and leave.
type leaveCmd struct {
	Wait bool `default:"true" negatable:"" help:"Wait until it has left; it goes on leaving if this is interrupted."`
	clientFlags
}

// Help is what "httpdhs leave --help" says in addition.
func (leaveCmd) Help() string {
	return "The node at --to hands over what it holds, leaves the ring and ends. Nothing is lost, and requests go on meanwhile."
}

const (
	leavePoll = 200 * time.Millisecond

	// leaveDownMax is how long a node that leaves may be down, as another one sees it, before it is given up: a moment before its removal gets
	// around it is down for a good reason.
	leaveDownMax = 10 * time.Second
)

func (cmd *leaveCmd) Validate() error {
	if len(cmd.To) != 1 {
		return fmt.Errorf("--to has %d nodes: give the one that is to leave", len(cmd.To))
	}
	return nil
}

func (cmd *leaveCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := c.Cluster(ctx) // a node that has little to hand over is gone at once
	if err != nil {
		return err
	}
	leaving, err := c.Leave(ctx)
	if err != nil {
		return err
	}
	if !cmd.Wait {
		fmt.Fprintf(term.out, "%s is leaving: %s\n", leaving.Node, toHandOver(leaving.Partitions, leaving.Bytes))
		return nil
	}
	var others []string
	for _, n := range before.Nodes {
		if n.Name != leaving.Node && n.State != api.StateDown {
			others = append(others, n.Name)
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("%s is leaving, and no other node is up to take what it has", leaving.Node)
	}
	left, err := cmd.follow(ctx, term, leaving, others)
	if err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s has left; %s in the cluster now\n", leaving.Node, counted(left, "node"))
	return nil
}

// follow waits until the node is no member any more as one of the others sees it, and returns how many members there are then.
func (cmd *leaveCmd) follow(ctx context.Context, term *terminal, leaving *client.Leaving, others []string) (left int, err error) {
	elsewhere, err := cmd.at(others)
	if err != nil {
		return 0, err
	}
	defer elsewhere.Close()
	var text atomic.Pointer[string]
	say := func(s string) { text.Store(&s) }
	say(toHandOver(leaving.Partitions, leaving.Bytes))
	defer startProgress(term.err, 0, func() (int64, string) { return 0, *text.Load() }).stop()

	watch := leaveWatch{name: leaving.Node}
	poll := time.NewTicker(leavePoll)
	defer poll.Stop()
	for {
		doc, err := elsewhere.Cluster(ctx)
		if err != nil {
			return 0, fmt.Errorf("%s is leaving, but no other node can be asked how far it is: %w", leaving.Node, err)
		}
		if gone, err := watch.see(doc, time.Now()); gone || err != nil {
			return len(doc.Nodes), err
		}
		say(leaveText(doc, leaving.Node))
		select {
		case <-poll.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("no longer waiting: %s goes on leaving", leaving.Node)
		}
	}
}

// leaveWatch draws the conclusions from what another node says of one that leaves.
type leaveWatch struct {
	name    string
	leaving bool      // it was seen leaving
	down    time.Time // since when it is down; zero: it is not
}

// see returns whether the node has left; an error says that it will not.
func (w *leaveWatch) see(doc *client.Cluster, now time.Time) (gone bool, err error) {
	i := slices.IndexFunc(doc.Nodes, func(n client.Node) bool { return n.Name == w.name })
	if i < 0 {
		return true, nil
	}
	switch state := doc.Nodes[i].State; {
	case state == api.StateDown && w.down.IsZero():
		w.down = now
	case state == api.StateDown && now.Sub(w.down) > leaveDownMax:
		return false, fmt.Errorf("%s went down before it had left; start it again, or take it off the ring: httpdhs remove %s", w.name, w.name)
	case state == api.StateDown:
	case state == api.StateLeaving:
		w.leaving, w.down = true, time.Time{}
	case w.leaving:
		return false, fmt.Errorf("%s stays: it was restarted, or all other nodes are leaving too", w.name)
	}
	return false, nil
}

// leaveText says how far a node that leaves is. The others fetch first, and then it makes sure that they have all.
func leaveText(doc *client.Cluster, name string) string {
	var parts []string
	for _, n := range doc.Nodes {
		if n.Name == name {
			parts = append(parts, toHandOver(n.HandOver, n.Bytes))
		}
	}
	for _, n := range doc.Nodes {
		if n.Name == name {
			continue
		}
		switch {
		case n.State == api.StateDown:
			parts = append(parts, n.Name+" is down and has to be there: start it again, or remove it")
		case n.Moving != nil:
			parts = append(parts, n.Name+" fetches "+movingText(n.Moving))
		}
	}
	return strings.Join(parts, "; ")
}

func toHandOver(partitions int, bytes int64) string {
	return fmt.Sprintf("%s, %s to hand over", counted(partitions, "partition"), humanBytes(bytes))
}

// counted is a number of things, of which there may be one.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// removeCmd takes a dead node off the ring.
type removeCmd struct {
	Node string `arg:"" help:"Its name, host:port, as httpdhs status has it."`
	clientFlags
}

// Help is what "httpdhs remove --help" says in addition.
func (removeCmd) Help() string {
	return "What the node held is fetched from the other owners of its keys. A node that is up is not removed: have it leave."
}

func (cmd *removeCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Remove(ctx, cmd.Node)
	if errors.Is(err, client.ErrOutcomeUnknown) {
		return fmt.Errorf("%w; to remove it again does no harm", err)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s is removed\n", cmd.Node)
	return nil
}
