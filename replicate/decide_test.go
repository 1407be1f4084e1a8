package replicate

import (
	"errors"
	"testing"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
)

// Where a node does not reach a key's primary and others do, these decline to decide in its place.
// The error says that it is the primary that is not reached. Where no owner is up, that is what it
// says. Both are kv.ErrUnavailable, and may have been done.
func TestPrimaryThatIsOutOfReach(t *testing.T) { bubble(t, testNoPrimary) }

func testNoPrimary(t *testing.T) {
	c := newCluster(t, 3, 3)
	key := c.keyOwnedBy(0, 2, 1)
	add := op(kv.OpIncr, key, "")
	add.Number = 1
	want := func(node int, err error) {
		t.Helper()
		got := c.nodes[node].do(add, kv.LevelOne)
		if got.Err != err || !errors.Is(got.Err, kv.ErrUnavailable) || !got.OutcomeUnknown(kv.LevelOne) {
			t.Errorf("at node %d: %v, want %v", node, got.Err, err)
		}
	}
	c.nodes[1].peers[0].MarkDown(memnet.ErrReset).Finish()
	before := c.nodes[1].Unavailable.Load()
	want(1, kv.ErrNoPrimary)
	if n := c.nodes[1].Unavailable.Load() - before; n != 1 {
		t.Errorf("%d operations are counted as unavailable, want 1", n)
	}
	if got := c.nodes[2].do(add, kv.LevelOne); got.Err != nil {
		t.Errorf("at a node that reaches it: %v", got.Err)
	}

	c = newCluster(t, 3, 2)
	add = op(kv.OpIncr, c.keyOwnedBy(0, 1), "")
	for i := range 2 {
		c.nodes[2].peers[i].MarkDown(memnet.ErrReset).Finish()
	}
	want(2, kv.ErrUnavailable)
}
