package test

import (
	endian "encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// All nodes are killed, and the directories of two come back at another place, as on another
// machine. All keys are there, and what was deleted is not. COLD_KEYS is how many keys there are.
func TestDirectoriesMove(t *testing.T) {
	t.Parallel()
	keys := fromEnv("COLD_KEYS", coldDaily)
	f := startOnDisks(t, 3, append(smallSegments(keys == coldDaily), "--sync=always")...)
	w := newWitness(f, "cold-", keys, "", 0, 1, 2)
	w.deleteSome()
	f.killAll()
	for i := range 2 {
		s := f.ships[i]
		moved := s.data + "-elsewhere"
		copyDir(t, s.data, moved)
		if err := os.RemoveAll(s.data); err != nil {
			t.Fatal(err)
		}
		s.data = moved
	}
	began := time.Now()
	f.startAgain()
	t.Logf("%d keys on three nodes: ready after %v", len(w.state), time.Since(began).Round(time.Millisecond))
	t.Logf("fetched: %d records", f.sum(synced, 0, 1, 2))
	w.conclude(2, 0, 1, 2)
}

const coldDaily = 10_000

// deleteSome deletes a key of a hundred.
func (w *witness) deleteSome() {
	w.f.t.Helper()
	for k := 0; k < len(w.state); k += max(100, len(w.state)/200) {
		w.write(k%len(w.f.ships), k, version{number: 2, deleted: true})
	}
	w.nothingFailed()
}

// killAll kills all nodes at once.
func (f *fleet) killAll() {
	f.t.Helper()
	for i := range f.ships {
		f.signal(i, syscall.SIGKILL)
	}
	for i := range f.ships {
		f.kill9(i)
	}
}

// After all nodes were killed, none is ready before all are there that may know more, and each says
// for whom it waits. Meanwhile what is found is answered, and of nothing it is said that it is
// absent. All is well when the last one has come.
func TestNobodyIsReadyBeforeAllAreThere(t *testing.T) {
	t.Parallel()
	f := startOnDisks(t, 3, append(smallSegments(true), "--sync=always")...)
	w := newWitness(f, "wait-", 400, "", 0, 1, 2)
	w.deleteSome()
	f.awaitNoted() // else they do not even answer, for they may have been away for long
	f.killAll()
	for i := range 2 {
		f.start(i)
	}
	for i := range 2 {
		f.eventually(fmt.Sprintf("node %d says for whom it waits", i), func() error {
			status, body, err := f.get(i, "/readyz")
			if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(string(body), f.name(2)+" is down")) {
				err = fmt.Errorf("%d %s", status, body)
			}
			return err
		})
	}
	for k := range w.state {
		for i := range 2 {
			status, body := w.ask(i, http.MethodGet, "/db/"+w.key(k)+"?timeout=1s", "")
			switch gone := w.state[k].mayBe(version{deleted: true}); {
			case gone && status == http.StatusServiceUnavailable && strings.Contains(body, "may exist"):
			case !gone && status == http.StatusOK && body == w.value(k, 1):
			default:
				t.Errorf("%s at node %d: %d %s; deleted: %t", w.key(k), i, status, body, gone)
			}
		}
	}
	for i := range 2 {
		if status, body := w.ask(i, http.MethodGet, "/db/never-there?timeout=1s", ""); status != http.StatusServiceUnavailable {
			t.Errorf("a key that never was, at node %d: %d %s", i, status, body)
		}
		if err := f.isReady(i); err == nil {
			t.Errorf("node %d is ready", i)
		}
	}
	f.start(2)
	f.awaitSettled(0, 1, 2)
	w.conclude(2, 0, 1, 2)
}

// awaitNoted waits until the disks of all nodes know that they were in sync: that is noted within
// half a second.
func (f *fleet) awaitNoted() {
	f.t.Helper()
	const inSync = 0x25 // the item that says so: package disk
	now := time.Now()
	for i, s := range f.ships {
		f.eventually("it is on the disk that a node was in sync", func() error {
			for _, name := range segments(f.t, s.data) {
				data, err := os.ReadFile(name)
				for at := 0; err == nil && at+9 <= len(data); at++ {
					ms := int64(endian.LittleEndian.Uint64(data[at+1:]))
					if data[at] == inSync && time.UnixMilli(ms).Sub(now).Abs() < time.Hour {
						return nil
					}
				}
			}
			return fmt.Errorf("node %d has no such note", i)
		})
	}
}

// segments are the files of a log, the oldest first.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segments in %s: %v", dir, err)
	}
	return names
}
