package dataplane

import (
	"fmt"
	"testing"
	"time"

	"httpdhs/kv"
)

// What begins with the prefix is deleted at all owners and counted once, and nothing else is. A
// request that is out of time goes on where it stopped, at another node.
func TestClear(t *testing.T) { bubble(t, testClear) }

func testClear(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 4, replicas: 2})
	const many = 2500 // more than two pages
	call := kv.Call{Deadline: time.Now().Add(patience)}
	for i := range many {
		call.Ops = append(call.Ops, op(kv.OpPut, fmt.Sprint("user:", i), "v"))
	}
	call.Ops = append(call.Ops, op(kv.OpPut, "use", "v"), op(kv.OpPut, "user", "v"))
	c.nodes[0].Do(&call)
	if done, err := c.nodes[1].Clear(&kv.ClearRequest{Prefix: []byte("user:"), Deadline: time.Now()}); err != nil || done != (kv.Cleared{More: true}) {
		t.Errorf("without time: %+v, %v", done, err)
	}
	deleted := int64(0)
	done := kv.Cleared{More: true}
	for from := 0; done.More; from++ {
		var err error
		done, err = c.nodes[from%4].Clear(&kv.ClearRequest{Prefix: []byte("user:"), From: done.Next, Write: kv.LevelAll, Deadline: time.Now().Add(patience)})
		if err != nil {
			t.Fatal(err)
		}
		deleted += done.Deleted
	}
	if deleted != many {
		t.Errorf("%d keys are said to be deleted, want %d", deleted, many)
	}
	page, err := c.nodes[2].List(&kv.ListRequest{Limit: 10, Deadline: time.Now().Add(patience)})
	if err != nil || len(page.Records) != 2 {
		t.Errorf("%d keys are left, %v", len(page.Records), err)
	}
}

// An owner that cannot be reached stops it with an error, and it says from where to go on.
func TestClearStops(t *testing.T) { bubble(t, testClearStops) }

func testClearStops(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	key := c.keyOwnedBy(0, 0, 1)
	c.nodes[0].mustPut(t, key, "v", kv.LevelAll)
	c.kill(1)
	done, err := c.nodes[2].Clear(&kv.ClearRequest{Write: kv.LevelAll, Deadline: time.Now().Add(patience)})
	if err == nil || !done.More || done.Next > kv.HashString(key) {
		t.Errorf("%+v, %v", done, err)
	}
}
