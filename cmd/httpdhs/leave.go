package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"httpdhs/api"
	"httpdhs/client"
)

// leaveCmd has a node hand its data over and leave.
type leaveCmd struct {
	Node string `arg:"" help:"Its name, host:port, as httpdhs status has it."`
	Wait bool   `default:"true" negatable:"" help:"Wait until it has left; it goes on leaving if this is interrupted."`
	clientFlags
}

// Help is what "httpdhs leave --help" says in addition.
func (leaveCmd) Help() string {
	return "The node hands over what it holds, leaves the ring and ends. Nothing is lost, and requests go on meanwhile. " +
		"It is asked at its name, or at --to where that leads to it."
}

const (
	leavePoll = 200 * time.Millisecond

	// leaveSilenceMax is how long a leaving node may give no answer before follow gives it up. The
	// others have it for a member meanwhile, or do not answer either. Silence for a moment is
	// normal: the node ends before its goodbye gets around.
	leaveSilenceMax = 10 * time.Second

	// leaveAskTimeout bounds one question to the node that leaves: it may have ended.
	leaveAskTimeout = 2 * time.Second

	oneStays = "one has to stay: stop it if the cluster is to end, or start another node before it leaves"

	nothingToLeave = "stop it if it is not to join; if others still list it from before, take it off with httpdhs remove"
)

func (cmd *leaveCmd) Validate() error {
	if cmd.Node == "" {
		return nil // kong says that it is missing
	}
	cmd.Node = strings.ToLower(cmd.Node)
	if _, _, err := splitHostPort(cmd.Node); err != nil {
		return fmt.Errorf("%w, the name of a node as httpdhs status has it", err)
	}
	return nil
}

func (cmd *leaveCmd) Run(ctx context.Context, term *terminal) error {
	c, before, err := cmd.find(ctx) // before: a node that has little to hand over is gone at once
	if err != nil {
		return err
	}
	defer c.Close()
	leaving, err := c.Leave(ctx)
	var status *client.StatusError
	if errors.As(err, &status) && status.Status == http.StatusConflict {
		if before.Ring == "" {
			return fmt.Errorf("%s has not joined a cluster: %w; %s", before.Node, err, nothingToLeave)
		}
		return fmt.Errorf("%s is still a member: %w; %s", before.Node, err, oneStays)
	} else if err != nil {
		return err
	}
	if !cmd.Wait {
		fmt.Fprintf(term.out, "%s is leaving: %s\n", leaving.Node, toHandOver(leaving.Partitions, leaving.Bytes))
		return nil
	}
	left, err := cmd.follow(ctx, term, c, leaving, before)
	if err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s has left; %s in the cluster now\n", leaving.Node, counted(left, "node"))
	return nil
}

// find connects to the node, which is at --to or at its name, and returns the cluster as it sees
// it. No other node is asked to leave.
func (cmd *leaveCmd) find(ctx context.Context) (*client.Client, *api.Cluster, error) {
	c, doc, err := cmd.ask(ctx)
	var status *client.StatusError
	switch {
	case err == nil && doc.Node == cmd.Node:
		return c, doc, nil
	case err == nil:
		c.Close()
	case errors.As(err, &status), ctx.Err() != nil:
		return nil, nil, err // so would the node itself answer
	}
	c, errOwn := cmd.at([]string{cmd.Node})
	if errOwn != nil {
		return nil, nil, errOwn
	}
	own, errOwn := c.Cluster(ctx)
	if errOwn == nil && own.Node == cmd.Node {
		return c, own, nil
	}
	c.Close()
	switch n := nodeOf(doc, cmd.Node); {
	case errOwn == nil:
		return nil, nil, fmt.Errorf("the node at %s is called %s: to have it leave, httpdhs leave %s", cmd.Node, own.Node, own.Node)
	case doc != nil && n == nil:
		return nil, nil, fmt.Errorf("no member is called %s; the members are %s", cmd.Node, strings.Join(namesOf(doc), ", "))
	case n != nil && n.State == api.StateDown:
		return nil, nil, fmt.Errorf("%s is down%s and can hand nothing over: start it again, or take it off the ring: httpdhs remove %s",
			cmd.Node, since(n.DownSince), cmd.Node)
	}
	return nil, nil, fmt.Errorf("%s is not reached at its name: %w; if it has another address here, give that with --to", cmd.Node, errOwn)
}

// ask connects to the first node of --to that answers, and to it alone.
func (cmd *leaveCmd) ask(ctx context.Context) (c *client.Client, doc *api.Cluster, err error) {
	for _, to := range cmd.To {
		one := cmd.clientFlags
		one.To = []string{to}
		if c, err = one.connect(); err != nil {
			return nil, nil, err
		}
		if doc, err = c.Cluster(ctx); err == nil {
			return c, doc, nil
		}
		c.Close()
	}
	return nil, nil, err
}

func namesOf(doc *api.Cluster) (names []string) {
	for _, n := range doc.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// follow waits until the node is no member any more, and returns how many members there are then.
// It asks the others, because the node ends. It also asks the node itself, through c, where the
// others do not say that it is leaving: they may all have left, or be down.
func (cmd *leaveCmd) follow(ctx context.Context, term *terminal, c *client.Client, leaving *api.Leaving, before *api.Cluster) (left int, err error) {
	var text atomic.Pointer[string]
	say := func(s string) { text.Store(&s) }
	say(toHandOver(leaving.Partitions, leaving.Bytes))
	defer startProgress(term.err, 0, func() (int64, string) { return 0, *text.Load() }).stop()

	watch := leaveWatch{name: leaving.Node, boot: startOf(before, leaving.Node)}
	others := otherNodes{cmd: cmd, name: leaving.Node}
	defer others.close()
	poll := time.NewTicker(leavePoll)
	defer poll.Stop()
	for last := before; ; {
		elsewhere, err := others.ask(ctx, last)
		if err != nil {
			return 0, err
		}
		own := elsewhere
		if n := nodeOf(elsewhere, leaving.Node); n == nil || n.State != api.StateLeaving {
			own = askOnce(ctx, c)
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("no longer waiting: %s goes on leaving", leaving.Node)
		}
		doc := cmp.Or(elsewhere, own)
		switch gone, err := watch.see(elsewhere, own, time.Now()); {
		case err != nil:
			return 0, err
		case gone:
			return len(doc.Nodes), nil
		case doc != nil:
			say(leaveText(doc, leaving.Node))
			last = doc
		}
		select {
		case <-poll.C:
		case <-ctx.Done(): // said above
		}
	}
}

// askOnce is the cluster as the node that leaves sees it; nil: it does not answer.
func askOnce(ctx context.Context, c *client.Client) *api.Cluster {
	ctx, cancel := context.WithTimeout(ctx, leaveAskTimeout)
	defer cancel()
	doc, err := c.Cluster(ctx)
	if err != nil {
		return nil
	}
	return doc
}

// otherNodes asks the members beside one that leaves, whoever they are by then.
type otherNodes struct {
	cmd   *leaveCmd
	name  string // of the one that leaves
	names []string
	c     *client.Client // of names; nil where there are none
}

// ask returns the cluster as one of them sees it; nil: none answers. Those that were down by what
// was known last are asked after the others: one may be back, have taken what there was, and be the
// only one that knows of it. An error is of the flags.
func (o *otherNodes) ask(ctx context.Context, last *api.Cluster) (doc *api.Cluster, err error) {
	var names, down []string
	for _, n := range last.Nodes {
		switch {
		case n.Name == o.name:
		case n.State == api.StateDown:
			down = append(down, n.Name)
		default:
			names = append(names, n.Name)
		}
	}
	names = append(names, down...)
	if !slices.Equal(names, o.names) {
		o.close()
		o.names, o.c = names, nil
		if len(names) > 0 {
			if o.c, err = o.cmd.at(names); err != nil {
				return nil, err
			}
		}
	}
	if o.c == nil {
		return nil, nil
	}
	if doc, err = o.c.Cluster(ctx); err != nil {
		return nil, nil
	}
	return doc, nil
}

func (o *otherNodes) close() {
	if o.c != nil {
		o.c.Close()
	}
}

// nodeOf is what a document, which may be nil, has of a node; nil: nothing.
func nodeOf(doc *api.Cluster, name string) *api.Node {
	if doc == nil {
		return nil
	}
	i := slices.IndexFunc(doc.Nodes, func(n api.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &doc.Nodes[i]
}

// startOf is when a node's process was started; zero: not known.
func startOf(doc *api.Cluster, name string) time.Time {
	if n := nodeOf(doc, name); n != nil {
		return n.Started
	}
	return time.Time{}
}

// leaveWatch draws the conclusions from what is said of a node that leaves. Nobody but the node
// itself says that it is a member that does not leave: what others know may be old. That it is none
// is said by others, unless the node itself says that it is: one that has just been started may not
// know all.
type leaveWatch struct {
	name   string
	boot   time.Time // when the process was started that is leaving; zero: not known
	silent time.Time // since when it has not answered and is still a member as others see it, if they answer; zero: that is not so
}

// see takes the cluster as another member sees it and as the node itself does; nil: no answer. It
// returns whether the node has left; an error says that it will not, or that nobody can be asked.
func (w *leaveWatch) see(elsewhere, own *api.Cluster, now time.Time) (gone bool, err error) {
	if n := nodeOf(own, w.name); n != nil {
		w.silent = time.Time{}
		switch {
		case !w.boot.IsZero() && !n.Started.IsZero() && !n.Started.Equal(w.boot):
			return false, fmt.Errorf("%s is still a member: it was restarted, and does not leave any more; have it leave again", w.name)
		case n.State != api.StateLeaving:
			return false, fmt.Errorf("%s is still a member: all others have left or are leaving; %s", w.name, oneStays)
		}
		return false, nil
	}
	if elsewhere != nil && nodeOf(elsewhere, w.name) == nil || elsewhere == nil && own != nil {
		return true, nil
	}
	switch {
	case w.silent.IsZero():
		w.silent = now
	case now.Sub(w.silent) <= leaveSilenceMax:
	case elsewhere == nil:
		return false, fmt.Errorf("no node answers any more, neither %s nor another: whether it is still a member is not known; "+
			"ask a node that runs (httpdhs status), and have it leave again if it is one", w.name)
	default:
		return false, fmt.Errorf("%s is still a member: it went down before it had left; start it again and have it leave again, "+
			"or take it off the ring: httpdhs remove %s", w.name, w.name)
	}
	return false, nil
}

// leaveText says how far a node that leaves is. The others fetch first, and then it makes sure that
// they have all.
func leaveText(doc *api.Cluster, name string) string {
	var parts []string
	if n := nodeOf(doc, name); n != nil {
		parts = append(parts, toHandOver(n.HandOver, n.Bytes))
	}
	for _, n := range doc.Nodes {
		switch {
		case n.Name == name:
		case n.State == api.StateDown:
			parts = append(parts, waitsFor(&n))
		case n.Moving != nil:
			parts = append(parts, n.Name+" fetches "+movingText(n.Moving))
		}
	}
	return strings.Join(parts, "; ")
}

// waitsFor says that a leaving node waits for one that is down, and what can be done. The node that
// is down may be the one that takes over what the leaving node holds.
func waitsFor(n *api.Node) string {
	return fmt.Sprintf("waits for %s, which is down%s: start it again, or take it off the ring: httpdhs remove %s", n.Name, since(n.DownSince), n.Name)
}

// since is a time in a sentence; nothing if it is not known.
func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + t.Local().Format(time.DateTime)
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
