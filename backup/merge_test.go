package backup

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
)

// Of each key the newest version of all nodes counts. A delete counts, whoever has it and however
// old it is, and an expired value is none. What one node has dropped others may still hold.
func TestTheNewestVersionCounts(t *testing.T) {
	a, b := newNode(t, "a:1", disk.Options{}), newNode(t, "b:1", disk.Options{})
	deleted := func(key string, version kv.Version) kv.Record {
		return kv.Record{Key: []byte(key), Entry: kv.Entry{Version: version << 10, Tombstone: true}}
	}
	expiring := func(key string, in time.Duration) kv.Record {
		r := value(key, 5, "v")
		r.Expires = time.Now().Add(in).UnixMilli()
		return r
	}
	a.put(value("newer at b", 1, "old"))
	b.put(value("newer at b", 2, "new"))
	a.put(value("newer at a", 2, "new"))
	b.put(value("newer at a", 1, "old"))
	a.put(value("deleted at b", 1, "old"))
	must(t, b.restore(deleted("deleted at b", 2)))
	must(t, a.restore(deleted("deleted at a", 2)))
	b.put(value("deleted at a", 1, "old"))
	must(t, a.restore(deleted("back again", 2)))
	b.put(value("back again", 3, "new"))
	a.put(expiring("expired", time.Minute))
	a.put(expiring("expires", time.Hour))
	a.put(value("dropped by a", 1, "old"))
	a.put(value("gone", 1, "old"))
	for _, key := range []string{"dropped by a", "gone"} {
		a.store.Drop(int(kv.HashString(key) >> (64 - 6)))
	}
	b.put(value("dropped by a", 1, "old"))
	a.put(value("after the drop", 1, "new"))
	want := map[string]string{"newer at b": "new", "newer at a": "new", "back again": "new", "expires": "v", "dropped by a": "old", "after the drop": "new"}
	for _, nodes := range [][]*node{{a, b}, {b, a}} {
		name := filepath.Join(t.TempDir(), "dir")
		write(t, name, nodes)
		later := func() time.Time { return time.Now().Add(10 * time.Minute) }
		if got, _ := mergedAt(t, name, MergeOptions{}, later); !maps.Equal(got, want) {
			t.Errorf("%s first: %v, want %v", nodes[0].name, got, want)
		}
	}
}

// restore puts a record into the store that would be collected by now.
func (n *node) restore(r kv.Record) error {
	offer := []kv.Offer{{Hash: kv.Hash(r.Key), Record: &r}}
	n.store.Restore(offer)
	return offer[0].Err
}

// Whatever nodes write and drop, a backup comes to what they hold together, and so it does where
// there is memory for a share of it at a time.
func TestMergeIsThatOfAModel(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 14))
		var nodes []*node
		for i := range 1 + r.IntN(4) {
			nodes = append(nodes, newNode(t, fmt.Sprint("n:", i+1), disk.Options{SegmentBytes: 64 << 10}))
		}
		for i := range 6000 {
			n := nodes[r.IntN(len(nodes))]
			rec := value(fmt.Sprint("key", r.IntN(1500)), kv.Version(i+1), strings.Repeat(fmt.Sprint(i), r.IntN(300)))
			switch {
			case r.IntN(200) == 0:
				n.store.Drop(r.IntN(partitions))
				continue
			case r.IntN(6) == 0:
				rec.Tombstone, rec.Value = true, nil
			}
			must(t, n.restore(rec))
		}
		want, newest := make(map[string]string), make(map[string]kv.Entry)
		for _, n := range nodes {
			for p := range partitions {
				n.store.Scan(p, 0, func(_ uint64, rec *kv.Record) bool {
					if was := newest[string(rec.Key)]; rec.Supersedes(&was) {
						newest[string(rec.Key)] = kv.Entry{Version: rec.Version, Tombstone: rec.Tombstone, Value: append([]byte(nil), rec.Value...)}
					}
					return true
				})
			}
		}
		for key, e := range newest {
			if !e.Tombstone {
				want[key] = string(e.Value)
			}
		}
		name := filepath.Join(t.TempDir(), forms[seed%3])
		write(t, name, nodes)
		if got, shares := merged(t, name, MergeOptions{}); !maps.Equal(got, want) || shares != 1 {
			t.Errorf("seed %d: %d values in %d shares, want %d", seed, len(got), shares, len(want))
		}
	}
}

// With little memory a backup is read in several shares, which take no more than they may. With too
// little for one partition it is not read.
func TestSharesTakeWhatTheyMay(t *testing.T) {
	var nodes []*node
	for i := range 3 {
		nodes = append(nodes, newNode(t, fmt.Sprint("n:", i+1), disk.Options{SegmentBytes: 1 << 20}))
	}
	want := make(map[string]string)
	for i := range 12000 {
		key, text := fmt.Sprint("key", i), strings.Repeat("x", 2000+i%500)
		nodes[i%3].put(value(key, 1, text))
		nodes[(i+1)%3].put(value(key, 1, text))
		want[key] = text
	}
	name := filepath.Join(t.TempDir(), "file.tar")
	write(t, name, nodes)
	src, err := Open(name)
	must(t, err)
	overhead := src.Overhead() + partitions*partitionBytes
	must(t, src.Close())
	got, shares := merged(t, name, MergeOptions{MaxMemory: overhead + budgetLeast})
	if !maps.Equal(got, want) || shares < 4 || shares > 32 {
		t.Errorf("%d values in %d shares, want %d", len(got), shares, len(want))
	}
	src, err = Open(name)
	must(t, err)
	defer src.Close()
	if _, err := NewMerger(src, MergeOptions{MaxMemory: src.Overhead()}); !errors.Is(err, ErrTooLittle) {
		t.Errorf("with no memory: %v", err)
	}
	m, err := NewMerger(src, MergeOptions{MaxMemory: overhead + budgetLeast})
	must(t, err)
	m.budget = 200 << 10 // less than a partition
	if _, err := m.Next(t.Context()); !errors.Is(err, ErrTooLittle) {
		t.Errorf("with less than a partition takes: %v", err)
	}
}

// A backup that is damaged is not read, unless what there is of it will do. That is known before
// the first share.
func TestADamagedBackupIsNotRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "dir")
	write(t, name, twoNodes(t))
	path := filepath.Join(name, "127.0.0.1_2", "00000002.log")
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
	src, err := Open(name)
	must(t, err)
	m, err := NewMerger(src, MergeOptions{MaxMemory: 1 << 30})
	must(t, err)
	if _, err := m.Next(t.Context()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "127.0.0.1_2") {
		t.Errorf("it is read: %v", err)
	}
	must(t, src.Close())
	got, _ := merged(t, name, MergeOptions{Partial: true})
	if len(got) < 1000 || len(got) >= 2000 {
		t.Errorf("%d values are left", len(got))
	}
	must(t, os.Remove(filepath.Join(name, "127.0.0.1_2", "meta")))
	src, err = Open(name)
	must(t, err)
	defer src.Close()
	m, err = NewMerger(src, MergeOptions{MaxMemory: 1 << 30})
	must(t, err)
	if _, err := m.Next(t.Context()); !errors.Is(err, disk.ErrFormat) {
		t.Errorf("without a meta: %v", err)
	}
	if got, _ := merged(t, name, MergeOptions{Partial: true}); len(got) != 1000 {
		t.Errorf("%d values are left without a meta", len(got))
	}
}

// Two backups of one node, and nodes of two clusters, are not put together.
func TestOneClusterAtATime(t *testing.T) {
	nodes := twoNodes(t)
	dir := t.TempDir()
	for _, name := range []string{"x", "y"} {
		write(t, filepath.Join(dir, name), nodes[:1])
		must(t, os.Rename(filepath.Join(dir, name, "127.0.0.1_1"), filepath.Join(dir, name+"1")))
		must(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	src, err := Open(dir)
	must(t, err)
	defer src.Close()
	if len(src.Dirs) != 2 {
		t.Fatalf("%d directories", len(src.Dirs))
	}
	m, err := NewMerger(src, MergeOptions{MaxMemory: 1 << 30})
	must(t, err)
	if _, err := m.Next(t.Context()); err == nil || err == io.EOF || !strings.Contains(err.Error(), "two directories") {
		t.Errorf("they are put together: %v", err)
	}
}
