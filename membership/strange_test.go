package membership

import (
	"strings"
	"testing"
	"time"
)

// A node that nobody reaches at its name, or at whose name another process answers, does not become a member: it would always be down, or take the
// other's place. Both sides are told why. One that is reached joins.
func TestANameHasToLeadBack(t *testing.T) {
	w := newWire()
	founder := w.open(t, w.options("a:1"))
	twin := w.open(t, w.options("c:1")) // what answers at c:1, a cluster of its own

	for name, wants := range map[string]string{
		"b:1": "cannot be reached",
		"c:1": "another process",
	} {
		o := w.options(name)
		o.Join, o.pace = []string{"a:1"}, defaultPace
		o.pace.joinMin, o.pace.joinMax = time.Millisecond, 10*time.Millisecond
		stranger, err := Open(o) // and is not on the wire
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" is told why", func() bool {
			err := stranger.Ready()
			return err != nil && strings.Contains(err.Error(), wants)
		})
		if _, known := founder.m.Get(name); known {
			t.Errorf("%s is a member", name)
		}
		if name == "b:1" {
			w.put(name, stranger)
			eventually(t, name+" joins once it is reached", stranger.Formed)
		}
		if err := stranger.Close(); err != nil {
			t.Error(err)
		}
		if name == "b:1" {
			w.put(name, nil)
		}
	}
	if len(twin.Members()) != 1 {
		t.Error("who was asked for its name alone took part in something")
	}
}
