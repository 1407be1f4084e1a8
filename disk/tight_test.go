package disk_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// tightNode has a directory of a MiB, a fifth of which is full of values as large as a segment.
func tightNode(t *testing.T) (d *crashfs.FS, overwrite func(i int) error, end func()) {
	d = crashfs.New(crashDir)
	n := start(t, disk.Options{Dir: crashDir, FS: d, MaxBytes: 1 << 20, SegmentBytes: 32 << 10})
	version := kv.VersionAt(time.Now())
	overwrite = func(i int) error {
		version = version.Next()
		r := kv.Record{Key: fmt.Append(nil, "k", i%6), Entry: kv.Entry{Version: version, Value: make([]byte, 32<<10)}}
		_, err := n.store.Apply(kv.Hash(r.Key), &r)
		return err
	}
	return d, overwrite, n.close
}

// Who overwrites values at the bound, faster than the cleaner makes room, waits for it. Nothing is
// refused, and the directory takes no more than it may.
func TestOverwritingAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, overwrite, end := tightNode(t)
		d.Fault(func(f *crashfs.Faults) { f.Slow = func(string) { time.Sleep(20 * time.Millisecond) } })
		refused, most := 0, int64(0)
		for i := range 300 {
			if overwrite(i) != nil {
				refused++
			}
			most = max(most, d.Used())
		}
		if refused > 0 || most > 1<<20 {
			t.Errorf("%d of 300 are refused, and it takes %d bytes", refused, most)
		}
		end()
	})
}

// A cleaner that takes long has nobody wait for long: the write is refused as on a full disk. When
// there is room writes are taken again.
func TestBoundAndASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, overwrite, end := tightNode(t)
		d.Fault(func(f *crashfs.Faults) { f.Slow = func(string) { time.Sleep(3 * time.Second) } })
		var refusal error
		for i := 0; refusal == nil && i < 300; i++ {
			began := time.Now()
			if refusal = overwrite(i); time.Since(began) > 2*time.Second {
				t.Errorf("%v after %v", refusal, time.Since(began))
			}
		}
		if !errors.Is(refusal, kv.ErrDiskFull) {
			t.Error(refusal)
		}
		d.Fault(func(f *crashfs.Faults) { f.Slow = nil })
		time.Sleep(10 * time.Second)
		if err := overwrite(1); err != nil {
			t.Errorf("when there is room: %v", err)
		}
		end()
	})
}
