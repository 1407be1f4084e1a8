package node_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

// What is written at one node is read at every node, in the same version; it
// is stored at its owners and nowhere else; and what is deleted at one node is
// gone at every node.
func TestAnyNodeAnswersForAnyKey(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	all := keys("key", 60)
	for n, key := range all {
		put := mustPut(t, c, n%3, key, "of "+key, "")
		if acks := put.Header.Get("X-Dht-Acks"); put.Status != 201 || acks != "2/2" {
			t.Errorf("PUT %s: %d, acks %s; want 201, 2/2", key, put.Status, acks)
		}
		for i := range 3 {
			get := c.Get(i, key)
			if get.Body != "of "+key || versionOf(get) != versionOf(put) || get.Header.Get("X-Dht-Node") != c.Name(i) {
				t.Errorf("GET %s at node %d: %d %q %v", key, i, get.Status, get.Body, get.Header)
			}
		}
		for _, owner := range owners(c, 0, key) {
			if err := holds(c, n%3, owner, key, versionOf(put)); err != nil {
				t.Error(err)
			}
		}
	}
	copies := int64(0)
	for _, n := range c.View(1).Nodes {
		copies += n.Keys
	}
	if copies != 2*int64(len(all)) {
		t.Errorf("the nodes hold %d copies of %d keys, want two of each", copies, len(all))
	}
	for n, key := range all {
		wantStatus(t, c.Do((n+1)%3, "DELETE", "/db/"+key, ""), 204)
		for i := range 3 {
			wantStatus(t, c.Get(i, key), 404)
		}
	}
}

// Where there are fewer nodes than replicas, each key is at every node. The levels go by the
// replicas that there are, and the node that is left alone goes on.
func TestFewerNodesThanReplicas(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2} {
		c := testcluster.Start(t, testcluster.Options{Nodes: nodes, Replicas: 3})
		want := fmt.Sprintf("%d/%d", nodes, nodes)
		put := mustPut(t, c, 0, "key", "value", "?w=all")
		if got := put.Header.Get("X-Dht-Acks"); got != want {
			t.Errorf("acks %s, want %s", got, want)
		}
		wantStatus(t, c.Put(0, "key", "more", fmt.Sprintf("?w=%d", nodes+1)), 400)
		for i := 1; i < nodes; i++ {
			c.Kill(i)
		}
		wantValue(t, c, "key", "value", 0)
		mustPut(t, c, 0, "key", "alone", "")
		wantValue(t, c, "key", "alone", 0)
	}
}

// The order in which a node lists the members is of no account: the ring is the
// same, and so is every answer.
func TestMembersInAnyOrder(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 4, Configure: func(i int, cfg *node.Config) {
		cfg.Members = append(slices.Clone(cfg.Members[i:]), cfg.Members[:i]...)
	}})
	for n, key := range keys("key", 40) {
		mustPut(t, c, n%4, key, key, "?w=all")
		wantValue(t, c, key, key, 0, 1, 2, 3)
		if got, want := owners(c, 3, key), owners(c, 0, key); !slices.Equal(got, want) {
			t.Errorf("%s: owners %v at one node, %v at another", key, got, want)
		}
	}
}

// Writers at all nodes at once want to be the first. One is, and every other one hears that it is
// not.
func TestOneWriterIsFirst(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	for _, key := range keys("lock", 40) {
		status := make([]int, 9)
		var all sync.WaitGroup
		for w := range status {
			all.Go(func() {
				status[w] = c.Do(w%3, "PUT", "/db/"+key, fmt.Sprint(w), "If-None-Match", "*").Status
			})
		}
		all.Wait()
		winner := slices.Index(status, 201)
		slices.Sort(status)
		if status[0] != 201 || status[1] != 412 || status[8] != 412 {
			t.Fatalf("%s: writers got %v, want 201 once and else 412", key, status)
		}
		wantValue(t, c, key, fmt.Sprint(winner), 0, 1, 2)
		if err := agree(c, 0, key); err != nil {
			t.Error(err)
		}
	}
}

// A node that evicts takes any number of writes within its bound, and says what it
// has evicted.
func TestEvictingNodes(t *testing.T) {
	t.Parallel()
	const memory = 1 << 20
	c := testcluster.Start(t, testcluster.Options{Configure: func(_ int, cfg *node.Config) {
		cfg.MaxMemory, cfg.Eviction, cfg.Partitions = memory, "s3-fifo", 16
	}})
	value := strings.Repeat("x", 16<<10)
	all := keys("big", 300)
	for i, key := range all {
		wantStatus(t, c.Put(i%3, key, value, ""), 201)
	}
	wantValue(t, c, all[len(all)-1], value, 0, 1, 2)
	for i := range 3 {
		if used, err := metric(c, i, "httpdhs_store_memory_bytes"); err != nil || used > memory {
			t.Errorf("node %d takes %v bytes (%v), bound %d", i, used, err, memory)
		}
		evicted, err := metric(c, i, "httpdhs_store_evicted_total")
		if bytes, _ := metric(c, i, "httpdhs_store_evicted_bytes_total"); err != nil || evicted == 0 || bytes < evicted*float64(len(value)) {
			t.Errorf("node %d has evicted %v entries of %v bytes (%v)", i, evicted, bytes, err)
		}
		for _, n := range c.View(i).Nodes {
			if m := n.Memory; n.Name == c.Name(i) && (float64(m.Evicted) != evicted || m.EvictedBytes == 0) {
				t.Errorf("node %d says that it evicted %+v, want %v", i, m, evicted)
			}
		}
	}
}

// A node that is full refuses what would need more memory with 507, keeps what
// it has, lets it be deleted, and has room for others then.
func TestFullNodes(t *testing.T) {
	t.Parallel()
	const memory = 256 << 10
	c := testcluster.Start(t, testcluster.Options{Configure: func(_ int, cfg *node.Config) { cfg.MaxMemory = memory }})
	value := strings.Repeat("x", 8<<10)
	var stored []string
	full := false
	for _, key := range keys("big", 200) {
		resp := c.Put(len(stored)%3, key, value, "")
		if resp.Status == 507 {
			full = true
			break
		}
		wantStatus(t, resp, 201)
		stored = append(stored, key)
	}
	if !full {
		t.Fatalf("%d values of %d bytes fit into three times %d", len(stored), len(value), memory)
	}
	for i := range 3 {
		if used, err := metric(c, i, "httpdhs_store_memory_bytes"); err != nil || used > memory {
			t.Errorf("node %d takes %v bytes (%v), bound %d", i, used, err, memory)
		}
	}
	for _, key := range stored {
		wantValue(t, c, key, value, 0, 1, 2)
		wantStatus(t, c.Do(1, "DELETE", "/db/"+key, ""), 204)
	}
	for _, key := range stored[:3] {
		wantStatus(t, c.Put(2, key, "again", ""), 201)
	}
}

// A listing has every key exactly once, page by page, each page asked of
// another node; also while one of the nodes is down.
func TestListing(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	want := keys("list", 300)
	for n, key := range want {
		mustPut(t, c, n%3, key, "", "")
	}
	slices.Sort(want)
	check := func(when string, nodes ...int) {
		t.Helper()
		if got := list(t, c, nodes); !slices.Equal(got, want) {
			t.Errorf("%s: %d keys listed, want %d, each once", when, len(got), len(want))
		}
	}
	check("all up", 0, 1, 2)
	c.Kill(1)
	check("one down", 0, 2)
	check("one down, and known to be", 2, 0)
}

// list lists all keys in pages, at the nodes in turn.
func list(t *testing.T, c *testcluster.Cluster, nodes []int) (all []string) {
	t.Helper()
	cursor := ""
	for page := 0; ; page++ {
		query := url.Values{"prefix": {"list-"}, "limit": {"37"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		resp := c.Do(nodes[page%len(nodes)], "GET", "/db?"+query.Encode(), "")
		var doc struct {
			Keys   []string
			Cursor string
		}
		if err := json.Unmarshal([]byte(resp.Body), &doc); err != nil || resp.Status != 200 {
			t.Fatalf("page %d: %d %q %v", page, resp.Status, resp.Body, err)
		}
		all = append(all, doc.Keys...)
		if cursor = doc.Cursor; cursor == "" {
			slices.Sort(all)
			return all
		}
	}
}
