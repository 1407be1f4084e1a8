package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"httpdhs/wire"
)

// checksMax bounds how many nodes that want to join are looked for at once: of those that are
// members by their name, as after a restart, and as many of all others.
const checksMax = 4

// host answers the hellos of other nodes.
type host struct {
	*asker

	checks   chan struct{} // of nodes that want to join, which are looked for
	rechecks chan struct{} // the same of those that are members by their name
	refused  *fault
	unfound  *fault
	putOff   *fault
}

func newHost(a *asker) *host {
	return &host{
		asker:  a,
		checks: make(chan struct{}, checksMax), rechecks: make(chan struct{}, checksMax),
		refused: newFault(a.o.Log, slog.LevelError, "refused a hello"),
		unfound: newPassing(a.o.Log, "did not reach a node at its name that wants to join"),
		putOff:  newFault(a.o.Log, slog.LevelWarn, "put a node off that wants to join"),
	}
}

// ServeHello answers a hello that came over HTTP. What it learns is in the map before it answers.
// So the node that a joiner asked knows it when the joiner has its answer. A refusal is an answer
// too. The error wraps [wire.ErrBadHello] or is [ErrClosed].
func (m *Membership) ServeHello(request []byte) (answer []byte, err error) {
	if m.asker.ctx.Err() != nil {
		return nil, ErrClosed
	}
	return m.host.serve(request)
}

func (t *host) serve(request []byte) ([]byte, error) {
	h, err := wire.DecodeHello(request)
	var format wire.HelloFormatError
	if errors.As(err, &format) {
		return t.refuse("a node of another version", format.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	if reason := t.state.id.refuses(h, h.To, t.state.id.name); reason != "" {
		return t.refuse(h.From, reason), nil
	}
	if h.Who || h.From == t.state.id.name { // it takes nothing in; or it is this node, by another address
		return t.state.hello("").Encode(), nil
	}
	if reason := t.state.id.foundsOtherwise(h); reason != "" && !t.state.isFormed() {
		return t.refuse(h.From, reason), nil
	}
	if reason := t.strange(h); reason != "" {
		return t.refusal(reason, true), nil
	}
	if !t.state.takeIn(h) {
		return t.refuse(h.From, fmt.Sprintf("the cluster has %d members, which is the most: remove one first", wire.MaxMembers)), nil
	}
	t.refused.over(h.From)
	t.unfound.over(h.From)
	t.putOff.over(h.From)
	t.state.hear(h.From)
	agrees := t.state.agree(h)
	answer := t.state.hello("")
	answer.Agrees = agrees
	return answer.Encode(), nil
}

// strange says why a node that wants to join must not; "" if its name leads back to it. If nobody
// reaches it at its name, it would be a member that is always down. If another process is there, it
// would take the writes of that process.
//
// Anybody may ask, to learn what is where in this node's network, or to use up its files. So all
// are told the same, after the same time, and the log has what was found. Few are looked for at
// once.
func (t *host) strange(h *wire.Hello) (reason string) {
	if h.Formed || !t.state.isFormed() {
		return ""
	}
	checks := t.checks
	if t.state.isMember(h.From) {
		checks = t.rechecks
	}
	select {
	case checks <- struct{}{}:
		defer func() { <-checks }()
	default:
		reason = fmt.Sprintf("%s is looking for others that want to join: try again", t.state.id.name)
		t.putOff.note(h.From, reason)
		return reason
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.o.pace.hello/2) // the asker waits no longer
	defer cancel()
	if t.finds(ctx, h) {
		return ""
	}
	<-ctx.Done()
	return fmt.Sprintf("%s does not find this node at %s: if this lasts, start it with an --advertise at which the others reach it, and which no other node has (the log of %s says what was found)",
		t.state.id.name, h.From, t.state.id.name)
}

// finds says whether the node that says hello is at its name. Else the log has what is there.
func (t *host) finds(ctx context.Context, h *wire.Hello) bool {
	there, err := t.who(ctx, h.From)
	switch {
	case errors.Is(err, wire.ErrBadHello):
		t.refused.note(h.From, fmt.Sprintf("what answers at %s is no node: %v", h.From, err))
	case err != nil:
		t.unfound.note(h.From, fmt.Sprintf("%s cannot be reached from %s (%v): if this lasts, start it with an --advertise at which the others reach it", h.From, t.state.id.name, err))
	case there.From != h.From || there.Boot != h.Boot:
		t.refused.note(h.From, fmt.Sprintf("another process answers at %s: give each node an --advertise of its own", h.From))
	default:
		return true
	}
	return false
}

// refuse makes an answer that says so, and has the log say it too.
func (t *host) refuse(from, reason string) []byte {
	t.refused.note(from, reason)
	return t.refusal(reason, false)
}

// refusal makes an answer that says so. later: it may be over by itself.
func (t *host) refusal(reason string, later bool) []byte {
	answer := wire.Hello{From: t.state.id.name, Boot: t.state.id.boot, Formed: t.state.isFormed(), Settings: t.state.id.settings, Refused: reason, Later: later, InSyncAt: wire.InSyncUnknown}
	return answer.Encode()
}
