package disk_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
	"httpdhs/kv"
)

// A write that waits for a disk which turns out to be full is told so, whether a write or a sync
// finds out. So are those that come later. Another fault is not called so.
func TestFullDiskIsTold(t *testing.T) {
	for what, c := range map[string]struct {
		fault func(f *crashfs.Faults)
		full  bool
	}{
		"no room for a write": {func(f *crashfs.Faults) { f.WriteErr = syscall.ENOSPC }, true},
		"no quota":            {func(f *crashfs.Faults) { f.WriteErr = syscall.EDQUOT }, true},
		"no room for a sync":  {func(f *crashfs.Faults) { f.SyncErr = syscall.ENOSPC }, true},
		"a failing write":     {func(f *crashfs.Faults) { f.WriteErr = syscall.EIO }, false},
		"a failing sync":      {func(f *crashfs.Faults) { f.SyncErr = syscall.EIO }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := crashfs.New(crashDir)
			n := start(t, disk.Options{Dir: crashDir, FS: d, Sync: disk.SyncAlways})
			synctest.Wait() // what a start writes is written
			d.Fault(c.fault)
			n.put("first", "value", kv.VersionAt(time.Now()))
			err := n.store.Durable(time.Now().Add(time.Minute))
			if !errors.Is(err, kv.ErrNoDisk) || errors.Is(err, kv.ErrDiskFull) != c.full {
				t.Errorf("%s: %v", what, err)
			}
			r := kv.Record{Key: []byte("later"), Entry: kv.Entry{Version: kv.VersionAt(time.Now())}}
			if _, err := n.store.Apply(kv.Hash(r.Key), &r); !errors.Is(err, kv.ErrNoDisk) || errors.Is(err, kv.ErrDiskFull) != c.full {
				t.Errorf("%s, later: %v", what, err)
			}
			n.log.Kill()
			_ = n.store.Close()
		})
	}
}
