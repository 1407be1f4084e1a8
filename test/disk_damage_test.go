package test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// Whatever befalls the directory of one node of three while all are stopped: a bit flips, its last
// segment is cut short, one is missing, or an older copy of all is put back. All are started, and
// every key is right at every node. What is damaged is counted, and mended: the next start finds
// nothing. DAMAGES is how often that is tried, DAMAGE_KEYS how many keys there are.
func TestDamageIsFetchedAgain(t *testing.T) {
	t.Parallel()
	f := startOnDisks(t, 3)
	w := newWitness(f, "damage-", damageKeys, "", 0, 1, 2)
	w.begin()
	for n := range fromEnv("DAMAGES", 1) {
		for _, h := range []struct {
			name    string
			do      func(n int, dir, older string)
			damaged bool
		}{
			{"a bit flips", func(n int, dir, _ string) { f.change(largest(t, dir), flip(n)) }, true},
			{"the last segment is cut short", func(_ int, dir, _ string) {
				f.change(last(segments(t, dir)), func(b []byte) []byte { return b[:len(b)*2/3] })
			}, true},
			{"a segment is missing", func(_ int, dir, _ string) { f.mustDo(os.Remove(largest(t, dir))) }, true},
			{"an older copy is back", func(_ int, dir, older string) {
				f.mustDo(os.RemoveAll(dir))
				copyDir(t, older, dir)
			}, false},
		} {
			w.more(50)
			w.pause(func() {
				victim := n % 3
				dir, older := f.ships[victim].data, fmt.Sprint(f.dir, "/older-", h.name, n)
				f.stopAll()
				copyDir(t, dir, older)
				f.startAgain()
				if n := f.sum(damagedTotal, 0, 1, 2); n > 0 {
					t.Errorf("before %s: %d damages are counted", h.name, n)
				}
				w.rewrite(damageKeys / 7)
				f.stopAll()
				h.do(n, dir, older)
				end := last(segments(t, dir))
				f.mustDo(os.RemoveAll(older))
				f.startAgain()
				counted := f.metrics(victim)[damagedTotal]
				t.Logf("%s: counted %v, fetched %d records", h.name, counted, f.sum(synced, 0, 1, 2))
				if (counted > 0) != h.damaged {
					t.Errorf("%s: %v damages are counted", h.name, counted)
				}
				w.verify(0, 1, 2)
				w.nothingWrong()
				if h.damaged {
					f.awaitMended(victim, end)
				}
			})
		}
	}
	w.end()
	w.conclude(2, 0, 1, 2)
}

var damageKeys = fromEnv("DAMAGE_KEYS", 500)

const damagedTotal = "httpdhs_disk_damaged_total"

// awaitMended waits until nothing is left of the log that ended with a segment: all is written
// again.
func (f *fleet) awaitMended(i int, end string) {
	f.t.Helper()
	f.eventually("the log is mended", func() error {
		if oldest := segments(f.t, f.ships[i].data)[0]; oldest <= end {
			return fmt.Errorf("%s is there", oldest)
		}
		return nil
	})
}

// pause has something done while the clients ask for nothing.
func (w *witness) pause(do func()) {
	for _, g := range w.gates {
		g.Lock() // and not withdraw, for clients look for an open gate
		defer g.Unlock()
	}
	do()
}

// rewrite writes so many keys, and deletes some of them. Clients are paused.
func (w *witness) rewrite(keys int) {
	w.f.t.Helper()
	for n := range keys {
		k := n * 7 % len(w.state)
		w.numbers++
		w.write(n%len(w.f.ships), k, version{number: 1_000_000 + w.numbers, deleted: n%5 == 0})
	}
	w.nothingFailed()
}

// largest is the segment that has the most.
func largest(t *testing.T, dir string) string {
	t.Helper()
	size := func(name string) int64 {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	return slices.MaxFunc(segments(t, dir), func(a, b string) int { return cmp.Compare(size(a), size(b)) })
}

func last(names []string) string { return names[len(names)-1] }

// flip flips a bit in the middle.
func flip(n int) func(b []byte) []byte {
	return func(b []byte) []byte {
		b[len(b)/2] ^= 1 << (n % 8)
		return b
	}
}

func (f *fleet) mustDo(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// change changes a file.
func (f *fleet) change(path string, how func(b []byte) []byte) {
	f.t.Helper()
	b, err := os.ReadFile(path)
	f.mustDo(err)
	f.mustDo(os.WriteFile(path, how(slices.Clone(b)), 0o600))
}

// A node that has no other to fetch from does not serve what is left after a damage: /readyz says
// what to do. After httpdhs recover it goes on without what was lost, and no byte is wrong.
func TestDamageOfASingleNode(t *testing.T) {
	t.Parallel()
	f := startOnDisks(t, 1, "--replicas=1")
	w := newWitness(f, "single-", 2000, "", 0)
	f.stop(0)
	f.change(last(segments(t, f.ships[0].data)), flip(3))
	f.start(0)
	f.eventually("the node asks an operator", func() error {
		status, body, err := f.get(0, "/readyz")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(string(body), "is damaged") ||
			!strings.Contains(string(body), "httpdhs recover --accept-loss "+f.name(0))) {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	if status, body := w.ask(0, http.MethodGet, "/db/"+w.key(0), ""); status != http.StatusServiceUnavailable {
		t.Errorf("it answers %d %s", status, body)
	}
	if status, out, log := run(t, nil, "recover", "--accept-loss", f.name(0)); status != 0 {
		t.Errorf("recover ends with %d: %s%s", status, out, log)
	}
	f.awaitSettled(0)
	left := 0
	for k := range w.state {
		switch status, body := w.ask(0, http.MethodGet, "/db/"+w.key(k), ""); {
		case status == http.StatusOK && body == w.value(k, 1):
			left++
		case status != http.StatusNotFound:
			t.Errorf("%s: %d %q", w.key(k), status, body)
		}
	}
	if t.Logf("%d of %d keys are left", left, len(w.state)); left == 0 {
		t.Error("nothing is left")
	}
}
