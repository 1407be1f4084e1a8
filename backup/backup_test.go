package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/shard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 64

// node is a node's store, on a disk.
type node struct {
	t     testing.TB
	name  string
	log   *disk.Log
	store *shard.Store
}

func newNode(t testing.TB, name string, o disk.Options) *node {
	t.Helper()
	n := &node{t: t, name: name}
	o.Dir = t.TempDir()
	o.Identity = disk.Identity{Node: name, Partitions: partitions, Settings: "--replicas=2"}
	var err error
	n.log, err = disk.Open(o)
	must(t, err)
	n.store, err = shard.Open(shard.Options{Partitions: partitions, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1, Journal: n.log})
	must(t, err)
	must(t, n.log.Load(t.Context(), n.store))
	t.Cleanup(func() { must(t, errors.Join(n.log.Close(), n.store.Close())) })
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) put(r kv.Record) {
	n.t.Helper()
	_, err := n.store.Apply(kv.Hash(r.Key), &r)
	must(n.t, err)
}

// tar is what the node sends for a backup.
func (n *node) tar() []byte {
	n.t.Helper()
	b, err := n.log.Backup()
	must(n.t, err)
	defer b.Close()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range b.Parts {
		p := &b.Parts[i]
		r, err := p.Open()
		must(n.t, err)
		must(n.t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "any/" + p.Name, Size: p.Size}))
		_, err = io.Copy(w, io.LimitReader(r, p.Size))
		must(n.t, errors.Join(err, r.Close()))
	}
	must(n.t, w.Close())
	return out.Bytes()
}

func value(key string, version kv.Version, value string) kv.Record {
	return kv.Record{Key: []byte(key), Entry: kv.Entry{Version: version << 10, Value: []byte(value)}}
}

// twoNodes have many keys in common.
func twoNodes(t testing.TB) []*node {
	nodes := []*node{newNode(t, "127.0.0.1:1", disk.Options{SegmentBytes: 16 << 10}), newNode(t, "127.0.0.1:2", disk.Options{SegmentBytes: 16 << 10})}
	for i := range 2000 {
		nodes[i%2].put(value(fmt.Sprint("key", i), 1, strings.Repeat("x", i%200)))
	}
	return nodes
}

// write writes a backup of nodes.
func write(t testing.TB, name string, nodes []*node) []Checked {
	t.Helper()
	w, err := Create(name)
	must(t, err)
	for _, n := range nodes {
		sent := n.tar()
		written, err := w.Add(n.name, bytes.NewReader(sent))
		if err != nil || written != int64(len(sent)) {
			t.Errorf("%d bytes of %d are written: %v", written, len(sent), err)
		}
	}
	checked, err := w.Finish(t.Context(), nil)
	must(t, err)
	must(t, errors.Join(w.Keep(), w.Discard()))
	return checked
}

var forms = []string{"dir", "file.tar", "file.tar.zst"}

// merged are the values that a backup comes to, and in how many shares.
func merged(t testing.TB, name string, o MergeOptions) (values map[string]string, shares int) {
	t.Helper()
	return mergedAt(t, name, o, time.Now)
}

func mergedAt(t testing.TB, name string, o MergeOptions, now func() time.Time) (values map[string]string, shares int) {
	t.Helper()
	src, err := Open(name)
	must(t, err)
	defer src.Close()
	if o.MaxMemory == 0 {
		o.MaxMemory = src.Overhead() + 64<<20
	}
	m, err := NewMerger(src, o)
	must(t, err)
	values = make(map[string]string)
	for {
		s, err := m.Next(t.Context())
		if err == io.EOF {
			return values, shares
		}
		must(t, err)
		shares++
		for r := range s.Values(now) {
			if _, twice := values[string(r.Key)]; twice {
				t.Errorf("%s comes twice", r.Key)
			}
			values[string(r.Key)] = string(r.Value)
		}
		must(t, s.Close())
	}
}

// In each form a backup has the directory of each node, and what the nodes hold together. What is
// there is not overwritten, and nothing else is left behind.
func TestFormsOfABackup(t *testing.T) {
	nodes := twoNodes(t)
	for _, form := range forms {
		dir := t.TempDir()
		name := filepath.Join(dir, form)
		checked := write(t, name, nodes)
		if len(checked) != 2 {
			t.Fatalf("%s: %d directories", form, len(checked))
		}
		for i, c := range checked {
			if c.Fault() != nil || !c.Report.Clean || c.Report.Node != nodes[i].name || c.Report.Bytes == 0 {
				t.Errorf("%s: %+v", form, c)
			}
		}
		if values, _ := merged(t, name, MergeOptions{}); len(values) != 2000 {
			t.Errorf("%s: %d values", form, len(values))
		}
		if _, err := Create(name); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: it is overwritten: %v", form, err)
		}
		if names, _ := (disk.OS{}).List(dir); !slices.Equal(names, []string{form}) {
			t.Errorf("%s: left behind: %q", form, names)
		}
	}
}

// What appears under the name of a backup while it is written is not overwritten.
func TestWhatAppearsMeanwhileStays(t *testing.T) {
	for _, form := range forms {
		name := filepath.Join(t.TempDir(), form)
		w, err := Create(name)
		must(t, err)
		_, err = w.Finish(t.Context(), nil)
		must(t, err)
		must(t, os.WriteFile(name, []byte("mine"), 0o600))
		if err := w.Keep(); err == nil {
			t.Errorf("%s: it is kept", form)
		}
		must(t, w.Discard())
		if data, err := os.ReadFile(name); string(data) != "mine" {
			t.Errorf("%s: it is overwritten: %v", form, err)
		}
	}
}

// A directory of a backup is a data directory, with which the node starts.
func TestADirectoryOfABackupStartsANode(t *testing.T) {
	nodes := twoNodes(t)
	name := filepath.Join(t.TempDir(), "dir")
	write(t, name, nodes)
	log, err := disk.Open(disk.Options{
		Dir: filepath.Join(name, "127.0.0.1_1"), Identity: disk.Identity{Node: "127.0.0.1:1", Partitions: partitions, Settings: "--replicas=2"},
	})
	must(t, err)
	store, err := shard.Open(shard.Options{Partitions: partitions, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1, Journal: log})
	must(t, err)
	must(t, log.Load(t.Context(), store))
	if keys := store.Stats().Keys; keys != 1000 {
		t.Errorf("%d keys", keys)
	}
	if _, err := Open(name); err != nil {
		t.Error(err)
	}
	src, err := Open(filepath.Join(name, "127.0.0.1_1"))
	must(t, err)
	checked, err := src.Check(t.Context())
	must(t, err)
	if !errors.Is(checked[0].Err, disk.ErrInUse) {
		t.Errorf("a directory that is in use is read: %v", checked[0].Err)
	}
	must(t, errors.Join(src.Close(), log.Close(), store.Close()))
}

// What a node sends is a backup only if it is whole. Else nothing of the node is in the backup, and
// the other nodes are.
func TestWhatANodeSendsHasToBeWhole(t *testing.T) {
	nodes := twoNodes(t)
	sent := nodes[0].tar()
	file := func(name string, kind byte) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		must(t, w.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Linkname: "/etc/passwd"}))
		must(t, w.Flush())
		return append(out.Bytes(), sent...)
	}
	end := "the connection broke"
	for what, send := range map[string]struct {
		data []byte
		then error
	}{
		"cut in a file":         {sent[:len(sent)/2], io.EOF},
		"cut before the meta":   {sent[:len(sent)-4096], io.EOF},
		"broken off":            {sent[:9000], errors.New(end)},
		"broken off at its end": {sent, errors.New(end)},
		"nothing":               {nil, io.EOF},
		"another name":          {file("../../evil", tar.TypeReg), io.EOF},
		"a link":                {file("meta", tar.TypeSymlink), io.EOF},
		"a file twice":          {file("00000001.log", tar.TypeReg), io.EOF},
		"more after the meta":   {file("meta", tar.TypeReg), io.EOF},
	} {
		for _, form := range forms {
			name := filepath.Join(t.TempDir(), form)
			w, err := Create(name)
			must(t, err)
			if _, err := w.Add("127.0.0.1:1", io.MultiReader(bytes.NewReader(send.data), failing{send.then})); err == nil {
				t.Errorf("%s, %s: it is taken", form, what)
			}
			_, err = w.Add("127.0.0.1:2", bytes.NewReader(nodes[1].tar()))
			must(t, err)
			checked, err := w.Finish(t.Context(), []Missing{{"127.0.0.1:1", what}})
			must(t, errors.Join(err, w.Keep(), w.Discard()))
			if len(checked) != 1 || checked[0].Fault() != nil || checked[0].Report.Node != "127.0.0.1:2" {
				t.Errorf("%s, %s: %+v", form, what, checked)
			}
			src, err := Open(name)
			must(t, err)
			if _, err := NewMerger(src, MergeOptions{MaxMemory: 1 << 30}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), what) {
				t.Errorf("%s, %s: what lacks is not said: %v", form, what, err)
			}
			must(t, src.Close())
			if values, _ := merged(t, name, MergeOptions{Partial: true}); len(values) != 1000 {
				t.Errorf("%s, %s: %d values", form, what, len(values))
			}
		}
	}
}

// failing is how what is sent ends.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A backup that was given up leaves nothing behind. One that is not finished, since its process was
// killed, is not opened.
func TestABackupThatIsGivenUp(t *testing.T) {
	nodes := twoNodes(t)
	for _, form := range forms {
		dir := t.TempDir()
		w, err := Create(filepath.Join(dir, form))
		must(t, err)
		_, err = w.Add(nodes[0].name, bytes.NewReader(nodes[0].tar()))
		must(t, err)
		names, err := disk.OS{}.List(dir)
		must(t, err)
		if len(names) != 1 || !strings.Contains(names[0], incomplete) {
			t.Fatalf("%s: %q", form, names)
		}
		if _, err := Open(filepath.Join(dir, names[0])); err == nil {
			t.Errorf("%s: it is opened", form)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Finish(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", form, err)
		}
		must(t, w.Discard())
		if names, _ := (disk.OS{}).List(dir); len(names) > 0 {
			t.Errorf("%s: left behind: %q", form, names)
		}
	}
}

// Nodes whose names make one directory have two.
func TestNamesThatAreAlike(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "dir"))
	must(t, err)
	for _, want := range []string{"a_1", "a_1-2", "a_1-3", "backup.json-2"} {
		if got := w.dirOf(map[bool]string{true: "backup.json", false: "a:1"}[want == "backup.json-2"]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	must(t, w.Discard())
}

// A packed file is read at any place, and any program unpacks it. One that is cut or changed is
// not read as something else.
func TestPacked(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 14))
	for _, size := range []int{0, 1, frameBytes - 1, frameBytes, frameBytes + 1, 5*frameBytes + 77} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(r.IntN(4))
		}
		var out bytes.Buffer
		p, err := newPacker(&out)
		must(t, err)
		for rest := plain; len(rest) > 0; {
			n := min(1+r.IntN(700_000), len(rest))
			_, err := p.Write(rest[:n])
			must(t, err)
			rest = rest[n:]
		}
		must(t, p.Close())
		file := out.Bytes()
		dec, err := zstd.NewReader(bytes.NewReader(file))
		must(t, err)
		got, err := io.ReadAll(dec)
		dec.Close()
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes are unpacked as %d: %v", size, len(got), err)
		}
		in, err := openPacked(bytes.NewReader(file), int64(len(file)))
		must(t, err)
		if in.size() != int64(size) {
			t.Errorf("the size is %d, want %d", in.size(), size)
		}
		for range 50 {
			from := r.IntN(size + 1)
			b := make([]byte, r.IntN(2*frameBytes))
			n, err := in.ReadAt(b, int64(from))
			if want := min(len(b), size-from); n != want || !bytes.Equal(b[:n], plain[from:from+n]) || (n < len(b)) != (err == io.EOF) {
				t.Errorf("%d bytes at %d of %d: got %d, %v", len(b), from, size, n, err)
			}
		}
		in.close()
		for _, cut := range []int{1, 9, 30, len(file) / 2} {
			if in, err := openPacked(bytes.NewReader(file[:max(len(file)-cut, 0)]), int64(max(len(file)-cut, 0))); err == nil {
				in.close()
				t.Errorf("a file of %d bytes, cut by %d, is opened", len(file), cut)
			}
		}
	}
	once, err := zstd.NewWriter(nil)
	must(t, err)
	stream := once.EncodeAll(make([]byte, 1000), nil)
	must(t, once.Close())
	name := filepath.Join(t.TempDir(), "x.tar.zst")
	must(t, os.WriteFile(name, stream, 0o600))
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), "zstd -d") {
		t.Errorf("packed by another program: %v", err)
	}
}

// A packed file that is cut anywhere is said to be cut, and so is a tar. One whose table is damaged
// is not.
func TestCutFile(t *testing.T) {
	dir, r := t.TempDir(), rand.New(rand.NewPCG(1, 15))
	plain := make([]byte, 3*frameBytes+77)
	for i := range plain {
		plain[i] = byte(r.IntN(4))
	}
	var out, archive bytes.Buffer
	p, err := newPacker(&out)
	must(t, err)
	_, err = p.Write(plain)
	must(t, err)
	must(t, p.Close())
	w := tar.NewWriter(&archive)
	for _, name := range []string{"a/00000001.log", "a/meta"} {
		must(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 2048}))
		_, err = w.Write(plain[:2048])
		must(t, err)
	}
	must(t, w.Close())
	open := func(file []byte) error {
		name := filepath.Join(dir, "x")
		must(t, os.WriteFile(name, file, 0o600))
		s, err := Open(name)
		if err == nil {
			err = s.Close()
		}
		return err
	}
	packed, err := openPacked(bytes.NewReader(out.Bytes()), int64(out.Len()))
	must(t, err)
	packed.close()
	cuts := []int64{zstd.HeaderMaxSize + 1, packed.at[1] + 1, packed.at[1] + 20, packed.at[2], packed.at[4], packed.at[4] + 9}
	for range 100 {
		cuts = append(cuts, 4+r.Int64N(int64(out.Len()-4)))
	}
	for _, cut := range append(cuts, int64(out.Len()-1)) {
		if err := open(out.Bytes()[:cut]); !errors.Is(err, errCut) {
			t.Errorf("a packed file of %d bytes, cut at %d: %v", out.Len(), cut, err)
		}
	}
	changed := slices.Clone(out.Bytes())
	changed[len(changed)-1] ^= 1
	if err := open(changed); !errors.Is(err, errNotSeekable) {
		t.Errorf("a damaged table: %v", err)
	}
	must(t, open(archive.Bytes()))
	for _, cut := range []int{0, 1, 511, 512, 600, 512 + 2048, archive.Len() - 1024, archive.Len() - 1} {
		if err := open(archive.Bytes()[:cut]); !errors.Is(err, errCut) {
			t.Errorf("a tar of %d bytes, cut at %d: %v", archive.Len(), cut, err)
		}
	}
}

// What is no backup is said to be none.
func TestWhatIsNoBackup(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{"": "no backup", "none": "no such file", "text": "no whole tar", "empty": "cut short"} {
		switch name {
		case "text":
			must(t, os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("text"), 1000), 0o600))
		case "empty":
			must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
		if _, err := Open(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}
