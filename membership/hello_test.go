package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/wire"
)

// What is no hello is refused with an error that says why, and changes nothing; one of another
// format is answered, so that both sides can say what to do.
func TestWhatIsNoHello(t *testing.T) {
	w := newLAN()
	m := w.open(t, w.options(a))
	before := m.Digest()
	many, _ := json.Marshal(wire.Hello{Format: wire.HelloFormat, From: b, Members: make([]wire.Member, wire.MaxMembers+wire.MaxRemoved+1)})
	long, _ := json.Marshal(wire.Hello{Format: wire.HelloFormat, From: b, Join: make([]string, wire.JoinMax+1)})
	for request, want := range map[string]string{
		``:                        "unexpected end",
		`{"format":2}`:            "sender's name",
		`{"format":2,"from":"b"}`: "sender's name",
		`{"format":2,"from":"b:1","members":[{"name":"b:1"}]}`:                                       "weight",
		`{"format":2,"from":"b:1","members":[{"name":"b:1","weight":1,"state":"gone"}]}`:             "no state",
		`{"format":2,"from":"b:1","members":[{"name":"b:1","weight":1,"version":1e300}]}`:            "version",
		`{"format":2,"from":"b:1","members":[{"name":"b:1","weight":1,"version":9999999999999999}]}`: "version",
		string(many): fmt.Sprintf("more than %d", wire.MaxMembers+wire.MaxRemoved),
		string(long): "more than 128",
		`{"format":2,"from":"b:1","join":["nowhere"]}`: "address to join",
		strings.Repeat(" ", 4<<20+1):                   "at most",
	} {
		_, err := m.ServeHello([]byte(request))
		if !errors.Is(err, wire.ErrBadHello) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", request, err, want)
		}
	}
	answer, err := m.ServeHello([]byte(`{"format":1,"from":7}`))
	if err != nil || !strings.Contains(string(answer), "run the same version") {
		t.Errorf("another format is answered %s, %v", answer, err)
	}
	if m.Digest() != before {
		t.Error("the map changed")
	}
}

// A hello leaves nothing long behind it: neither an error, which is answered, nor a line in the
// log.
func TestLongHellosLeaveLittle(t *testing.T) {
	const most = 3 << 10
	w := newLAN()
	var log logs
	o := w.options(a)
	o.Log = slog.New(&log)
	m := w.open(t, o)
	long := strings.Repeat("x", 1<<20)
	for _, request := range []string{
		`{"format":2,"from":"b:1","settings":{"partitioner":"` + long + `"}}`,
		`{"format":2,"from":"b:1","to":"` + long + `:1"}`,
		`{"format":2,"from":"` + long + `:1"}`,
		`{"format":1` + strings.Repeat("0", 1<<20) + `,"from":"b:1"}`,
		`{"format":2,"from":"b:1","members":[{"name":"b:1","weight":1` + strings.Repeat("0", 1<<20) + `}]}`,
		`{"format":2,"from":"b:1","join":["` + long + `:1"]}`,
		`{"format":2,"from":"b:1","join":[` + strings.Repeat(`"",`, 1<<20) + `""]}`,
	} {
		_, err := m.ServeHello([]byte(request))
		if !errors.Is(err, wire.ErrBadHello) || len(err.Error()) > most {
			t.Errorf("%.60s: %.100v", request, err)
		}
	}
	for _, line := range log.all() {
		if len(line) > most {
			t.Errorf("a line of %d bytes: %.100s", len(line), line)
		}
	}
}

// Whoever makes names up, and reasons to be refused, does not fill the log with them: there is a
// line a second, which says how many there were. A node that is refused for one reason has one
// line.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN()
		var log logs
		o := w.options(a)
		o.Log = slog.New(&log)
		m := w.open(t, o)
		refuse := func(from string, partitions int) {
			t.Helper()
			h := wire.Hello{From: from, Settings: wire.Settings{Partitions: partitions}}
			if answer, err := m.ServeHello(h.Encode()); err != nil || !strings.Contains(string(answer), "start both with the same") {
				t.Fatalf("%s, %v", answer, err)
			}
		}
		for i := range 4 * wire.MaxMembers {
			refuse(fmt.Sprintf("h%d:1", i), i+1)
		}
		time.Sleep(time.Second)
		for range 100 {
			refuse(b, 7)
		}
		if n := log.count("refused a hello"); n != 2 {
			t.Errorf("%d lines in two seconds, want 2", n)
		}
		if log.count(fmt.Sprintf("more_since_last=%d", 4*wire.MaxMembers-1)) != 1 {
			t.Errorf("no line says how many were held back: %q", log.all())
		}
		m.Close()
	})
}

// Who answers has merged before: the answer has all that the hello brought.
func TestTheAnswerHasWhatWasSaid(t *testing.T) {
	w := newLAN()
	m := w.open(t, w.options(a))
	o := w.options(b)
	o.Join = []string{"nobody:1"}
	newcomer := w.open(t, o) // there has to be one at the name
	for name, formed := range map[string]bool{b: false, c: true} {
		entry := wire.Member{Name: name, Version: 3, Weight: 2, Zone: "z"}
		h := wire.Hello{From: name, To: a, Boot: newcomer.id.boot, Formed: formed, Settings: sameSettings, Members: []wire.Member{entry}}
		answer, err := m.ServeHello(h.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodeHello(answer)
		if err != nil {
			t.Fatal(err)
		}
		if there, _ := got.Entry(name); there != entry {
			t.Errorf("formed %v: the answer has %+v", formed, there)
		}
	}
}

// An answer that is none, or of somebody else, is an error, and changes nothing.
func TestWhatIsNoAnswer(t *testing.T) {
	var answer []byte
	o := newLAN().options(a)
	o.Static = []string{a, b}
	o.Live = func(string) bool { return true } // nobody but the test asks
	o.Hello = func(context.Context, Place, []byte) ([]byte, error) { return answer, nil }
	m, err := begin(o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	before := m.Digest()
	members := []wire.Member{{Name: c, Version: 9, Weight: 1}}
	good := wire.Hello{From: b, Formed: true, Settings: sameSettings, Members: members}
	for what, test := range map[string]struct {
		spoil func(*wire.Hello)
		want  error
	}{
		"another name": {func(h *wire.Hello) { h.From = c }, ErrRefused},
		"our name":     {func(h *wire.Hello) { h.From = a }, ErrRefused},
		"settings":     {func(h *wire.Hello) { h.Settings.Replicas = 3 }, ErrRefused},
		"a refusal":    {func(h *wire.Hello) { h.Refused = "no" }, ErrRefused},
		"a bad entry":  {func(h *wire.Hello) { h.Members = []wire.Member{{Name: c}} }, wire.ErrBadHello},
		"good":         {func(*wire.Hello) {}, nil},
	} {
		h := good
		test.spoil(&h)
		answer = h.Encode()
		if _, err := m.asker.ask(t.Context(), At(b), b); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
		if m.Digest() != before {
			t.Errorf("%s: the map changed", what)
		}
	}
	answer = []byte("<html>")
	if _, err := m.asker.ask(t.Context(), At(b), b); !errors.Is(err, wire.ErrBadHello) {
		t.Errorf("no hello at all: %v", err)
	}
}

// Whatever comes as a hello, the node stays up, its map keeps to its rules, it stays active in it,
// and what it answers is a hello.
func FuzzServeHello(f *testing.F) {
	h := wire.Hello{From: b, To: a, Boot: 1, Formed: true, Settings: sameSettings, Members: []wire.Member{
		{Name: a, Version: 3, State: wire.Removed, Weight: 1}, {Name: b, Version: 4, Weight: 2, Zone: "z"},
	}}
	f.Add(h.Encode())
	h.Formed, h.To = false, ""
	f.Add(h.Encode())
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, request []byte) {
		o := newLAN().options(a)
		o.pace = defaultPace
		o.pace.hello = time.Millisecond // who is not found is answered no sooner
		m, err := begin(o)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := m.ServeHello(request)
		if err == nil {
			if _, err := wire.DecodeHello(answer); err != nil {
				t.Errorf("answered %q: %v", answer, err)
			}
		}
		for _, entry := range m.All() {
			if err := entry.Validate(); err != nil {
				t.Error(err)
			}
		}
		poll.True(t, "the node is active", func() bool { return stateOf(m, a) == "active" })
		m.Close()
	})
}
