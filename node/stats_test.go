package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/testcluster"
	"httpdhs/node"
)

func statsAt(c *testcluster.Cluster, i int) (doc api.Stats, err error) {
	resp := c.Do(i, "GET", "/cluster/stats", "")
	if resp.Status != 200 {
		return doc, fmt.Errorf("status %d: %s %v", resp.Status, resp.Body, resp.Err)
	}
	return doc, json.Unmarshal([]byte(resp.Body), &doc)
}

// operationOf is what a node has counted of a kind.
func operationOf(n *api.NodeStats, kind string) (o api.OperationStats) {
	for _, o := range n.Operations {
		if o.Kind == kind {
			return o
		}
	}
	return o
}

// Any node tells what each node has counted, and of one that is down why it does not know. A stop
// begins the counting again.
func TestStatsOfAllNodes(t *testing.T) {
	c := testcluster.Start(t, testcluster.Options{Nodes: 3, Replicas: 2})
	for _, key := range keys("k", 10) {
		mustPut(t, c, 0, key, "v", "")
	}
	wantStatus(t, c.Get(0, "none"), 404)
	doc, err := statsAt(c, 1)
	if err != nil || doc.Node != c.Name(1) || len(doc.Nodes) != 3 || len(doc.Bounds) == 0 {
		t.Fatalf("%+v, %v", doc, err)
	}
	for i := range doc.Nodes {
		n := &doc.Nodes[i]
		wantPuts, wantGets := int64(0), int64(0)
		if n.Name == c.Name(0) {
			wantPuts, wantGets = 10, 1
		}
		put, get := operationOf(n, api.OperationPut), operationOf(n, api.OperationGet)
		if n.Error != "" || put.Count != wantPuts || get.Count != wantGets || put.Errors+get.Errors != 0 {
			t.Errorf("%+v", n)
		}
		if n.Time.Before(n.Started) || time.Since(n.Started).Abs() > time.Hour || (put.Seconds > 0) != (wantPuts > 0) {
			t.Errorf("%s counted at %s since %s, puts took %v s", n.Name, n.Time, n.Started, put.Seconds)
		}
		for _, o := range n.Operations {
			sum := int64(0)
			for _, in := range o.Buckets {
				sum += in
			}
			if len(o.Buckets) != len(doc.Bounds)+1 || sum != o.Count {
				t.Errorf("%s of %s: %d buckets with %d, counted are %d", o.Kind, n.Name, len(o.Buckets), sum, o.Count)
			}
		}
	}

	if err := c.Stop(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	c.AwaitState(2, api.StateDown, 0, 1)
	doc, err = statsAt(c, 0)
	if err != nil || len(doc.Nodes) != 3 {
		t.Fatalf("%+v, %v", doc, err)
	}
	for i := range doc.Nodes {
		n := &doc.Nodes[i]
		untold := reflect.DeepEqual(n, &api.NodeStats{Name: n.Name, Error: n.Error})
		if (n.Error != "") != (n.Name == c.Name(2)) || untold != (n.Error != "") || untold == (n.Connections != nil) {
			t.Errorf("with node 2 down: %+v", n)
		}
	}
}

// A partition that is read much is hot at the nodes that answer for it, once they have been asked
// twice.
func TestHotPartitions(t *testing.T) {
	c := testcluster.Start(t, testcluster.Options{Nodes: 2, Replicas: 2})
	mustPut(t, c, 0, "hot", "v", "")
	key, err := c.Key(0, "hot")
	if err != nil {
		t.Fatal(err)
	}
	c.Eventually("the partition of a key that is read is hot", func() error {
		doc, err := statsAt(c, 0)
		if err != nil {
			return err
		}
		for range 20 {
			c.Get(0, "hot")
		}
		for i := range doc.Nodes {
			n := &doc.Nodes[i]
			if n.Name == c.Name(0) && len(n.HotPartitions) == 1 && n.HotPartitions[0].Partition == key.Partition && n.HotPartitions[0].Reads > 0 {
				return nil
			}
		}
		return fmt.Errorf("%+v", doc.Nodes)
	})
}

// The document needs the token.
func TestStatsNeedTheToken(t *testing.T) {
	c := testcluster.Start(t, testcluster.Options{Nodes: 1, Replicas: 1, Configure: func(_ int, cfg *node.Config) {
		cfg.AuthToken = "token"
	}})
	if resp := c.Do(0, "GET", "/cluster/stats", ""); resp.Status != 401 || strings.Contains(resp.Body, "bounds") {
		t.Errorf("without: %d %s", resp.Status, resp.Body)
	}
	if resp := c.Do(0, "GET", "/cluster/stats", "", "Authorization", "Bearer token"); resp.Status != 200 {
		t.Errorf("with: %d %s", resp.Status, resp.Body)
	}
}
