package disk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// However small the bound on a directory is, half of it can be filled with values. Then changes are
// refused, and deletes are not. The directory takes no more than the bound, however fast it is
// written to. What is deleted makes room.
func TestBound(t *testing.T) {
	const bound = 64 << 20
	n := start(t, disk.Options{MaxBytes: bound})
	value, version := make([]byte, 64<<10), kv.VersionAt(time.Now())
	change := func(i int, e kv.Entry) error {
		version = version.Next()
		e.Version = version
		r := kv.Record{Key: fmt.Append(nil, "k", i), Entry: e}
		_, err := n.store.Apply(kv.Hash(r.Key), &r)
		return err
	}
	stored, refused := 0, error(nil)
	for refused == nil && stored < bound/len(value)*2 {
		if refused = change(stored, kv.Entry{Value: value}); refused == nil {
			stored++
		}
	}
	if !errors.Is(refused, kv.ErrDiskFull) || stored < bound/2/len(value) {
		t.Errorf("refused after %d values: %v", stored, refused)
	}
	if err := n.log.Sync(); err != nil {
		t.Error(err)
	}
	if took := sizeOf(t, n.opt.Dir); took > bound {
		t.Errorf("the directory takes %d bytes", took)
	}
	for i := range stored * 9 / 10 {
		if err := change(i, kv.Entry{Tombstone: true}); err != nil {
			t.Fatalf("a delete is refused: %v", err)
		}
	}
	poll.Until(t, "there is room again", func() error { return change(stored, kv.Entry{Value: value}) })
	if took := sizeOf(t, n.opt.Dir); took > bound {
		t.Errorf("the directory takes %d bytes in the end", took)
	}
	n.close()
}

func sizeOf(t *testing.T, dir string) (sum int64) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil { // else it was removed
			sum += info.Size()
		}
	}
	return sum
}
