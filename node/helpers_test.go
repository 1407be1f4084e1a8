package node_test

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"httpdhs/internal/testcluster"
	"httpdhs/kv"
)

// Nothing that a node started may run after it was closed, except what fasthttp starts and nobody
// can end. That is its one clock for Date headers, and a client's sleep of 30 s before it looks
// whether it has connections left.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

func keys(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}

// owners are the numbers of the nodes that own a key, primary first, by the
// ring of node i.
func owners(c *testcluster.Cluster, i int, key string) (all []int) {
	ring := c.Node(i).Ring()
	partition := kv.Hash([]byte(key)) >> (64 - bits.Len(uint(ring.Partitions-1)))
	for _, o := range ring.Owners[partition] {
		all = append(all, c.Index(ring.Nodes[o].Name))
	}
	return all
}

// ownedBy are n keys that all of the nodes own.
func ownedBy(c *testcluster.Cluster, i int, prefix string, n int, nodes ...int) (found []string) {
	for k := 0; len(found) < n; k++ {
		key := prefix + "-" + strconv.Itoa(k)
		own := owners(c, i, key)
		if !slices.ContainsFunc(nodes, func(node int) bool { return !slices.Contains(own, node) }) {
			found = append(found, key)
		}
	}
	return found
}

func mustPut(t *testing.T, c *testcluster.Cluster, i int, key, value, query string) testcluster.Response {
	t.Helper()
	resp := c.Put(i, key, value, query)
	if !resp.OK() {
		t.Fatalf("PUT %s%s at node %d: %d %s %v", key, query, i, resp.Status, resp.Body, resp.Err)
	}
	return resp
}

// wantValue says that a key reads as value at each of the nodes.
func wantValue(t *testing.T, c *testcluster.Cluster, key, value string, at ...int) {
	t.Helper()
	for _, i := range at {
		if resp := c.Get(i, key); resp.Status != 200 || resp.Body != value {
			t.Errorf("GET %s at node %d: %d %q %v, want 200 %q", key, i, resp.Status, resp.Body, resp.Err, value)
		}
	}
}

// wantStatus says that a request gets that status.
func wantStatus(t *testing.T, resp testcluster.Response, status int) {
	t.Helper()
	if resp.Status != status {
		t.Errorf("status %d %q %v, want %d", resp.Status, resp.Body, resp.Err, status)
	}
}

// holds returns nil if the owner's own store has the key with that version,
// as asked through node via.
func holds(c *testcluster.Cluster, via, owner int, key, version string) error {
	doc, err := c.Key(via, key)
	if err != nil {
		return err
	}
	for _, o := range doc.Owners {
		if o.Node == c.Name(owner) {
			if !o.Found || o.Version != version {
				return fmt.Errorf("%s at node %d: %+v, want version %s", key, owner, o, version)
			}
			return nil
		}
	}
	return fmt.Errorf("node %d does not own %s", owner, key)
}

// agree returns nil if all owners hold the key, in one version.
func agree(c *testcluster.Cluster, via int, key string) error {
	doc, err := c.Key(via, key)
	if err != nil {
		return err
	}
	for _, o := range doc.Owners {
		if !o.Found || o.Version != doc.Owners[0].Version {
			return fmt.Errorf("%s: owners hold %+v", key, doc.Owners)
		}
	}
	return nil
}

func versionOf(resp testcluster.Response) string {
	return strings.Trim(resp.Header.Get("ETag"), `"`)
}

// metric is the value of a metric without labels at node i.
func metric(c *testcluster.Cluster, i int, name string) (float64, error) {
	resp := c.Do(i, "GET", "/metrics", "")
	for line := range strings.Lines(resp.Body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s: %d %v", name, resp.Status, resp.Err)
}
