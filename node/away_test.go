package node_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/poll"
	"httpdhs/internal/testcluster"
	"httpdhs/kv"
	"httpdhs/node"
)

const day = 24 * time.Hour

// A node that was away for longer than the grace, while the others went on, may have missed deletes
// that nobody remembers. It starts empty, and what was deleted stays deleted. One that was away for
// less goes on with what it has.
func TestANodeThatWasAwayForLongStartsEmpty(t *testing.T) {
	t.Parallel()
	for ago, empty := range map[time.Duration]bool{3 * time.Hour: true, 20 * time.Minute: false} {
		t.Run(ago.String(), func(t *testing.T) {
			t.Parallel()
			c, disks := onDisks(t, 3, nil)
			all := keys("key", 50)
			for n, key := range all {
				mustPut(t, c, n%3, key, "of "+key, "?w=all")
			}
			c.Kill(2)
			disks[2].wasInSync(ago)
			for _, key := range all[:10] {
				if r := c.Do(0, "DELETE", "/db/"+key, ""); r.Status != 204 {
					t.Errorf("DELETE %s: %d %s", key, r.Status, r.Body)
				}
			}
			c.Reopen(2)
			c.AwaitReady()
			if got := disks[2].timesEmptied() > 0; got != empty {
				t.Errorf("it started empty: %v", got)
			}
			if want := "away longer than half of --tombstone-grace (3h0m"; empty && !c.Logged(2, want) {
				t.Error("it does not say why")
			}
			for n, key := range all {
				if n < 10 {
					wantStatus(t, c.Get(2, key), 404)
				} else {
					wantValue(t, c, key, "of "+key, 2)
				}
			}
			c.Eventually("it keeps that it is in sync", func() error {
				if at := disks[2].InSyncAt(); time.Since(at) > time.Minute {
					return fmt.Errorf("%v", at)
				}
				return nil
			})
		})
	}
}

// A node that crashes before it was ever in sync has what it acknowledged since its disk was made.
// It keeps that where the disk is younger than the grace, and starts empty where nobody knows.
func TestWhoWasNeverInSyncKeepsWhatItStored(t *testing.T) {
	t.Parallel()
	for ago, empty := range map[time.Duration]bool{20 * time.Minute: false, 3 * time.Hour: true, 0: true} {
		t.Run(ago.String(), func(t *testing.T) {
			t.Parallel()
			c, disks := onDisks(t, 2, nil)
			mustPut(t, c, 0, "key", "value", "?w=all")
			c.Kill(1)
			disks[1].neverInSync(ago)
			c.Reopen(1)
			c.AwaitReady()
			if got := disks[1].timesEmptied() > 0; got != empty {
				t.Errorf("it started empty: %v", got)
			}
			wantValue(t, c, "key", "value", 1)
		})
	}
}

// neverInSync has the disk be so old, and its node never in sync; 0: it does not know its age.
func (d *memoryDisk) neverInSync(ago time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at = (time.Time{}); ago > 0 {
		d.began = time.Now().Add(-ago)
	}
}

// powerCut has all nodes crash, and sets when each was in sync.
func powerCut(c *testcluster.Cluster, disks []*memoryDisk, ago ...time.Duration) {
	for i := range disks {
		c.Kill(i)
	}
	for i, d := range disks {
		d.wasInSync(ago[i])
	}
}

// All nodes were down for longer than the grace. None serves before all are there, for any may have
// gone on. Then all go on with what they had, but for one that had been dead for a week before.
func TestAfterALongPowerCut(t *testing.T) {
	t.Parallel()
	for name, ago := range map[string][]time.Duration{
		"of all":                   {day, day, day + time.Second},
		"one was dead for a week":  {day, day + time.Second, 7 * day},
		"and clocks were ahead":    {-day, -day, -day},
		"they had never been more": {day, day, day}, // with one owner a key
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, disks := onDisks(t, 3, func(_ int, cfg *node.Config) {
				if strings.Contains(name, "never") {
					cfg.Replicas = 1
				}
			})
			all := keys("key", 60)
			for n, key := range all {
				mustPut(t, c, n%3, key, "of "+key, "?w=all")
			}
			powerCut(c, disks, ago...)
			c.Reopen(0)
			c.Reopen(1)
			for i := range 2 {
				readyz(t, c, i, 503, "waits for "+c.Name(2))
				wantStatus(t, c.Get(i, all[0]), 503)
			}
			if r := c.Do(0, "GET", "/readyz", ""); !strings.Contains(r.Body, "httpdhs recover --accept-loss "+c.Name(0)) || strings.Contains(r.Body, c.Name(1)) {
				t.Errorf("/readyz: %s", r.Body)
			}
			c.Reopen(2)
			c.AwaitReady()
			for i, d := range disks {
				if got, want := d.timesEmptied() > 0, ago[i] > 2*day; got != want {
					t.Errorf("node %d started empty: %v", i, got)
				}
			}
			for n, key := range all {
				wantValue(t, c, key, "of "+key, n%3)
			}
		})
	}
}

// A node that waits for others can be stopped.
func TestANodeEndsWhileItWaits(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 2, nil)
	mustPut(t, c, 0, "key", "value", "?w=all")
	powerCut(c, disks, day, day)
	c.Reopen(0)
	readyz(t, c, 0, 503, "waits for "+c.Name(1))
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// A node with the disk of one cluster is not taken into another. It ends, and both are as before.
func TestANodeWithTheDiskOfAnotherCluster(t *testing.T) {
	t.Parallel()
	other := testcluster.Start(t, testcluster.Options{Nodes: 1})
	stray := false
	c, disks := onDisks(t, 2, func(i int, cfg *node.Config) {
		if stray {
			cfg.Join = []string{other.Name(0)}
		}
	})
	mustPut(t, c, 0, "key", "value", "?w=all")
	c.Kill(1)
	before := disks[1].known(t)
	stray = true
	c.Reopen(1)
	select {
	case err := <-c.Node(1).Failed():
		if want := "another cluster answers at " + other.Name(0); !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("failed with %v, want %s", err, want)
		}
	case <-time.After(poll.Patience):
		t.Fatal("it does not fail")
	}
	for i, want := range map[*testcluster.Cluster]int{c: 2, other: 1} {
		if got := len(i.View(0).Nodes); got != want {
			t.Errorf("a cluster of %d nodes has %d", want, got)
		}
	}
	if after := disks[1].known(t); fmt.Sprint(after) != fmt.Sprint(before) || disks[1].timesEmptied() > 0 {
		t.Errorf("it keeps %v, want %v", after, before)
	}
	wantStatus(t, c.Do(1, http.MethodGet, "/db/key", ""), 503)
	wantStatus(t, other.Get(0, "key"), 404)
}

// An operator gives up the node that does not come back. The one that is asked goes on with what it
// holds, and so does another that waited: it hears that there is nobody left to wait for. The
// answer before that says what would be done, and nothing is.
func TestAnOperatorGivesUpWhoDoesNotComeBack(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 3, nil)
	all := keys("key", 60)
	for n, key := range all {
		mustPut(t, c, n%3, key, "of "+key, "?w=all")
	}
	powerCut(c, disks, day, day, day)
	c.Reopen(0)
	c.Reopen(1)
	for i := range 2 {
		readyz(t, c, i, 503, "waits for "+c.Name(2))
	}
	r := c.Do(0, "POST", "/cluster/recover", "")
	wantStatus(t, r, 400)
	for _, want := range []string{"go on with what it holds", "what is down: " + c.Name(2) + ";"} {
		if !strings.Contains(r.Body, want) {
			t.Errorf("%s does not say %q", r.Body, want)
		}
	}
	readyz(t, c, 0, 503, "waits for "+c.Name(2))
	r = c.Do(0, "POST", "/cluster/recover?accept_loss=true", "")
	wantStatus(t, r, 200)
	for _, want := range []string{`"released":true`, `"removed":["` + c.Name(2) + `"]`} {
		if !strings.Contains(r.Body, want) {
			t.Errorf("%s has no %s", r.Body, want)
		}
	}
	c.AwaitRing(0, 1)
	c.AwaitReady()
	for n, key := range all {
		wantValue(t, c, key, "of "+key, n%2)
	}
	if !c.Logged(0, "LOSS ACCEPTED") {
		t.Error("the log does not say so")
	}
	c.Reopen(2) // after all: it holds what it held, and joins again
	c.AwaitRing(0, 1, 2)
	for i, d := range disks {
		if d.timesEmptied() > 0 {
			t.Errorf("node %d started empty", i)
		}
	}
}

// A node that still loads is asked to wait. One that waits for nobody removes what is down.
func TestRecoverRemovesWhatIsDown(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 3, nil)
	c.Kill(2)
	c.Kill(1)
	release := disks[1].holdLoad(7)
	defer release()
	c.Reopen(1)
	readyz(t, c, 1, 503, "loading: 7 %")
	r := c.Do(1, "POST", "/cluster/recover?accept_loss=true", "")
	if wantStatus(t, r, 503); !strings.Contains(r.Body, "loading: 7 %") {
		t.Errorf("%s", r.Body)
	}
	c.AwaitState(1, api.StateDown, 0)
	c.AwaitState(2, api.StateDown, 0)
	r = c.Do(0, "POST", "/cluster/recover", "")
	if wantStatus(t, r, 400); !strings.Contains(r.Body, "what is down: "+c.Name(2)+";") {
		t.Errorf("%s", r.Body)
	}
	r = c.Do(0, "POST", "/cluster/recover?accept_loss=true", "")
	wantStatus(t, r, 200)
	for _, want := range []string{`"released":false`, `"removed":["` + c.Name(2) + `"]`, `"starting":["` + c.Name(1) + `"]`} {
		if !strings.Contains(r.Body, want) {
			t.Errorf("%s has no %s", r.Body, want)
		}
	}
	release()
	c.AwaitRing(0, 1)
}

// What a node has that left long ago is stale, and it need not ask for that: it is a newcomer.
func TestWhoHasLeftLongAgoStartsEmpty(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 3, nil)
	c.Leave(2)
	disks[2].Put(0, &kv.Record{Key: []byte("stale"), Entry: kv.Entry{Version: kv.VersionAt(time.Now().Add(-2 * day)), Value: []byte("v")}})
	disks[2].wasInSync(2 * day)
	c.Reopen(2)
	c.AwaitRing(0, 1, 2)
	c.AwaitReady()
	if disks[2].timesEmptied() != 1 || !c.Logged(2, "no member any more: starts empty") {
		t.Error("it goes on with what it had")
	}
	wantStatus(t, c.Get(2, "stale"), 404)
}
