package wire

import (
	"testing"

	"httpdhs/kv"
)

// An entry is not taken if no ring could have it, or if its name is no address.
func TestEntriesFromOutsideAreChecked(t *testing.T) {
	good := Member{Name: "a:1", Version: 1, Weight: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Member){
		"no name":          func(m *Member) { m.Name = "" },
		"no port":          func(m *Member) { m.Name = "a" },
		"port 0":           func(m *Member) { m.Name = "a:0" },
		"port with sign":   func(m *Member) { m.Name = "a:+1" },
		"port with zero":   func(m *Member) { m.Name = "a:01" },
		"no host":          func(m *Member) { m.Name = ":1" },
		"space":            func(m *Member) { m.Name = "a b:1" },
		"a path":           func(m *Member) { m.Name = "a/b:1" },
		"long":             func(m *Member) { m.Name = string(make([]byte, 300)) + ":1" },
		"weight 0":         func(m *Member) { m.Weight = 0 },
		"weight too large": func(m *Member) { m.Weight = MaxWeight + 1 },
		"no state":         func(m *Member) { m.State = 3 },
		"control":          func(m *Member) { m.Zone = "a\n" },
		"not UTF-8":        func(m *Member) { m.Zone = "\xff" },
		"long zone":        func(m *Member) { m.Zone = string(make([]byte, 65)) },
		"version":          func(m *Member) { m.Version = 1 << 60 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); err == nil {
			t.Errorf("%s: %+v is taken", what, bad)
		}
	}
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

// There are as many tags for versions as there may be members, at least.
func TestMembersHaveATagEach(t *testing.T) {
	if MaxMembers > kv.MaxTag+1 {
		t.Errorf("%d members, and %d tags", MaxMembers, kv.MaxTag+1)
	}
}
