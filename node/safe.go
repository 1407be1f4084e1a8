package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"httpdhs/api"
	"httpdhs/server"
	"httpdhs/topology"
	"httpdhs/wire"
)

// standingWithin bounds how long the members are asked how they stand.
const standingWithin = 2 * time.Second

// someMost is how many partitions are named in the answer.
const someMost = 10

// SafeToStop implements server.Cluster.
func (r *roster) SafeToStop(nodes []string, quorum bool, deadline time.Time) (api.SafeToStop, error) {
	doc := api.SafeToStop{Node: r.cfg.Name, Replicas: r.cfg.ringSettings().Replicas, Partitions: r.plane.Board.Partitions(), Waits: []api.Wait{}}
	if len(nodes) == 0 {
		nodes = []string{r.cfg.Name}
	}
	known := r.memberNames()
	for _, name := range nodes {
		name = wire.CanonicalAddr(name)
		if name != r.cfg.Name && !slices.Contains(known, name) {
			return doc, fmt.Errorf("%w: %q; the members are %s", server.ErrNoMember, name, strings.Join(known, ", "))
		}
		if !slices.Contains(doc.Nodes, name) {
			doc.Nodes = append(doc.Nodes, name)
		}
	}
	slices.Sort(doc.Nodes)
	if now, _ := r.plane.Topology.Rings(); now != nil {
		doc.Replicas = now.Replicas()
	}
	loss := r.unsure()
	if loss.Unsure == nil {
		loss = r.plane.Topology.WouldLose(doc.Nodes, earlier(deadline, time.Now().Add(standingWithin)))
	}
	r.describeLoss(&doc, &loss, quorum)
	return doc, nil
}

// unsure says why this node is not to be asked, if so.
func (r *roster) unsure() (loss topology.Loss) {
	if reason := r.start.reason(); reason != "" {
		loss.Unsure = errors.New("this node cannot tell: " + reason)
	} else if err := r.members.Ready(); err != nil {
		loss.Unsure = fmt.Errorf("this node cannot tell: %w", err)
	}
	return loss
}

// describeLoss says in the document what would be lost.
func (r *roster) describeLoss(doc *api.SafeToStop, loss *topology.Loss, quorum bool) {
	doc.LastCopies = api.Loss{Partitions: len(loss.Last), Keys: int64(loss.Keys), Some: loss.Last[:min(len(loss.Last), someMost)]}
	doc.Quorums = api.Loss{Partitions: len(loss.Quorum), Some: loss.Quorum[:min(len(loss.Quorum), someMost)]}
	for _, w := range loss.Waits {
		doc.Waits = append(doc.Waits, api.Wait{Node: w.Node, Reason: w.Why, Partitions: w.Partitions, SecondsLeft: r.secondsLeft(w.Node)})
	}
	doc.Safe = loss.Unsure == nil && len(loss.Last) == 0 && (!quorum || len(loss.Quorum) == 0)
	all := !slices.ContainsFunc(r.memberNames(), func(name string) bool { return !slices.Contains(doc.Nodes, name) })
	if doc.Reason = lossText(doc, loss, quorum, all); !doc.Safe {
		doc.Error = doc.Reason
	}
}

// secondsLeft is how long a member goes on fetching; 0: it is not known.
func (r *roster) secondsLeft(name string) float64 {
	moving := (*wire.Moving)(nil)
	if name == r.cfg.Name {
		moving = r.plane.Repairer.Moving()
	}
	for _, p := range r.plane.Topology.Peers() {
		if p.Name == name {
			moving = p.Ping.Moving
		}
	}
	if m := describeMoving(moving); m != nil {
		return m.SecondsLeft
	}
	return 0
}

// lossText is what would be lost, in words, and what to wait for. all: no other node is a member.
func lossText(doc *api.SafeToStop, loss *topology.Loss, quorum, all bool) string {
	quorums := fmt.Sprintf("%d of %d partitions have no quorum of owners up while %s stopped", len(loss.Quorum), doc.Partitions, areNodes(doc.Nodes))
	switch {
	case loss.Unsure != nil:
		return loss.Unsure.Error() + "; ask again, or another node"
	case all && len(loss.Last) == 0:
		return "there are no keys"
	case len(loss.Last) > 0:
		return lastCopiesText(doc, loss) + ": " + whatToAwait(doc, all)
	case quorum && len(loss.Quorum) > 0:
		return quorums + ": stop fewer nodes at a time, or wait until the others are up" + twoHaveNone(doc)
	case len(loss.Quorum) > 0:
		return "each key has another copy that is up and in sync; " + quorums
	}
	return "each key has another copy that is up and in sync"
}

// lastCopiesText says what would be lost. Of a node that does not say what it holds no more is
// known than that no other node is sure to have it.
func lastCopiesText(doc *api.SafeToStop, loss *topology.Loss) string {
	keys := fmt.Sprint(loss.Keys, " keys")
	if loss.Keys == 1 {
		keys = "1 key"
	}
	if len(loss.Mute) == 0 {
		return fmt.Sprintf("%d of %d partitions, with %s, would lose their last copy that is up and in sync", len(loss.Last), doc.Partitions, keys)
	}
	says := " does not say what it holds, and"
	if len(loss.Mute) > 1 {
		says = " do not say what they hold, and"
	}
	known := ""
	if loss.Keys > 0 {
		known = ", with " + keys + " or more,"
	}
	return fmt.Sprintf("%s%s %d of %d partitions%s have no other copy that is known to be whole",
		strings.Join(loss.Mute, ", "), says, len(loss.Last), doc.Partitions, known)
}

func areNodes(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// twoHaveNone says what a quorum of two replicas is.
func twoHaveNone(doc *api.SafeToStop) string {
	if doc.Replicas > 2 {
		return ""
	}
	return fmt.Sprintf("; with %d replicas a quorum is all of them, so no node can be stopped without", doc.Replicas)
}

// whatToAwait says what has to be so before the nodes can be stopped.
func whatToAwait(doc *api.SafeToStop, all bool) string {
	if all {
		return "no other node is a member: start another node first, or what is in memory alone is gone"
	}
	if doc.Replicas == 1 {
		return "there is one copy of each key; have the node leave instead (httpdhs leave " + doc.Nodes[0] + ")"
	}
	if len(doc.Waits) == 0 {
		return "no other node has them; stop fewer nodes at a time, or have one leave (httpdhs leave " + doc.Nodes[0] + ")"
	}
	var waits []string
	for _, w := range doc.Waits {
		text := "wait for " + w.Node + ": " + w.Reason
		if w.SecondsLeft > 0 {
			text += fmt.Sprintf(", about %v left", time.Duration(w.SecondsLeft*float64(time.Second)).Round(time.Second))
		}
		waits = append(waits, text)
	}
	return strings.Join(waits, "; ")
}
