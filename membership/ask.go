package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"httpdhs/wire"
)

// asker says hello to other nodes, and judges what they answer. What else talks to other nodes is
// built on it: calls, joiner and host.
type asker struct {
	ctx   context.Context // done when Close begins
	o     *Options
	state *state

	refusedBy     *fault
	notAdmitted   *fault
	notUnderstood *fault
}

func newAsker(ctx context.Context, o *Options, s *state) *asker {
	return &asker{
		ctx: ctx, o: o, state: s,
		refusedBy:     newFault(o.Log, slog.LevelError, "a hello was refused"),
		notAdmitted:   newPassing(o.Log, "not admitted yet; trying again"),
		notUnderstood: newFault(o.Log, slog.LevelError, "a hello was not understood"),
	}
}

// greet exchanges maps with a member.
func (a *asker) greet(ctx context.Context, name string) error {
	h, err := a.ask(ctx, At(name), name)
	if err != nil {
		return err
	}
	a.state.hear(name)
	if h.Formed {
		a.state.absorb(h.Members)
	}
	return nil
}

// ask says hello to the node at a place, which is a member's name if to is given, and checks the
// answer. The answer is not merged.
func (a *asker) ask(ctx context.Context, at Place, to string) (*wire.Hello, error) {
	return a.judged(ctx, at, to, a.state.hello(to))
}

// look is ask, but the node there takes nothing of what this one knows.
func (a *asker) look(ctx context.Context, at Place, to string) (*wire.Hello, error) {
	return a.judged(ctx, at, to, a.question(to))
}

// judged exchanges a hello, and takes note of what is wrong with the answer.
func (a *asker) judged(ctx context.Context, at Place, to string, request *wire.Hello) (*wire.Hello, error) {
	h, err := a.exchange(ctx, at, to, request)
	switch {
	case errors.Is(err, errLater):
		a.notAdmitted.note(at.Addr, err.Error())
	case errors.Is(err, ErrRefused):
		a.refusedBy.note(at.Addr, err.Error())
	case errors.Is(err, wire.ErrBadHello):
		a.notUnderstood.note(at.Addr, err.Error())
	case err == nil:
		a.refusedBy.over(at.Addr)
		a.notAdmitted.over(at.Addr)
		a.notUnderstood.over(at.Addr)
	}
	return h, err
}

func (a *asker) exchange(ctx context.Context, at Place, to string, request *wire.Hello) (*wire.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, a.o.pace.hello)
	defer cancel()
	answer, err := a.o.Hello(ctx, at, request.Encode())
	if err != nil {
		return nil, err
	}
	h, err := wire.DecodeHello(answer)
	if err != nil {
		var format wire.HelloFormatError
		if errors.As(err, &format) {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil, err
	}
	switch {
	case h.Refused != "" && h.Later:
		return nil, fmt.Errorf("%w by %s: %s", errLater, h.From, h.Refused)
	case h.Refused != "":
		return nil, fmt.Errorf("%w by %s: %s", ErrRefused, h.From, h.Refused)
	case h.From == a.state.id.name && h.Boot == a.state.id.boot:
		return nil, errMyself
	}
	if reason := a.state.id.refuses(h, to, h.From); reason != "" {
		return nil, fmt.Errorf("%w: %s", ErrRefused, reason)
	}
	return h, nil
}

// question is the hello that asks who is there, and gives away nothing.
func (a *asker) question(to string) *wire.Hello {
	return &wire.Hello{From: a.state.id.name, To: to, Boot: a.state.id.boot, Settings: a.state.id.settings, Who: true, InSyncAt: wire.InSyncUnknown}
}

// who asks who answers at a name.
func (a *asker) who(ctx context.Context, name string) (*wire.Hello, error) {
	answer, err := a.o.Hello(ctx, At(name), a.question(name).Encode())
	if err != nil {
		return nil, err
	}
	return wire.DecodeHello(answer)
}

// Twin asks who answers at this node's own name, for a node that is part of a cluster from the
// start: no member admits it. The error wraps [ErrTwin]: it is another node. nil means that it is
// this node, or that nobody can tell: a node need not reach itself.
func (m *Membership) Twin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.asker.o.pace.hello)
	defer cancel()
	there, err := m.asker.who(ctx, m.id.name)
	if err != nil || there.From == m.id.name && there.Boot == m.id.boot {
		return nil
	}
	return fmt.Errorf("%w answers at this node's name, %s, and calls itself %s: give each node a line, or an --advertise, of its own", ErrTwin, m.id.name, there.From)
}
