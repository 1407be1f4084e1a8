package replicate

import (
	"fmt"
	"strings"
	"testing"

	"httpdhs/kv"
	"httpdhs/wire"
)

// Each kind of item that is taken from a peer is carried out as what it is. What is added to the
// kinds has to be added here.
func TestEachKindOfItemIsCarriedOut(t *testing.T) {
	c := newCluster(t, 2, 2)
	n := c.nodes[0]
	key := c.keyOwnedBy(0, 1)
	record := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: n.clock.Now(), Value: []byte("value")}}
	later := kv.Record{Key: record.Key, Entry: kv.Entry{Version: n.clock.Now(), Value: []byte("later")}}
	for _, step := range []struct {
		kind wire.ItemKind
		item []byte
		want wire.Code
	}{
		{wire.ItemApply, wire.AppendApply(nil, &record), wire.Stored},
		{wire.ItemRead, wire.AppendRead(nil, record.Key), wire.Found},
		{wire.ItemDecide, wire.AppendDecide(nil, later.Version, 1<<20, []*kv.Op{{Kind: kv.OpAppend, Record: later}}), wire.Decided},
	} {
		if step.item[0] != byte(step.kind) {
			t.Fatalf("an item of kind 0x%02x, want 0x%02x", step.item[0], byte(step.kind))
		}
		answer, err := n.Exchange(nil, append(wire.OpenBatch(nil), step.item...))
		if err != nil {
			t.Fatal(err)
		}
		_, body, err := wire.SplitBatch(answer)
		if err != nil {
			t.Fatal(err)
		}
		if r, rest, err := wire.NextResult(body); err != nil || r.Code != step.want || len(rest) > 0 {
			t.Errorf("item 0x%02x: result %d, %v, want %d alone", byte(step.kind), r.Code, err, step.want)
		}
	}
	for b := range 256 {
		_, _, err := wire.NextItem([]byte{byte(b)})
		taken := !strings.Contains(fmt.Sprint(err), "item 0x")
		if carried := strings.ContainsRune("ard", rune(b)); taken != carried {
			t.Errorf("item 0x%02x is taken: %t; it is carried out above: %t", b, taken, carried)
		}
	}
}
