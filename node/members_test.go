package node

import (
	"errors"
	"fmt"
	"testing"

	"httpdhs/internal/ports"
	"httpdhs/server"
)

// A node that has just started does not remove a member of which it does not know yet whether it is
// up. In a cluster of 100 it awaits one that hangs for 20 seconds.
func TestMemberThatIsAwaitedIsNotRemoved(t *testing.T) {
	ln, err := ports.Listen()
	if err != nil {
		t.Fatal(err)
	}
	hangs, err := ports.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	members := []string{ln.Addr().String(), hangs.Addr().String()}
	for i := range 98 {
		members = append(members, fmt.Sprintf("127.0.0.%d:1", 2+i)) // where nobody listens
	}
	n, err := Open(Config{Name: members[0], Listener: ln, Members: members})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Kill()
	if err := n.roster.Remove(members[1]); !errors.Is(err, server.ErrMemberUnsure) {
		t.Errorf("%v, want %v", err, server.ErrMemberUnsure)
	}
	if names := n.memberNames(); len(names) != len(members) {
		t.Errorf("%d members are left of %d", len(names), len(members))
	}
}
