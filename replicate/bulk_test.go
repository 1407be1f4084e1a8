package replicate

import (
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/kv"
)

// A call of a hundred operations is one message to each peer, whatever they are.
func TestCallOfManyIsOneMessage(t *testing.T) { bubble(t, callOfManyIsOneMessage) }

func callOfManyIsOneMessage(t *testing.T) {
	c := newCluster(t, 2, 2)
	n := c.nodes[0]
	n.shortCut(1)
	puts := benchOps(100, kv.OpPut)
	half := benchOps(100, kv.OpPut)
	for i := range half {
		switch i % 4 {
		case 0:
			half[i] = op(kv.OpGet, string(half[i].Key), "")
		case 1:
			half[i] = op(kv.OpDelete, string(half[i-1].Key), "")
		}
	}
	for name, ops := range map[string][]kv.Op{"puts": puts, "mixed": half} {
		p := n.board.View().Peers[1]
		synctest.Wait() // until the sender sleeps
		before := p.Queued()
		n.Do(&kv.Call{Ops: ops, Read: kv.LevelAll, Deadline: time.Now().Add(patience)})
		if sent := p.Queued() - before; sent != 1 {
			t.Errorf("%s: %d messages", name, sent)
		}
	}
}
