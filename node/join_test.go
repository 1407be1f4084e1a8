package node_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// A fourth node joins a cluster that is written to, takes over a share of the data, and leaves
// again. All the while every write is acknowledged, every key that was stored is found at every
// node, and at the end each is at its owners alone.
func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	before := keys("before", 300)
	for n, key := range before {
		mustPut(t, c, n%3, key, "of "+key, "")
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	var meanwhile []string
	writer.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			key := fmt.Sprintf("meanwhile-%d", n)
			if resp := c.Put(n%3, key, "of "+key, ""); !resp.OK() {
				t.Errorf("PUT %s: %d %s %v", key, resp.Status, resp.Body, resp.Err)
			}
			meanwhile = append(meanwhile, key)
			if old := before[n%len(before)]; c.Get(n%3, old).Status != 200 {
				t.Errorf("%s is not found at node %d", old, n%3)
			}
		}
	})
	joined := c.Join()
	c.AwaitRing(0, 1, 2, joined)
	for _, n := range c.View(1).Nodes {
		if n.Name == c.Name(joined) && (n.Keys == 0 || n.PrimaryPartitions == 0) {
			t.Errorf("the node that joined has no share: %+v", n)
		}
	}
	wantValue(t, c, before[0], "of "+before[0], joined)
	c.Leave(joined)
	c.AwaitRing(0, 1, 2)
	close(stop)
	writer.Wait()
	for n, key := range append(before, meanwhile...) {
		wantValue(t, c, key, "of "+key, n%3)
	}
	c.Eventually("each key is at its two owners alone", func() error {
		copies, want := int64(0), 2*int64(len(before)+len(meanwhile))
		for _, n := range c.View(0).Nodes {
			copies += n.Keys
		}
		if copies != want {
			return fmt.Errorf("%d copies, want %d", copies, want)
		}
		return nil
	})
}

// While the ring changes, /cluster says so: what it is to become, who is to own how much, and what
// is on its way. Here it takes minutes, since the newcomer fetches a KiB a second.
func TestClusterSaysThatTheRingChanges(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Configure: func(i int, cfg *node.Config) {
		if i == 3 {
			cfg.SyncRate = 1 << 10 // what it is to fetch takes minutes
		}
	}})
	for n, key := range keys("key", 200) {
		mustPut(t, c, n%3, key, strings.Repeat("x", 4000), "")
	}
	joined := c.Join()
	c.Eventually("the newcomer is seen fetching", func() error {
		doc := c.View(0)
		for _, n := range doc.Nodes {
			if n.Name == c.Name(joined) && n.Moving != nil && n.Moving.Partitions > 0 && n.State == api.StateJoining {
				if doc.Target == "" || doc.Target == doc.Ring || n.TargetPartitions == 0 || n.PrimaryPartitions != 0 {
					return fmt.Errorf("ring %s, target %q, %+v", doc.Ring, doc.Target, n)
				}
				return nil
			}
		}
		return fmt.Errorf("%+v", doc)
	})
	c.Eventually("the newcomer says that it is not ready since it fetches, and how far that is", func() error {
		resp := c.Do(joined, "GET", "/readyz", "")
		if resp.Status != 503 || !strings.Contains(resp.Body, "not in sync: it fetches what it owns, and has ") || !strings.Contains(resp.Body, " %") {
			return fmt.Errorf("%d %s %v", resp.Status, resp.Body, resp.Err)
		}
		return nil
	})
	c.Eventually("the others say that they have something to hand over", func() error {
		for _, n := range c.View(1).Nodes {
			if n.Name != c.Name(joined) && n.HandOver == 0 {
				return fmt.Errorf("%+v", n)
			}
		}
		return nil
	})
}

// A member that is down is removed at any node, and the others fill up the copies that went with
// it. A member that is up, this node itself and one that nobody knows are refused with the reason.
// A removed node that is started again joins as a new one.
func TestRemoveANode(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 4})
	remove := func(at int, name string) testcluster.Response {
		return c.Do(at, http.MethodDelete, "/cluster/nodes/"+url.PathEscape(name), "")
	}
	all := keys("key", 100)
	for n, key := range all {
		mustPut(t, c, n%4, key, "of "+key, "")
	}
	for name, want := range map[string]int{c.Name(3): 409, c.Name(0): 409, "nobody:1": 404} {
		resp := remove(0, name)
		wantStatus(t, resp, want)
		if !strings.Contains(resp.Body, c.Name(3)) && want == 404 {
			t.Errorf("%s: the members are not named: %s", name, resp.Body)
		}
	}
	c.Kill(3)
	c.AwaitState(3, api.StateDown, 0, 1, 2)
	for range 2 { // to remove one that is removed does nothing
		wantStatus(t, remove(1, c.Name(3)), 204)
	}
	c.AwaitRing(0, 1, 2)
	for n, key := range all {
		wantValue(t, c, key, "of "+key, n%3)
		if err := agree(c, 0, key); err != nil {
			t.Error(err)
		}
	}
	c.Reopen(3)
	c.AwaitRing(0, 1, 2, 3)
}

// The only member cannot leave; one that can says so as often as it is asked.
func TestTheOnlyMemberCannotLeave(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 1})
	resp := c.Do(0, http.MethodPost, "/cluster/leave", "")
	if resp.Status != 409 || !strings.Contains(resp.Body, "only active member") {
		t.Errorf("%d %s, want 409 and why", resp.Status, resp.Body)
	}
	joined := c.Join()
	c.AwaitRing(0, joined)
	mustPut(t, c, 0, "key", "value", "")
	c.Leave(0)
	c.AwaitRing(joined)
	wantValue(t, c, "key", "value", joined)
}

// A majority removes a member that is dead for as long as --evict-after says, and the metrics of
// one of them tell.
func TestEviction(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Configure: func(_ int, cfg *node.Config) { cfg.EvictAfter = 500 * time.Millisecond }})
	c.Kill(2)
	c.AwaitRing(0, 1)
	c.Eventually("the eviction is counted", func() error {
		sum := 0.0
		for i := range 2 {
			n, err := metric(c, i, "httpdhs_evicted_members_total")
			if err != nil {
				return err
			}
			sum += n
		}
		if sum == 0 {
			return errors.New("none")
		}
		return nil
	})
}

// A node that waits to join tells whatever asks it for keys that it is part of no cluster, and that
// nothing was done. It says in one piece of JSON what keeps it from joining.
func TestNodeWithoutACluster(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 2, Unready: true, Configure: func(i int, cfg *node.Config) {
		cfg.ClusterSecret = fmt.Sprint("secret", i)
		if i == 0 {
			cfg.Members = []string{cfg.Name}
		} else {
			cfg.Join, cfg.Members = cfg.Members[:1], nil
		}
	}})
	for _, r := range [][3]string{{"GET", "/db/k", ""}, {"PUT", "/db/k", "v"}, {"DELETE", "/db/k", ""}, {"GET", "/db", ""}} {
		a := c.Do(1, r[0], r[1]+"?timeout=100ms", r[2])
		if a.Status != 503 || !strings.Contains(a.Body, "this node is part of no cluster yet") || strings.Contains(a.Body, "outcome") || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s %v", r[0], r[1], a.Status, a.Body, a.Header)
		}
	}
	batch := c.Do(1, "POST", "/batch?timeout=100ms", `{"op":"get","key":"k"}`)
	if !strings.Contains(batch.Body, `{"status":503,"key":"k","error":"this node is part of no cluster yet`) {
		t.Errorf("/batch: %s", batch.Body)
	}
	c.Eventually("/readyz tells what the other has answered", func() error {
		r := c.Do(1, "GET", "/readyz", "")
		if !strings.Contains(r.Body, "--cluster-secret-file") {
			return fmt.Errorf("%s", r.Body)
		}
		if strings.Contains(r.Body, `\"`) || strings.Contains(r.Body, `\\`) {
			t.Errorf("JSON in JSON: %s", r.Body)
		}
		return nil
	})
}
