package test

import (
	"testing"
	"time"
)

// Three nodes that keep their data on disks are restarted one after the other, under load. No
// request fails at those that run, no key is missing at any time, and nothing is fetched but what
// a node has missed. ROLLING_KEYS is how many keys there are. Beside it stands the same without
// disks.
func TestRollingRestartOnDisks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		onDisk bool
	}{{"on disks", true}, {"in memory", false}} {
		t.Run(c.name, func(t *testing.T) {
			if !c.onDisk && rollingKeys == rollingDaily && !soak {
				t.Skip("for comparison: ROLLING_KEYS asks for it")
			}
			var f *fleet
			if c.onDisk {
				f = startOnDisks(t, 3)
			} else {
				f = newFleet(t, 3)
				f.startAll()
			}
			w := newWitness(f, "rolling-", rollingKeys, "", 0, 1, 2)
			w.begin()
			w.more(100)
			began := time.Now()
			var fetched, writes int64
			for i := range 3 {
				w.withdraw(i)
				wrote := w.done.Load()
				f.stop(i)
				w.more(50) // it misses some
				f.start(i)
				f.awaitSettled(0, 1, 2)
				fetched += f.sum(synced, i)
				writes += w.done.Load() - wrote
				w.allow(i)
			}
			took := time.Since(began)
			w.more(100)
			w.end()
			t.Logf("%d keys: three restarts took %v; %d records fetched, of %d bytes, while %d requests were made",
				rollingKeys, took.Round(time.Millisecond), fetched, fetched*int64(len(w.key(0)+w.value(0, 1))), writes)
			if c.onDisk && fetched > writes {
				t.Errorf("%d records were fetched, and no more than %d can have been missed", fetched, writes)
			}
			w.conclude(2, 0, 1, 2)
		})
	}
}

const rollingDaily = 5000

var rollingKeys = fromEnv("ROLLING_KEYS", rollingDaily)
