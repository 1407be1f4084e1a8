package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/disk"
	"httpdhs/internal/poll"
	"httpdhs/internal/testcluster"
	"httpdhs/kv"
	"httpdhs/node"
	"httpdhs/wire"
)

// memoryDisk is a node.Disk that outlives the node. All that it is told lasts at once.
type memoryDisk struct {
	mu      sync.Mutex                   // guards all below
	records map[int]map[string]kv.Record // by partition
	members []byte
	at      time.Time     // in sync
	began   time.Time     // of Began
	emptied int           // how often
	open    bool          // a node has it
	fails   error         // of Load
	hold    chan struct{} // Load waits until it is closed; nil: it does not
	done    int64         // of Progress, out of 100
	store   disk.Store    // as Load was given it
	live    int64         // bytes that the store held when the disk was closed
}

func (d *memoryDisk) Put(partition int, r *kv.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.records == nil {
		d.records = make(map[int]map[string]kv.Record)
	}
	if d.records[partition] == nil {
		d.records[partition] = make(map[string]kv.Record)
	}
	kept := *r
	kept.Key, kept.Value, kept.Meta = bytes.Clone(r.Key), bytes.Clone(r.Value), bytes.Clone(r.Meta)
	d.records[partition][string(r.Key)] = kept
}

func (d *memoryDisk) Drop(partition int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.records, partition)
}

func (d *memoryDisk) Admit(bool) error        { return nil }
func (d *memoryDisk) Durable(time.Time) error { return nil }
func (d *memoryDisk) Sync() error             { return nil }
func (d *memoryDisk) Fault() error            { return nil }
func (d *memoryDisk) Ran() time.Time          { return time.Time{} }
func (d *memoryDisk) Stats() (s disk.Stats)   { return s }
func (d *memoryDisk) Lost() ([]int, error)    { return nil, nil }
func (d *memoryDisk) Newest() kv.Version      { return 0 }
func (d *memoryDisk) Mend()                   {}
func (d *memoryDisk) Kill()                   { _ = d.Close() }
func (d *memoryDisk) Backup() (*disk.Backup, error) {
	return nil, fmt.Errorf("cannot back up: %w", kv.ErrNoDisk)
}

func (d *memoryDisk) Members() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.members
}

func (d *memoryDisk) KeepMembers(members []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members = members
}

func (d *memoryDisk) InSyncAt() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func (d *memoryDisk) KeepInSync(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
}

func (d *memoryDisk) Began() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.began
}

func (d *memoryDisk) Load(ctx context.Context, store disk.Store) error {
	d.mu.Lock()
	hold, fails := d.hold, d.fails
	d.store = store
	var all []kv.Record
	for _, records := range d.records {
		all = slices.AppendSeq(all, maps.Values(records))
	}
	d.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range all {
		store.Restore([]kv.Offer{{Hash: kv.Hash(all[i].Key), Record: &all[i]}})
	}
	return fails
}

func (d *memoryDisk) Progress() (done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done, 100
}

func (d *memoryDisk) Empty() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records, d.at = nil, time.Time{}
	d.emptied++
	return nil
}

func (d *memoryDisk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return errors.New("closed twice")
	}
	if d.open = false; d.store != nil {
		d.live = d.store.LiveBytes()
	}
	return nil
}

// taken gives the disk to a node.
func (d *memoryDisk) taken(t *testing.T) node.Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		t.Error("two nodes have one disk")
	}
	d.open = true
	return d
}

// wasInSync sets when the node on the disk was in sync.
func (d *memoryDisk) wasInSync(ago time.Duration) { d.KeepInSync(time.Now().Add(-ago)) }

// holdLoad has the next Load wait until the returned function is called.
func (d *memoryDisk) holdLoad(done int64) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.hold, d.done = hold, done
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hold = nil
		close(hold)
	})
}

func (d *memoryDisk) timesEmptied() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.emptied
}

// known are the members that the disk has kept.
func (d *memoryDisk) known(t *testing.T) map[string]wire.State {
	t.Helper()
	all, err := wire.ParseMembers(d.Members())
	if err != nil {
		t.Fatal(err)
	}
	states := make(map[string]wire.State)
	for _, m := range all {
		states[m.Name] = m.State
	}
	return states
}

// onDisks starts a cluster of nodes that have a disk each. A node that is started again is given
// neither list nor address. configure, where there is one, has the last word.
func onDisks(t *testing.T, nodes int, configure func(i int, cfg *node.Config)) (*testcluster.Cluster, []*memoryDisk) {
	t.Helper()
	disks := make([]*memoryDisk, nodes)
	for i := range disks {
		disks[i] = new(memoryDisk)
	}
	return testcluster.Start(t, testcluster.Options{Nodes: nodes, Configure: func(i int, cfg *node.Config) {
		cfg.Disk = disks[i].taken(t)
		if len(disks[i].Members()) > 0 {
			cfg.Members, cfg.Join = nil, nil
		}
		if configure != nil {
			configure(i, cfg)
		}
	}}), disks
}

// readyz waits until node i answers /readyz with that status and text.
func readyz(t *testing.T, c *testcluster.Cluster, i, status int, text string) {
	t.Helper()
	c.Eventually(fmt.Sprintf("/readyz of node %d is %d with %q", i, status, text), func() error {
		if r := c.Do(i, "GET", "/readyz", ""); r.Status != status || !strings.Contains(r.Body, text) {
			return fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return nil
	})
}

// All nodes crash, and are started again without being told who the others are: the cluster has all
// that it had, and what was deleted is deleted.
func TestAClusterComesBackFromItsDisks(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 3, nil)
	all := keys("key", 100)
	for n, key := range all {
		mustPut(t, c, n%3, key, "of "+key, "?w=all")
	}
	wantStatus(t, c.Do(0, "DELETE", "/db/"+all[0]+"?w=all", ""), 204)
	ring := c.View(0).Ring
	for i, d := range disks {
		c.Eventually(fmt.Sprintf("node %d has kept when it was in sync", i), func() error {
			if d.InSyncAt().IsZero() {
				return errors.New("it has not")
			}
			return nil
		})
	}
	for i := range 3 {
		c.Kill(i)
	}
	for i := range 3 {
		c.Reopen(i)
	}
	c.AwaitReady()
	if now := c.View(1); now.Ring != ring || len(now.Nodes) != 3 {
		t.Errorf("ring %s of %d nodes, want %s of 3", now.Ring, len(now.Nodes), ring)
	}
	wantStatus(t, c.Get(1, all[0]), 404)
	for n, key := range all[1:] {
		wantValue(t, c, key, "of "+key, n%3)
	}
	for i, d := range disks {
		if d.timesEmptied() > 0 {
			t.Errorf("node %d started empty", i)
		}
	}
}

// A node says that it loads, and how far it is, and takes no part meanwhile. The others take it for
// down. Then it goes on as after any restart.
func TestANodeLoadsBeforeItTakesPart(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 3, nil)
	mustPut(t, c, 0, "key", "value", "?w=all")
	if err := c.Stop(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	release := disks[2].holdLoad(43)
	defer release()
	c.Reopen(2)
	readyz(t, c, 2, 503, "loading: 43 %")
	wantStatus(t, c.Do(2, "GET", "/healthz", ""), 200)
	for _, r := range [][3]string{
		{"GET", "/db/key", ""}, {"PUT", "/db/key", "other"}, {"DELETE", "/db/key", ""}, {"GET", "/db", ""}, {"DELETE", "/db?prefix=k", ""},
		{"POST", "/cluster/leave", ""}, {"DELETE", "/cluster/nodes/" + c.Name(0), ""},
	} {
		a := c.Do(2, r[0], r[1], r[2])
		if a.Status != 503 || !strings.Contains(a.Body, "this node is starting: loading: 43 %") || strings.Contains(a.Body, "outcome") {
			t.Errorf("%s %s: %d %s", r[0], r[1], a.Status, a.Body)
		}
	}
	c.AwaitState(2, api.StateDown, 0, 1)
	if state, reason := c.State(2, 2); state != api.StateJoining || reason != "loading: 43 %" {
		t.Errorf("it says of itself that it is %s: %s", state, reason)
	}
	if _, reason := c.State(0, 2); !strings.Contains(reason, "loading: 43 %") {
		t.Errorf("node 0 says of it: %s", reason)
	}
	mustPut(t, c, 0, "meanwhile", "value", "")
	release()
	c.AwaitReady()
	wantValue(t, c, "key", "value", 2)
	wantValue(t, c, "meanwhile", "value", 2)
}

// A node that loads can be stopped, and killed. One that cannot load says so, and ends.
func TestANodeEndsWhileItLoads(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 1, nil)
	mustPut(t, c, 0, "key", "value", "")
	c.Kill(0)
	release := disks[0].holdLoad(0)
	c.Reopen(0)
	readyz(t, c, 0, 503, "loading")
	if err := c.Stop(context.Background(), 0); err != nil {
		t.Errorf("it did not stop in good order: %v", err)
	}
	c.Reopen(0)
	readyz(t, c, 0, 503, "loading")
	c.Kill(0)
	disks[0].fails = errors.New("a block is broken")
	release()
	c.Reopen(0)
	select {
	case err := <-c.Node(0).Failed():
		if want := "cannot load what this node held: a block is broken"; err.Error() != want {
			t.Errorf("failed with %v, want %s", err, want)
		}
	case <-time.After(poll.Patience):
		t.Error("it does not fail")
	}
	wantStatus(t, c.Get(0, "key"), 503)
}

// What a node knows of the members is kept at each change, and when it was in sync now and then.
func TestWhatANodeKeeps(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c, disks := onDisks(t, 3, nil)
	known := func(i int, want map[string]wire.State) {
		t.Helper()
		c.Eventually(fmt.Sprintf("node %d has kept the members", i), func() error {
			if got := disks[i].known(t); !maps.Equal(got, want) {
				return fmt.Errorf("%v, want %v", got, want)
			}
			return nil
		})
	}
	for i, d := range disks {
		known(i, map[string]wire.State{c.Name(0): wire.Active, c.Name(1): wire.Active, c.Name(2): wire.Active})
		c.Eventually(fmt.Sprintf("node %d has kept when it was in sync", i), func() error {
			if at := d.InSyncAt(); at.Before(began.Truncate(time.Millisecond)) || at.After(time.Now()) {
				return fmt.Errorf("%v", at)
			}
			return nil
		})
	}
	c.Leave(2)
	for i := range 3 {
		known(i, map[string]wire.State{c.Name(0): wire.Active, c.Name(1): wire.Active, c.Name(2): wire.Removed})
	}
	if len(disks[2].records) > 0 {
		t.Errorf("the node that has left still holds %d partitions", len(disks[2].records))
	}
	c.Reopen(2) // without a list: it asks whom it knew
	c.AwaitRing(0, 1, 2)
}

// A disk is closed before its node forgets what it holds: what the log is cleaned of goes by that.
func TestTheDiskIsClosedFirst(t *testing.T) {
	t.Parallel()
	c, disks := onDisks(t, 2, nil)
	mustPut(t, c, 0, "key", "value", "?w=all")
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
	c.Kill(1)
	for i, d := range disks {
		if d.live == 0 {
			t.Errorf("the store of node %d was emptied before", i)
		}
	}
}

// A member that was removed does not come back by the list that it is on.
func TestAListBringsNobodyBack(t *testing.T) {
	t.Parallel()
	c, _ := onDisks(t, 3, func(_ int, cfg *node.Config) {
		if cfg.Members == nil { // as ever
			cfg.Members = []string{cfg.Name}
		}
	})
	c.Kill(2)
	c.AwaitState(2, api.StateDown, 0, 1)
	wantStatus(t, c.Do(0, "DELETE", "/cluster/nodes/"+c.Name(2), ""), 204)
	c.AwaitRing(0, 1)
	for i := range 2 {
		c.Kill(i)
		c.Reopen(i)
	}
	c.AwaitRing(0, 1)
}
