package membership

import (
	"errors"
	"fmt"

	"httpdhs/wire"
)

// Errors of a hello that is one.
var (
	ErrRefused = errors.New("refused")          // by the node that was asked, or so by this one
	ErrTwin    = errors.New("another process")  // answers at this node's name
	ErrOther   = errors.New("another cluster")  // is at an address, see Visit
	errMyself  = errors.New("it is this node")  // an address of the join list that leads back here
	errNoPlace = errors.New("it has no answer") // it answered, but without this node's entry

	errLater = fmt.Errorf("%w for now", ErrRefused) // what is in the way may be over by itself
)

// identity is what a node compares of a hello, and never changes while it runs.
type identity struct {
	name     string
	boot     uint64
	settings wire.Settings
	expect   int // Options.Expect
}

// refuses says why a node does not deal with a message, or "". asked is whom the asker meant to
// reach, if it said so, and answerer who answered.
func (id identity) refuses(h *wire.Hello, asked, answerer string) string {
	switch {
	case h.From == id.name && h.Boot != id.boot:
		return fmt.Sprintf("two nodes say that they are %s: give each a name of its own", id.name)
	case asked != "" && asked != answerer:
		return fmt.Sprintf("the node that was asked as %s is %s: one node under two names would count twice", asked, answerer)
	}
	return id.settings.Differ(id.name, h.From, h.Settings)
}

// foundsOtherwise says why this node, which is not part of a cluster, and another that is not
// either cannot found one together; "": they can.
func (id identity) foundsOtherwise(h *wire.Hello) string {
	if h.Formed || h.Expect == id.expect {
		return ""
	}
	return fmt.Sprintf("--expect is %d at %s and %d at %s, where 0 is none: start both with the same", id.expect, id.name, h.Expect, h.From)
}
