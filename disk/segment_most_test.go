package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"httpdhs/disk"
)

// SegmentMost bounds each segment of the log, whatever else says how large they are, but for the
// record that ends it. Below 1 MiB it counts as that. A log that is opened again is read whole.
func TestSegmentMost(t *testing.T) {
	const mib, value, values = 1 << 20, 16 << 10, 640
	for _, c := range []struct {
		opt  disk.Options
		want int64
	}{
		{disk.Options{SegmentMost: 2 * mib}, 2 * mib},
		{disk.Options{SegmentMost: 2 * mib, SegmentBytes: 32 * mib}, 2 * mib},
		{disk.Options{SegmentMost: 2 * mib, SegmentBytes: 3 * mib / 2}, 3 * mib / 2},
		{disk.Options{SegmentMost: 1}, mib},
	} {
		n := start(t, c.opt)
		for i := range values {
			n.put(fmt.Sprint("key", i), strings.Repeat("v", value), 1)
			if i%32 == 0 {
				if err := n.log.Sync(); err != nil { // else all that waits is written at once
					t.Fatal(err)
				}
			}
		}
		n.close()
		files, err := filepath.Glob(filepath.Join(n.opt.Dir, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		if least := values * value / int(c.want); len(files) < least {
			t.Errorf("%+v: %d segments, want %d at least", c.opt, len(files), least)
		}
		for _, name := range files {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if room := int64(2 * value); info.Size() > c.want+room {
				t.Errorf("%+v: %s has %d bytes", c.opt, filepath.Base(name), info.Size())
			}
		}
		n.open()
		if keys := n.store.Stats().Keys; keys != values {
			t.Errorf("%+v: %d keys are read, want %d", c.opt, keys, values)
		}
		n.close()
	}
}
