package test

import (
	"encoding/json"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"httpdhs/api"
	"httpdhs/kv"
)

// GET /cluster tells of each node what the page says, and all nodes tell the
// same of the ring.
func TestClusterDocument(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	first, err := c.view(0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		doc, err := c.view(i)
		if err != nil {
			t.Fatal(err)
		}
		if doc.Node != c.addr(i) || doc.Ring != first.Ring || doc.Replicas != 2 || doc.Partitions != 1024 || doc.Partitioner != "ring" || len(doc.Nodes) != 3 {
			t.Errorf("node %d: %+v", i, doc)
		}
		primary, replica := 0, 0
		for _, n := range doc.Nodes {
			primary, replica = primary+n.PrimaryPartitions, replica+n.ReplicaPartitions
			own := n.PrimaryPartitions + n.ReplicaPartitions
			if n.State != api.StateActive || n.Version != versionBuilt || n.Started.IsZero() || n.Weight != 1 || own < 600 || own > 717 {
				t.Errorf("node %d says of %s: %+v", i, n.Name, n)
			}
		}
		if primary != 1024 || replica != 1024 {
			t.Errorf("%d primary and %d replica partitions, want 1024 each", primary, replica)
		}
	}
}

// GET /cluster/ring is what a client needs to find the owners of a key by
// itself: those that /cluster/key names. It is asked for again for nothing
// with its entity tag.
func TestRingDocument(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	a := send(t, c.addr(0), "GET", "/cluster/ring", "")
	var ring api.Ring
	if err := json.Unmarshal(a.body, &ring); err != nil {
		t.Fatal(err)
	}
	tag := a.header.Get("ETag")
	if tag != `"`+ring.Fingerprint+`"` || ring.Hash != "xxh3-64" || ring.Partitions != 1024 || len(ring.Owners) != 1024 {
		t.Errorf("ETag %s, %s, %s, %d partitions, %d with owners", tag, ring.Fingerprint, ring.Hash, ring.Partitions, len(ring.Owners))
	}
	for i := range 3 {
		if a := send(t, c.addr(i), "GET", "/cluster/ring", "", "If-None-Match: "+tag); a.status != 304 || len(a.body) != 0 {
			t.Errorf("node %d, unchanged: %d, %d bytes", i, a.status, len(a.body))
		}
		if a := send(t, c.addr(i), "GET", "/cluster/ring", "", `If-None-Match: "0"`); a.status != 200 || a.header.Get("ETag") != tag {
			t.Errorf("node %d, changed: %d %v", i, a.status, a.header)
		}
	}
	for _, key := range []string{"a", "b", "some key", "\x00\xff"} {
		put := send(t, c.addr(0), "PUT", "/db/"+escaped("ring-"+key), "12345")
		a := send(t, c.addr(1), "GET", "/cluster/key/"+escaped("ring-"+key), "")
		var doc api.Key
		if err := json.Unmarshal(a.body, &doc); err != nil {
			t.Fatal(err)
		}
		partition := int(kv.Hash([]byte("ring-"+key)) >> (64 - bits.Len(uint(ring.Partitions-1))))
		var owners, wanted []string
		for _, o := range doc.Owners {
			owners = append(owners, o.Node)
			if !o.Found || o.Size != 5 || `"`+o.Version+`"` != put.header.Get("ETag") || o.State != api.StateActive {
				t.Errorf("%q at its owner: %+v", key, o)
			}
		}
		for _, n := range ring.Owners[partition] {
			wanted = append(wanted, ring.Nodes[n].Name)
		}
		if doc.Partition != partition || !slices.Equal(owners, wanted) {
			t.Errorf("%q: partition %d at %v, want %d at %v", key, doc.Partition, owners, partition, wanted)
		}
	}
	send(t, c.addr(2), "DELETE", "/db/ring-a", "")
	a = send(t, c.addr(0), "GET", "/cluster/key/ring-a", "")
	var doc api.Key
	if err := json.Unmarshal(a.body, &doc); err != nil || len(doc.Owners) != 2 || !doc.Owners[0].Tombstone || !doc.Owners[1].Tombstone {
		t.Errorf("after a DELETE: %s %v", a.body, err)
	}
}

// The probes are there for machines, the metrics for Prometheus, and / for
// those who come by: a console for a browser, a text for curl.
func TestProbesMetricsAndFrontDoor(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for i := range 3 {
		for _, target := range []string{"/healthz", "/readyz"} {
			if a := send(t, c.addr(i), "GET", target, ""); a.status != 200 {
				t.Errorf("%s: %d %s", target, a.status, a.body)
			}
		}
		a := send(t, c.addr(i), "GET", "/metrics", "")
		if a.status != 200 || !strings.Contains(string(a.body), "\nhttpdhs_ready 1\n") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Errorf("/metrics: %d %v", a.status, a.header)
		}
		a = send(t, c.addr(i), "GET", "/", "", "Accept: */*")
		if a.status != 200 || !strings.Contains(string(a.body), "curl") || strings.Contains(string(a.body), "<html") {
			t.Errorf("/ for curl: %d %.100s", a.status, a.body)
		}
		a = send(t, c.addr(i), "GET", "/", "", "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
		if a.status != 200 || !strings.Contains(strings.ToLower(string(a.body)), "<!doctype html") {
			t.Errorf("/ for a browser: %d %.100s", a.status, a.body)
		}
	}
}
