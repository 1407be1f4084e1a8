package node_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"httpdhs/api"
	"httpdhs/internal/testcluster"
)

// askSafe asks node i whether these can be stopped.
func askSafe(t *testing.T, c *testcluster.Cluster, i int, query string, nodes ...int) (status int, doc api.SafeToStop) {
	t.Helper()
	var names []string
	for _, n := range nodes {
		names = append(names, c.Name(n))
	}
	if len(names) > 0 {
		query += "&nodes=" + strings.Join(names, ",")
	}
	resp := c.Do(i, "GET", "/cluster/safe-to-stop?"+query, "")
	if err := json.Unmarshal([]byte(resp.Body), &doc); err != nil {
		t.Errorf("%d %s: %v", resp.Status, resp.Body, err)
	}
	return resp.Status, doc
}

// Any node says whether nodes can be stopped. One can be while all is well, and two cannot that
// have the only copies of some keys. While a node is down, those that share keys with it cannot,
// and each key with one copy is counted once.
func TestSafeToStop(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	c.AwaitMet()
	for n, key := range keys("safe", 100) {
		mustPut(t, c, n%3, key, "value", "w=all")
	}
	want := func(status int, part string, asked int, query string, nodes ...int) api.SafeToStop {
		t.Helper()
		got, doc := askSafe(t, c, asked, query, nodes...)
		if got != status || doc.Safe != (status == 200) || !strings.Contains(doc.Reason, part) || (doc.Error == "") != doc.Safe {
			t.Errorf("%v at %d: %d %+v, want %d and %q", nodes, asked, got, doc, status, part)
		}
		return doc
	}
	for asked := range 3 {
		for stop := range 3 {
			want(200, "another copy", asked, "", stop)
		}
	}
	if doc := want(200, "another copy", 1, ""); !slices.Equal(doc.Nodes, []string{c.Name(1)}) || doc.Replicas != 2 || doc.Partitions != 64 {
		t.Errorf("without nodes: %+v", doc)
	}
	want(409, "with 2 replicas a quorum is all of them", 0, "quorum=true", 1)
	both := ownedBy(c, 1, "both", 1, 2)[0]
	mustPut(t, c, 0, both, "value", "w=all")
	if doc := want(409, "stop fewer nodes at a time", 0, "", 1, 2); doc.LastCopies.Keys == 0 || len(doc.LastCopies.Some) == 0 || len(doc.Waits) != 0 {
		t.Errorf("two: %+v", doc)
	}
	if resp := c.Do(0, "GET", "/cluster/safe-to-stop?nodes=nobody:1", ""); resp.Status != 404 || !strings.Contains(resp.Body, c.Name(2)) {
		t.Errorf("of nobody: %d %s", resp.Status, resp.Body)
	}

	lost := int64(0)
	for _, n := range c.View(0).Nodes {
		if n.Name == c.Name(2) {
			lost = n.Keys
		}
	}
	c.Kill(2)
	c.AwaitState(2, api.StateDown, 0, 1)
	if doc := want(409, "wait for "+c.Name(2)+": it is down", 0, "", 1); len(doc.Waits) != 1 || doc.Waits[0].Partitions != doc.LastCopies.Partitions {
		t.Errorf("while another is down: %+v", doc)
	}
	want(200, "another copy", 0, "", 2)
	under := int64(0)
	for _, n := range c.View(0).Nodes {
		under += n.UnderReplicated
	}
	if under != lost || lost == 0 {
		t.Errorf("%d keys are under-replicated, want %d", under, lost)
	}
	c.Reopen(2)
	c.Eventually("the others can be stopped again", func() error {
		if status, doc := askSafe(t, c, 0, "", 1); status != 200 {
			return fmt.Errorf("%+v", doc)
		}
		return nil
	})
	for _, n := range c.View(0).Nodes {
		if n.UnderReplicated != 0 {
			t.Errorf("%s counts %d keys under-replicated when all are in sync", n.Name, n.UnderReplicated)
		}
	}
}

// Of a node that does not answer nobody knows what it holds, and the answer says so: it does not
// count keys, nor call them lost.
func TestSilentNodeIsNotSafeToStop(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	c.AwaitMet()
	for n, key := range keys("silent", 100) {
		mustPut(t, c, n%3, key, "value", "w=all")
	}
	c.CutOff(2)
	c.AwaitState(2, api.StateDown, 0, 1)
	want := func(part string, stop ...int) {
		t.Helper()
		status, doc := askSafe(t, c, 0, "", stop...)
		if status != 409 || !strings.HasPrefix(doc.Reason, part) || strings.Contains(doc.Reason, "last copy") || strings.Contains(doc.Reason, "with 0 keys") {
			t.Errorf("%v: %d %+v, want 409 and %q", stop, status, doc, part)
		}
	}
	want(c.Name(2)+" does not say what it holds, and ", 2)
	want(c.Name(2)+" does not say what it holds, and ", 1, 2)
}

// The only copy of a key is not to be stopped, and the node is told to leave.
func TestOnlyCopyIsNotSafeToStop(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 2, Replicas: 1})
	if status, doc := askSafe(t, c, 0, "", 1); status != 200 {
		t.Errorf("a node that holds nothing: %+v", doc)
	}
	for n, key := range keys("only", 50) {
		mustPut(t, c, n%2, key, "value", "")
	}
	if status, doc := askSafe(t, c, 0, "", 1); status != 409 || !strings.Contains(doc.Reason, "httpdhs leave "+c.Name(1)) {
		t.Errorf("one that holds keys: %d %+v", status, doc)
	}
}

// Nodes that are all there are cannot leave all, and are not told to.
func TestLastNodesAreNotToldToLeave(t *testing.T) {
	t.Parallel()
	for nodes := 1; nodes <= 2; nodes++ {
		c := testcluster.Start(t, testcluster.Options{Nodes: nodes})
		mustPut(t, c, 0, "key", "value", "")
		status, doc := askSafe(t, c, 0, "", []int{0, 1}[:nodes]...)
		if status != 409 || strings.Contains(doc.Reason, "leave") || !strings.Contains(doc.Reason, "start another node") {
			t.Errorf("all of %d nodes: %d %+v", nodes, status, doc)
		}
	}
}

// Nodes are killed whenever another says that it is safe, while clients write: nothing that was
// acknowledged is lost.
func TestKilledWhenSafe(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{})
	s := startStubborn(t, c)
	defer s.end()
	for i := range 6 {
		s.more(t, 100)
		c.Eventually("it is safe to stop a node", func() error {
			if status, doc := askSafe(t, c, (i+1)%3, "", i%3); status != 200 {
				return fmt.Errorf("%+v", doc)
			}
			return nil
		})
		c.Kill(i % 3)
		s.more(t, 50)
		c.Reopen(i % 3)
		c.Eventually("it answers", func() error {
			if resp := c.Do(i%3, "GET", "/healthz", ""); !resp.OK() {
				return fmt.Errorf("%d %v", resp.Status, resp.Err)
			}
			return nil
		})
	}
	s.end()
	c.AwaitReady()
	for key, value := range s.last {
		wantValue(t, c, key, value, 0, 1, 2)
	}
}
