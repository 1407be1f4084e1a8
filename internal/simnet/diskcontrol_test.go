package simnet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/dataplane"
	"httpdhs/disk"
	"httpdhs/internal/crashfs"
)

// withDisks gives a run disks that sync always, and no faults but one.
func withDisks(s *Shape, f *Fault) {
	s.Members = nil
	s.Disks = &Disks{Sync: disk.SyncAlways, Segment: 2 << 10}
	s.Faults, s.AtOnce, s.Span = nil, false, 6*time.Second
	s.settled(newChance(s.Seed, streamDisks))
	if f != nil {
		f.A = s.places()[:max(len(f.Pauses), 1)]
		s.Faults = []*Fault{f}
	}
}

// hasty says that all lasts, and does not wait for it.
type hasty struct{ dataplane.Store }

func (hasty) Durable(time.Time) error { return nil }

// A store that says that all lasts before it does is found out.
func TestControlNotDurable(t *testing.T) {
	finds(t, Rules{}, []string{"acks"}, func(s *Shape) {
		withDisks(s, nil)
		everywhere(s, func(inner dataplane.Store) dataplane.Store { return hasty{inner} })
	})
}

// patient waits for the disk as long as it takes.
type patient struct{ dataplane.Store }

func (p patient) Durable(until time.Time) error { return p.Store.Durable(until.Add(time.Hour)) }

// So is a store that waits for a slow disk beyond the deadline of a call.
func TestControlDurableTooLong(t *testing.T) {
	finds(t, Rules{}, []string{"late"}, func(s *Shape) {
		withDisks(s, &Fault{Kind: SlowDisk, At: time.Second, For: 4 * time.Second})
		everywhere(s, func(inner dataplane.Store) dataplane.Store { return patient{inner} })
	})
}

// So is a log of which the last segment is not loaded.
func TestControlLastSegment(t *testing.T) {
	finds(t, Rules{}, []string{"disk"}, func(s *Shape) {
		withDisks(s, &Fault{Kind: Killed, At: 3 * time.Second, For: time.Second})
		s.Disks.Found = func(fs *crashfs.FS) {
			names, _ := fs.List(dataDir) // none before the first start
			names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".log") })
			if len(names) > 1 {
				_ = fs.Vanish(dataDir + "/" + names[len(names)-1]) // it is there
			}
		}
	})
}

// So is a node that has its disk, and says that a key does not exist before it has compared what it
// holds with the others.
func TestControlAbsentAfterStart(t *testing.T) {
	finds(t, Rules{}, []string{"absent"}, func(s *Shape) {
		withDisks(s, &Fault{Kind: Stale, At: 4 * time.Second, For: 20 * time.Millisecond, By: -time.Second})
		s.Pause /= 4
		s.RestTime = 5 * time.Second // it never comes to rest
		everywhere(s, func(inner dataplane.Store) dataplane.Store { return forgetful{inner} })
	})
}

// So is a node that goes on with the disk of long ago: what the others have forgotten that it was
// deleted comes back.
func TestControlStaleDisk(t *testing.T) {
	finds(t, Rules{}, []string{"deleted", "copies"}, func(s *Shape) {
		withDisks(s, nil)
		s.drawLong(newChance(s.Seed, streamDisks))
		s.Disks.Trusting, s.Deletes = true, 0.6
		s.Faults = []*Fault{{Kind: Stale, At: s.Span - time.Second, For: time.Second, By: -s.Grace - 20*time.Second, A: s.places()[:2]}}
	})
}

// So are nodes that promise to sync each write, and sync once a second: when all lose their power,
// what was acknowledged is gone.
func TestControlSyncsTooLate(t *testing.T) {
	for _, property := range []string{"disk", "lost", "counter"} {
		finds(t, Rules{}, []string{property}, func(s *Shape) {
			withDisks(s, &Fault{Kind: Powerless, At: 3 * time.Second, For: time.Second, Pauses: make([]time.Duration, s.Nodes)})
			s.Disks.Late, s.Adders = true, 3
		})
	}
}
