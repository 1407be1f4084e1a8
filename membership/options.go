package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"httpdhs/wire"
)

// ErrOptions is wrapped by the error of New for options that cannot be.
var ErrOptions = errors.New("bad membership options")

// Options are what a Membership is opened with. Static or Join may be given. With neither, and
// without Known, the node is a cluster of its own from the start.
type Options struct {
	// Self is this node's entry: its Name, Weight (0: 1) and Zone. The rest is filled in.
	Self wire.Member

	// Static are the names of all members, this node's own too. The node is formed from the
	// start. Members that it never met have entries of version 0, active, of weight 1.
	Static []string

	// Join are HTTP addresses (host:port) of members. They are tried until one that is formed
	// has answered.
	//
	// dns:NAME:PORT is every address that the name has, looked up again at each try.
	//
	// A node with Join founds a cluster in one case alone: it has reached all the others in one
	// round, and all of them are trying to join too, and the same is true of those that they try.
	// Then the node with the smallest name founds. So the same list at all nodes, started in any
	// order, makes one cluster. A list of this node alone founds at once. One that has a name
	// founds nothing, since nobody knows whether it has all its addresses yet.
	Join []string

	// Expect is how many nodes found a cluster, this one included, that are trying to join. It
	// takes the place of the rule that Join has, and is equal at all of them: see found.go. Two
	// clusters never come of it, if it is more than half of the nodes that there are. 0: that rule.
	Expect int

	// Lookup returns the addresses of a host, without a port. It gives up when ctx is done. It may
	// be nil if Join has no name.
	Lookup func(ctx context.Context, host string) ([]string, error)

	// Known is the map as this node last knew it, removed entries too, where it has kept that. It
	// has an entry of this node. If that is not Removed, the node is formed from the start, and
	// never founds a cluster. Then Join, and names of Static that Known does not have, are
	// addresses to look at in addition: see [Membership.Visit].
	//
	// If it is Removed, the node has left, or was removed, and joins as a newcomer. It does so by
	// Join, or else by the names of Static and the members that Known has. If there are none, it is
	// a cluster of its own.
	Known []wire.Member

	// InSyncAt is what hellos say as wire.Hello.InSyncAt; safe for concurrent use. nil: never.
	InSyncAt func() int64

	Settings wire.Settings

	// Hello carries a hello to the node at a place, and returns what its ServeHello answered. It
	// resolves the address each time, and gives up when ctx is done. Hellos are as safe as what
	// carries them.
	Hello func(ctx context.Context, to Place, request []byte) ([]byte, error)

	Log    *slog.Logger   // nil: discards
	Random func() float64 // 0 up to 1, for jitter; safe for concurrent use; nil: math/rand/v2

	pace  pace     // zero: defaultPace
	visit []string // addresses for Visit; prepare works them out
}

// Events are what is built on a membership: the membership tells it of changes, and asks it who is
// up. Any of them may be nil.
//
// Changed, Overtaken and Heard are called by one goroutine, one at a time, after what they tell of.
// One call may tell of several changes. None may call Close.
type Events struct {
	// Live says whether a member is taken for up; nil: none is.
	Live func(name string) bool

	// Down says whether a member was asked, and is known to be down; nil: each that is not live is.
	Down func(name string) bool

	// Changed is called once at the start, and whenever the map is another one or the node is
	// formed.
	Changed func()

	// Overtaken is called, with the reason, when others have gone on without this node. It finds
	// itself removed while it is part of the cluster, and has not taken its entry up again yet. Or
	// it was a cluster of its own and meets one that it has not admitted, before Changed tells of
	// that.
	Overtaken func(reason string)

	// Heard is called when a hello says that a member is there.
	Heard func(name string)
}

// pace is how fast things are done.
type pace struct {
	seek             time.Duration // between two looks at who is absent
	joinMin, joinMax time.Duration // between two rounds of joining, doubling
	again            time.Duration // between two hellos to one member
	hello            time.Duration // until a hello is given up
}

var defaultPace = pace{
	seek:    2 * time.Second,
	joinMin: 200 * time.Millisecond, joinMax: 5 * time.Second,
	again: 100 * time.Millisecond,
	hello: 2 * time.Second,
}

// prepare checks the options and fills in what may be left out.
func (o *Options) prepare() error {
	if o.Self.Weight == 0 {
		o.Self.Weight = 1
	}
	o.Self.Version, o.Self.State = 0, wire.Active
	if err := o.Self.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	named := false
	for _, join := range slices.Concat(o.Static, o.Join) {
		addr, isName := wire.CutName(join)
		if err := wire.CheckAddr(addr); err != nil {
			return fmt.Errorf("%w: a member %w", ErrOptions, err)
		}
		named = named || isName
	}
	switch {
	case named && o.Lookup == nil:
		return fmt.Errorf("%w: nothing looks up names to join", ErrOptions)
	case o.Expect < 0 || o.Expect > wire.MaxMembers:
		return fmt.Errorf("%w: %d nodes are expected: 0 to %d can be", ErrOptions, o.Expect, wire.MaxMembers)
	case o.Expect > 0 && len(o.Join) == 0:
		return fmt.Errorf("%w: %d nodes are expected, and none is to be joined", ErrOptions, o.Expect)
	case o.Hello == nil:
		return fmt.Errorf("%w: nothing carries a hello", ErrOptions)
	case len(o.Static) > 0 && len(o.Join) > 0:
		return fmt.Errorf("%w: there is a list of all members and one to join: give one of them", ErrOptions)
	case len(o.Static) > 0 && !slices.Contains(o.Static, o.Self.Name):
		return fmt.Errorf("%w: %s is not in the list of all members: add it, or give the node one of their names", ErrOptions, o.Self.Name)
	case len(o.Static) > wire.MaxMembers:
		return fmt.Errorf("%w: %d members: at most %d", ErrOptions, len(o.Static), wire.MaxMembers)
	case len(o.Join) > wire.JoinMax:
		return fmt.Errorf("%w: %d addresses to join: at most %d", ErrOptions, len(o.Join), wire.JoinMax)
	}
	if err := o.remember(); err != nil {
		return err
	}
	o.Join = slices.Compact(slices.Sorted(slices.Values(o.Join)))
	if o.InSyncAt == nil {
		o.InSyncAt = func() int64 { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.pace == (pace{}) {
		o.pace = defaultPace
	}
	return nil
}

// remember works out what follows from Known.
func (o *Options) remember() error {
	if len(o.Known) == 0 {
		return nil
	}
	var known Map
	for _, entry := range o.Known {
		if err := entry.Validate(); err != nil {
			return fmt.Errorf("%w: what is known of the members: %w", ErrOptions, err)
		}
	}
	known.Merge(o.Known)
	own, ok := known.Get(o.Self.Name)
	switch {
	case !ok:
		return fmt.Errorf("%w: what is known of the members is another node's, for it has no %s: give the node the name that it had", ErrOptions, o.Self.Name)
	case own.State != wire.Removed:
		o.visit = o.Join
		for _, name := range o.Static {
			if _, ok := known.Get(name); !ok {
				o.visit = append(o.visit, name)
			}
		}
		o.Static, o.Join = nil, nil
		return nil
	case len(o.Join) == 0:
		o.Join = o.Static
		for _, entry := range known.All() {
			if entry.State != wire.Removed {
				o.Join = append(o.Join, entry.Name)
			}
		}
		o.Join = slices.DeleteFunc(slices.Clone(o.Join), func(name string) bool { return name == o.Self.Name })
	}
	o.Static, o.Known = nil, nil
	return nil
}

// jitter spreads a pause evenly over three quarters to five quarters of it.
func (o *Options) jitter(pause time.Duration) time.Duration {
	return time.Duration(float64(pause) * (0.75 + o.Random()/2))
}
