package membership

import (
	"errors"
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
		stranger.Close()
		if name == "b:1" {
			w.put(name, nil)
		}
	}
	if len(twin.Members()) != 1 {
		t.Error("who was asked for its name alone took part in something")
	}
}

// A node finds out that another process answers at its name, whatever that calls itself; and says nothing where it reaches itself there, or nobody.
func TestTwin(t *testing.T) {
	w := newWire()
	self := w.open(t, w.options("a:1"))
	stranger := w.open(t, w.options("b:1"))
	o := w.options("a:1")
	o.pace = defaultPace
	o.pace.hello = time.Second
	second, err := Open(o) // and is not on the wire
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := self.Twin(t.Context()); err != nil {
		t.Errorf("a node that reaches itself: %v", err)
	}
	if err := second.Twin(t.Context()); !errors.Is(err, ErrTwin) {
		t.Errorf("a second node of one name: %v", err)
	}
	w.put("a:1", stranger)
	if err := self.Twin(t.Context()); !errors.Is(err, ErrTwin) || !strings.Contains(err.Error(), "calls itself b:1") {
		t.Errorf("another node is at its name: %v", err)
	}
	w.put("a:1", nil)
	if err := self.Twin(t.Context()); err != nil {
		t.Errorf("nobody is at its name: %v", err)
	}
	w.put("a:1", self)
}

// A node has one name however it is written, and two that differ in more than that stay two.
func TestCanonicalAddr(t *testing.T) {
	for in, want := range map[string]string{
		"Box.Example.ORG:1234":  "box.example.org:1234",
		"LOCALHOST:1":           "localhost:1",
		"127.0.0.1:1":           "127.0.0.1:1",
		"[2001:DB8:0:0::1]:1":   "[2001:db8::1]:1",
		"[::ffff:10.0.0.1]:1":   "10.0.0.1:1",
		"[fe80::1%Eth0]:1":      "[fe80::1%Eth0]:1",
		"no address":            "no address",
		"box.example.org.:1234": "box.example.org.:1234", // another name to a resolver that has a search list
	} {
		if got := CanonicalAddr(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if got := CanonicalAddr(CanonicalAddr(in)); got != want {
			t.Errorf("%s, twice: %s, want %s", in, got, want)
		}
	}
}
