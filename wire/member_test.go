package wire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

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

// aMember draws a valid entry.
func aMember(t *rapid.T) Member {
	return Member{
		Name:    rapid.SampledFrom([]string{"a:1", "b:1", "[::1]:65535"}).Draw(t, "name"),
		Zone:    rapid.StringMatching("[a-zé]{0,8}").Draw(t, "zone"),
		Version: rapid.Uint64Max(MaxVersion).Draw(t, "version"),
		State:   State(rapid.IntRange(0, 2).Draw(t, "state")),
		Weight:  rapid.IntRange(1, MaxWeight).Draw(t, "weight"),
	}
}

// A list of members is read as it was written, and no part of it is a list.
func TestMembersComeThroughAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(aMember), 0, 8).Draw(t, "all")
		data := AppendMembers(nil, all)
		got, err := ParseMembers(data)
		if err != nil || !slices.Equal(got, all) {
			t.Fatalf("%+v came through as %+v, %v", all, got, err)
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if got, err := ParseMembers(data[:cut]); !errors.Is(err, ErrBadMember) {
			t.Fatalf("%d of %d bytes are %+v, %v", cut, len(data), got, err)
		}
	})
}

// What is no list of members is refused with a reason, and nothing is made of the lengths in it.
func TestWhatIsNoListOfMembers(t *testing.T) {
	good := AppendMembers(nil, []Member{{Name: "a:1", Version: 1, Weight: 1, Zone: "z"}})
	spoilt := func(at int, b byte) []byte {
		bad := bytes.Clone(good)
		bad[at] = b
		return bad
	}
	many := make([]Member, helloMembersMax+1)
	for i := range many {
		many[i] = Member{Name: "a:1", Weight: 1}
	}
	for what, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":         {nil, "0 bytes"},
		"another format":  {spoilt(0, 2), "format 2"},
		"many":            {AppendMembers(nil, many), "at most"},
		"more than bytes": {spoilt(1, 1), "at most"},
		"a long zone":     {spoilt(membersHead+13, 1), "cut short"},
		"no state":        {spoilt(membersHead+8, 3), "no state"},
		"weight 0":        {spoilt(membersHead+12, 0), "weight"},
		"one byte more":   {append(bytes.Clone(good), 0), "1 bytes follow"},
	} {
		if _, err := ParseMembers(test.data); !errors.Is(err, ErrBadMember) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
	}
}

// Whatever bytes a file has, reading them gives valid entries that are written as they were, or an
// error.
func FuzzMembers(f *testing.F) {
	f.Add(AppendMembers(nil, nil))
	f.Add(AppendMembers(nil, []Member{{Name: "a:1", Version: 7, State: Removed, Weight: 1, Zone: "z"}, {Name: "b:1", Weight: 2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ParseMembers(data)
		if err != nil {
			return
		}
		for _, m := range all {
			if err := m.Validate(); err != nil {
				t.Error(err)
			}
		}
		if again := AppendMembers(nil, all); !bytes.Equal(again, data) {
			t.Errorf("%x is read as %+v, and written as %x", data, all, again)
		}
	})
}
