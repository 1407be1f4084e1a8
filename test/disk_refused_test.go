package test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
)

// A data directory that is not to be used ends the start with one line that says why, and status 1.
// Nothing in it is changed, and the node that it belongs to starts on it.
func TestDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	f := startOnDisks(t, 1, "--replicas=1")
	put := func() {
		t.Helper()
		if a := ask(client, "PUT", f.url(0, "/db/key"), "value"); !a.ok() {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	put()
	own := "--port=" + strings.TrimPrefix(f.name(0), "127.0.0.1:")
	other := fmt.Sprint("--port=", freePort(t))
	f.ends(f.ships[0].data, fmt.Sprint("in use by process ", f.proc(0).cmd.Process.Pid, ": stop that one"), other, "--replicas=1") // who has it writes to it
	f.stop(0)

	dir := f.ships[0].data
	secret := filepath.Join(f.dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret of another cluster, which is long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.refuses(dir, "it is of node "+f.name(0), other, "--replicas=1")
	f.refuses(dir, "--partitions=1024", own, "--replicas=1", "--partitions=512")
	f.refuses(dir, "--replicas=1", own, "--replicas=2")
	f.refuses(dir, "another --cluster-secret-file", own, "--replicas=1", "--cluster-secret-file="+secret)

	f.refuses(f.edited("format", func(meta string) string { return strings.Replace(meta, `"format":1`, `"format":2`, 1) }),
		"its format is 2, and this build reads 1: start the version", own, "--replicas=1")
	damaged := f.edited("damaged", func(meta string) string { return meta })
	if err := os.WriteFile(filepath.Join(damaged, "meta"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.refuses(damaged, "its meta is damaged: what it held is on the other nodes", own, "--replicas=1")
	lost := f.edited("lost", func(meta string) string { return meta })
	if err := os.Remove(filepath.Join(lost, "meta")); err != nil {
		t.Fatal(err)
	}
	f.refuses(lost, "has a log and no meta: restore that file", own, "--replicas=1")
	file := filepath.Join(f.dir, "file")
	if err := os.WriteFile(file, []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.refuses(file, "not a directory: give --data-dir a directory", own, "--replicas=1")
	f.refuses(filepath.Join(file, "below"), "not a directory", own, "--replicas=1")

	home := filepath.Join(f.dir, "home")
	if err := errors.Join(os.Mkdir(home, 0o700), os.WriteFile(filepath.Join(home, "letter"), []byte("text"), 0o600)); err != nil {
		t.Fatal(err)
	}
	f.refuses(home, `it has other files, such as "letter": give --data-dir an empty directory`, own, "--replicas=1")

	f.start(0)
	f.awaitSettled(0)
	if a := ask(client, "GET", f.url(0, "/db/key"), ""); string(a.body) != "value" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A node that is part of a cluster, as its directory says, does not join another: it ends.
func TestDirectoryOfAnotherCluster(t *testing.T) {
	t.Parallel()
	f := startOnDisks(t, 2)
	stranger := newFleet(t, 1)
	stranger.startAll()
	f.stopAll()
	own := "--port=" + strings.TrimPrefix(f.name(0), "127.0.0.1:")
	f.refuses(f.ships[0].data, "another cluster answers at "+stranger.name(0), own, "--join="+stranger.name(0))
	f.startAgain()
	stranger.awaitSettled(0)
}

// A data directory that cannot be written to ends the start with one line.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	f := startOnDisks(t, 1, "--replicas=1")
	f.stop(0)
	dir := filepath.Join(f.dir, "read-only")
	own := "--port=" + strings.TrimPrefix(f.name(0), "127.0.0.1:")
	if os.Geteuid() != 0 {
		copyDir(t, f.ships[0].data, dir)
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		f.refuses(dir, "permission denied: let the user of this node", own, "--replicas=1")
		return
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--bind", f.ships[0].data, dir}, {"-o", "remount,ro,bind", dir}} {
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			t.Skipf("root may not mount here: %v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", dir).Run() }) // one is enough
	}
	f.refuses(dir, "read-only file system: mount it for writing", own, "--replicas=1")
}

// edited is a copy of node 0's directory whose meta is another, with its checksum.
func (f *fleet) edited(name string, edit func(meta string) string) (dir string) {
	f.t.Helper()
	dir = filepath.Join(f.dir, name)
	copyDir(f.t, f.ships[0].data, dir)
	path := filepath.Join(dir, "meta")
	text, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	inner := regexp.MustCompile(`^\{"xxh3":"[0-9a-f]{16}","directory":(.*)\}$`).FindSubmatch(text)
	if inner == nil {
		f.t.Fatalf("a meta is not what it was: %s", text)
	}
	meta := edit(string(inner[1]))
	text = fmt.Appendf(nil, `{"xxh3":"%016x","directory":%s}`, xxh3.HashString(meta), meta)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return dir
}

// refuses starts a node on a directory, which it has to refuse and leave as it is.
func (f *fleet) refuses(dir, text string, args ...string) {
	f.t.Helper()
	before := contents(f.t, dir)
	f.ends(dir, text, args...)
	if after := contents(f.t, dir); !maps.Equal(before, after) {
		f.t.Errorf("%v has changed %s:\n%v\nwas\n%v", args, dir, after, before)
	}
}

// ends starts a node on a directory, and it has to end with one line that has the text.
func (f *fleet) ends(dir, text string, args ...string) {
	f.t.Helper()
	status, out, log := run(f.t, nil, append([]string{"server", "--data-dir=" + dir}, args...)...)
	var said []string
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") { // the log of what it did until then
			said = append(said, line)
		}
	}
	if status != 1 || len(said) != 1 || !strings.Contains(said[0], text) || out != "" {
		f.t.Errorf("%v on %s ends with %d, want 1 and one line that has %q:\n%s%s", args, dir, status, text, out, log)
	}
}

// contents is what a directory, or a file, has, by name.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		all[name] = fmt.Sprintf("%v %d bytes, %016x", info.Mode(), len(data), xxh3.Hash(data))
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "not a directory") {
		t.Fatal(err)
	}
	return all
}
