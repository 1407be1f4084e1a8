package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// risingKeys are keys that are written with growing numbers, and which was acknowledged last.
type risingKeys struct {
	c    *cluster
	quit chan struct{}
	all  sync.WaitGroup
	once sync.Once

	mu    sync.Mutex // guards all below
	acked map[string]int
	total int
}

// risingPace is how long a writer waits between two writes.
const risingPace = 2 * time.Millisecond

// writeRising writes until what is returned is stopped.
func writeRising(t *testing.T, c *cluster) *risingKeys {
	w := &risingKeys{c: c, quit: make(chan struct{}), acked: make(map[string]int)}
	for writer := range 3 {
		w.all.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-w.quit:
					return
				case <-time.After(risingPace): // the processors are for what is tested
				}
				key := fmt.Sprintf("counter-%d-%d", writer, n%40)
				a := send(t, c.addr(writer), "PUT", "/db/"+key, strconv.Itoa(n))
				if a.status != 201 && a.status != 204 {
					t.Errorf("PUT %s: %d %s", key, a.status, a.body)
					return
				}
				w.mu.Lock()
				w.acked[key] = n
				w.total++
				w.mu.Unlock()
			}
		})
	}
	return w
}

// more waits for so many further writes, and returns what is acknowledged then.
func (w *risingKeys) more(t *testing.T, writes int) map[string]int {
	t.Helper()
	w.mu.Lock()
	until := w.total + writes
	w.mu.Unlock()
	poll.Until(t, "there are more writes", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.total < until {
			return fmt.Errorf("%d, want %d", w.total, until)
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.acked)
}

func (w *risingKeys) stop() {
	w.once.Do(func() { close(w.quit) })
	w.all.Wait()
}

// wantRising says that a cluster has at least what was acknowledged.
func wantRising(t *testing.T, c *cluster, acked map[string]int) {
	t.Helper()
	for key, n := range acked {
		a := send(t, c.addr(n%3), "GET", "/db/"+key, "")
		if got, err := strconv.Atoi(string(a.body)); a.status != 200 || err != nil || got < n {
			t.Errorf("%s is %d %q, and %d was acknowledged before the backup began", key, a.status, a.body, n)
		}
	}
}

// tell runs a command that has to end with a status, and to say something.
func tell(t *testing.T, status int, words []string, args ...string) {
	t.Helper()
	got, stdout, stderr := run(t, nil, args...)
	if got != status {
		t.Errorf("httpdhs %v: exit %d, want %d\n%s%s", args, got, status, stdout, stderr)
	}
	for _, word := range words {
		if !strings.Contains(stdout+stderr, word) {
			t.Errorf("httpdhs %v does not say %q:\n%s%s", args, word, stdout, stderr)
		}
	}
}

// A backup of a cluster that is being written to, in each form, has all that was acknowledged
// before it began. It comes back in another cluster with other settings, and in the same one by its
// directories. Values have their types and their time to live, and what was deleted is deleted.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "--data-dir=data-{node}", "--partitions=256")
	nodes := "--node-addr=" + c.addr(0)
	send(t, c.addr(0), "PUT", "/db/doc", `{"a":1}`, "Content-Type: application/json", "Cache-Control: max-age=5", "Content-Encoding: identity")
	send(t, c.addr(0), "PUT", "/db/session?ttl=1h", "s")
	send(t, c.addr(0), "PUT", "/db/deleted", "d")
	send(t, c.addr(0), "PUT", "/db/%FF%00?w=all", "\xfe\x00")
	send(t, c.addr(1), "DELETE", "/db/deleted", "")
	expires := send(t, c.addr(0), "GET", "/db/session", "").header.Get("X-Dht-Expires")
	w := writeRising(t, c)
	defer w.stop()

	dir := t.TempDir()
	backups := map[string]map[string]int{}
	for _, name := range []string{"dir", "file.tar", "file.tar.zst"} {
		backups[name] = w.more(t, 500)
		to := "--to=" + filepath.Join(dir, name)
		tell(t, 0, []string{"wrote 3 nodes", c.addr(0), c.addr(1), c.addr(2)}, "backup", to, nodes)
		tell(t, 1, []string{"is there already"}, "backup", to, nodes)
		tell(t, 0, []string{c.addr(2), "--partitions=256", "damage                none"}, "check", filepath.Join(dir, name))
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("left behind: %v", entries)
	}
	tell(t, 1, []string{"in use"}, "check", filepath.Join(c.dir, "data-0"))

	other := startCluster(t, "--partitions=64")
	tell(t, 1, []string{"nothing on a disk", "--data-dir", other.addr(0)}, "backup", "--to="+filepath.Join(dir, "none"), "--node-addr="+other.addr(1))
	for i, name := range slices.Sorted(maps.Keys(backups)) {
		from := "--from=" + filepath.Join(dir, name)
		if i > 0 {
			tell(t, 1, []string{"has keys already", "--force"}, "restore", from, other.to())
			tell(t, 0, nil, "restore", from, other.to(), "--force")
		} else {
			tell(t, 0, []string{"restored 123 keys, 0 failed"}, "restore", from, other.to())
		}
		wantRising(t, other, backups[name])
	}
	wantRestored := func(c *cluster) {
		t.Helper()
		a := send(t, c.addr(1), "GET", "/db/doc", "")
		if string(a.body) != `{"a":1}` || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "max-age=5" || a.header.Get("Content-Encoding") != "identity" {
			t.Errorf("doc is %q with %v", a.body, a.header)
		}
		if a = send(t, c.addr(2), "GET", "/db/session", ""); string(a.body) != "s" || a.header.Get("X-Dht-Expires") != expires {
			t.Errorf("session is %q, expires %s, want %s", a.body, a.header.Get("X-Dht-Expires"), expires)
		}
		if a = send(t, c.addr(0), "GET", "/db/%FF%00", ""); string(a.body) != "\xfe\x00" {
			t.Errorf("a key that is not UTF-8 is %q", a.body)
		}
		if a = send(t, c.addr(0), "GET", "/db/deleted", ""); a.status != 404 {
			t.Errorf("what was deleted is %d", a.status)
		}
	}
	wantRestored(other)

	acked := w.more(t, 1)
	w.stop()
	for i := range 3 {
		c.terminate(t, i)
		data := filepath.Join(c.dir, fmt.Sprint("data-", i))
		tell(t, 0, []string{"closed in good order  yes"}, "check", data)
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "dir", fmt.Sprint("localhost_", c.ports[i])), data); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := c.launch(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.awaitReady(); err != nil {
		t.Fatal(err)
	}
	wantRising(t, c, backups["dir"])
	wantRestored(c)
	if maps.Equal(acked, backups["dir"]) {
		t.Error("nothing was written after the backup")
	}
}

// A node that is down fails a backup, which leaves nothing behind. With --partial the backup goes
// on, and says what it lacks, also when it is restored. One that is damaged is refused.
func TestBackupThatLacksSomething(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auth := "--auth-token-file=" + token
	c := startCluster(t, "--data-dir=data-{node}", auth)
	tell(t, 0, nil, "load-data", "--sample", c.to(), auth)
	dir := t.TempDir()
	nodes, to := "--node-addr="+c.addr(0)+","+c.addr(1), "--to="+filepath.Join(dir, "file.tar")
	tell(t, 1, []string{"token"}, "backup", to, nodes)
	c.kill9(2)
	tell(t, 1, []string{"cannot back up " + c.addr(2), "--partial"}, "backup", to, nodes, auth)
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
	tell(t, 0, []string{"without " + c.addr(2), "wrote 2 nodes"}, "backup", to, nodes, auth, "--partial")
	tell(t, 0, []string{"made without " + c.addr(2)}, "check", filepath.Join(dir, "file.tar"))
	from := "--from=" + filepath.Join(dir, "file.tar")
	tell(t, 1, []string{"made without " + c.addr(2), "--partial"}, "restore", from, asTo(nodes), auth, "--force")
	tell(t, 0, []string{"without " + c.addr(2), ", 0 failed"}, "restore", from, asTo(nodes), auth, "--force", "--partial")

	data, err := os.ReadFile(filepath.Join(dir, "file.tar"))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	harmed := filepath.Join(dir, "harmed.tar")
	if err := os.WriteFile(harmed, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tell(t, 1, []string{"is damaged at", "may lack something", "what to do"}, "check", harmed)
}

// asTo is a --node-addr as a --to.
func asTo(flag string) string { return strings.Replace(flag, "--node-addr", "--to", 1) }
