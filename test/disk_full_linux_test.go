package test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// mount mounts something at a directory, for as long as the test runs. Where that is not allowed
// the test is skipped.
func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a file system to be filled")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Skipf("mount %v is not allowed here: %v: %s", args, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// startWithSmallDisk starts three nodes, the first of which has a file system of its own.
func startWithSmallDisk(t *testing.T, prepare func(dir string), flags ...string) *fleet {
	t.Helper()
	f := newFleet(t, 3, flags...)
	small := filepath.Join(f.dir, "small")
	t.Cleanup(f.close) // before it is unmounted
	prepare(small)
	t.Cleanup(f.close)
	for i, s := range f.ships {
		s.data = filepath.Join(f.dir, fmt.Sprint("data", i))
	}
	f.ships[0].data = filepath.Join(small, "data")
	f.startAll()
	for _, s := range f.ships {
		s.args = nil
	}
	return f
}

// fill writes values of 1 MiB at node 0 until one is refused, and returns the refusal and the
// keys that were stored.
func (f *fleet) fill(prefix string, most int) (refusal answer, stored []string) {
	f.t.Helper()
	for n := range most {
		key := fmt.Sprint(prefix, n)
		a := ask(client, http.MethodPut, f.url(0, "/db/"+key), f.large(key))
		if !a.ok() {
			return a, stored
		}
		stored = append(stored, key)
	}
	f.t.Fatalf("%d writes of 1 MiB are all taken", most)
	return answer{}, nil
}

// awaitRefusal waits until writes at node 0 are refused with that status and a reason that has the
// text. Of keys that are not there it takes writes as ever.
func (f *fleet) awaitRefusal(status int, text string) {
	f.t.Helper()
	n := 0
	f.eventually("writes are refused, and why", func() error {
		n++
		a := ask(client, http.MethodPut, f.url(0, fmt.Sprint("/db/refused", n)), "x")
		if a.status != status || !bytes.Contains(a.body, []byte(text)) {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

func (f *fleet) large(key string) string { return key + strings.Repeat("x", 1<<20) }

// wantLarge reads keys at nodes.
func (f *fleet) wantLarge(keys []string, nodes ...int) {
	f.t.Helper()
	for _, key := range keys {
		for _, i := range nodes {
			if status, body, err := f.get(i, "/db/"+key); err != nil || status != http.StatusOK || string(body) != f.large(key) {
				f.t.Errorf("%s at node %d: %d, %d bytes, %v", key, i, status, len(body), err)
			}
		}
	}
}

// awaitFault waits until node 0 is not ready for a reason that has the text.
func (f *fleet) awaitFault(text string) {
	f.t.Helper()
	f.eventually("/readyz says what is wrong with the disk", func() error {
		status, body, err := f.get(0, "/readyz")
		if err == nil && (status != http.StatusServiceUnavailable || !bytes.Contains(body, []byte(text))) {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
}

// goesOn says that the other nodes take writes of keys that are theirs, and that all is read.
func (f *fleet) goesOn() {
	f.t.Helper()
	for i := 1; i < 3; i++ {
		if err := f.isReady(i); err != nil {
			f.t.Error(err)
		}
	}
	taken := 0
	for n := range 60 {
		if a := ask(client, http.MethodPut, f.url(1+n%2, fmt.Sprint("/db/other", n)), "x"); a.ok() {
			taken++
		} else if a.status != http.StatusInsufficientStorage && a.status != http.StatusServiceUnavailable {
			f.t.Errorf("a write at another node: %d %s", a.status, a.body)
		}
	}
	if taken < 5 { // a third of the keys has no copy at node 0
		f.t.Errorf("the others take %d of 60 writes", taken)
	}
}

// The disk of a node is full: writes to it are a 507 that says so, and it is not ready. Reads go
// on, and so do the other nodes. When there is room it takes writes by itself. What was
// acknowledged is there after a kill.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	dir := ""
	f := startWithSmallDisk(t, func(small string) {
		dir = small
		mount(t, small, "-t", "tmpfs", "-o", "size=44m", "tmpfs")
	}, "--sync=always")
	refusal, stored := f.fill("full", 1500)
	if refusal.status != http.StatusInsufficientStorage || !bytes.Contains(refusal.body, []byte("make room on the disk")) {
		t.Errorf("the first refusal: %d %s", refusal.status, refusal.body)
	}
	f.awaitRefusal(http.StatusInsufficientStorage, "cannot write to its disk: it is full")
	refused := 0
	for n := range 30 {
		if a := ask(client, http.MethodDelete, f.url(0, fmt.Sprint("/db/nothing", n)), ""); a.status == http.StatusInsufficientStorage {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no delete is refused, and there is no room for one")
	}
	f.awaitFault("no space left on device")
	f.wantLarge(stored[len(stored)-20:], 0, 1)
	f.goesOn()
	mustRun(t, "mount", "-o", "remount,size=400m", dir)
	f.awaitSettled(0, 1, 2)
	for _, key := range []string{"full0", "again"} {
		if a := ask(client, http.MethodPut, f.url(0, "/db/"+key+"?w=all"), f.large(key)); !a.ok() {
			t.Errorf("%s, when there is room: %d %s", key, a.status, a.body)
		}
	}
	stored = append(stored, "again")
	f.killAll()
	f.startAgain()
	f.wantLarge(stored, 0)
	f.wantLarge(stored[len(stored)-20:], 1, 2)
}

// The disk of a node fails while it syncs: its writes are errors that say so, and it is not ready.
// When the disk works again all is written again, by itself, and what was acknowledged is there
// after a kill of all.
func TestAFailingDisk(t *testing.T) {
	t.Parallel()
	backing := ""
	f := startWithSmallDisk(t, func(small string) {
		backing = small + "-backing"
		mount(t, backing, "-t", "tmpfs", "-o", "size=48m", "tmpfs")
		image := filepath.Join(backing, "image")
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 400<<20)); err != nil {
			t.Fatal(err)
		}
		mustRun(t, "mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", "-O", "^has_journal", image)
		mount(t, small, "-o", "loop", image) // it has 400 MiB, and what is below has not
	}, "--sync=always")
	_, stored := f.fill("failing", 1500)
	f.awaitRefusal(http.StatusInsufficientStorage, "cannot write to its disk: it is full") // so says a loop device
	f.awaitFault("cannot sync")
	f.wantLarge(stored[len(stored)-20:], 0, 1)
	f.goesOn()
	mustRun(t, "mount", "-o", "remount,size=800m", backing)
	f.awaitSettled(0, 1, 2)
	if a := ask(client, http.MethodPut, f.url(0, "/db/again?w=all"), f.large("again")); !a.ok() {
		t.Errorf("when the disk works: %d %s", a.status, a.body)
	}
	stored = append(stored, "again")
	f.killAll()
	f.startAgain()
	f.wantLarge(stored, 0)
	f.wantLarge(stored[len(stored)-20:], 1, 2)
	if n := f.sum(damagedTotal, 0, 1, 2); n > 0 {
		t.Errorf("%d damages are counted", n)
	}
}

// The disk of a node does not answer: within seconds its writes are errors, and it is not ready.
// Reads go on, and so do the others. When the disk answers again, so does the node.
func TestAHangingDisk(t *testing.T) {
	t.Parallel()
	dir := ""
	f := startWithSmallDisk(t, func(small string) {
		dir = small
		image := small + "-image"
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 100<<20)); err != nil {
			t.Fatal(err)
		}
		mustRun(t, "mkfs.ext4", "-q", image)
		mount(t, small, "-o", "loop", image)
	}, "--sync=always")
	w := newWitness(f, "hang-", 300, "", 0, 1, 2)
	mustRun(t, "fsfreeze", "-f", dir)
	thaw := sync.OnceFunc(func() { _ = exec.Command("fsfreeze", "-u", dir).Run() }) // or it cannot be unmounted
	t.Cleanup(thaw)
	f.awaitRefusal(http.StatusServiceUnavailable, "cannot write to its disk")
	f.awaitFault("")
	f.goesOn()
	w.verify(0, 1, 2)
	thaw()
	f.awaitSettled(0, 1, 2)
	if a := ask(client, http.MethodPut, f.url(0, "/db/again?w=all"), "x"); !a.ok() {
		t.Errorf("when the disk answers: %d %s", a.status, a.body)
	}
	f.killAll()
	f.startAgain()
	w.conclude(0, 0, 1, 2)
}

// At --max-disk writes are a 507, and deletes go through. Then there is room again, and the
// directory takes no more than it may.
func TestMaxDisk(t *testing.T) {
	t.Parallel()
	const bound = 64 << 20
	f := startOnDisks(t, 1, "--replicas=1", "--max-disk=64MiB", "--max-value-bytes=2MiB")
	refusal, stored := f.fill("bound", 1000)
	if refusal.status != http.StatusInsufficientStorage || !bytes.Contains(refusal.body, []byte("raise --max-disk")) {
		t.Errorf("%d %s", refusal.status, refusal.body)
	}
	if len(stored) < bound/2/(1<<20) {
		t.Errorf("%d values are stored", len(stored))
	}
	f.awaitFault("--max-disk")
	half := stored[:len(stored)/2]
	for _, key := range half {
		if a := ask(client, http.MethodDelete, f.url(0, "/db/"+key), ""); a.status != http.StatusNoContent {
			t.Errorf("DELETE %s: %d %s", key, a.status, a.body)
		}
	}
	f.awaitSettled(0)
	for _, key := range half[:len(half)/2] {
		f.eventually("there is room", func() error {
			if a := ask(client, http.MethodPut, f.url(0, "/db/"+key), f.large(key)); !a.ok() {
				return fmt.Errorf("PUT %s: %d %s", key, a.status, a.body)
			}
			return nil
		})
	}
	f.wantLarge(stored[len(half):], 0)
	took := int64(0)
	for _, name := range segments(t, f.ships[0].data) {
		info, err := os.Stat(name)
		f.mustDo(err)
		took += info.Size()
	}
	if took > bound {
		t.Errorf("the directory takes %d bytes", took)
	}
}
