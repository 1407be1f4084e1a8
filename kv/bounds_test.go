package kv

import (
	"fmt"
	"testing"
)

// A run as long as it may be makes one sum after the other, and the last alone is what is stored.
// The decision then keeps no more memory than for a short one.
func TestLongRun(t *testing.T) {
	var d Decision
	add := Op{Kind: OpIncr, Number: 1, Record: Record{Key: []byte("k")}}
	for range MaxRun {
		d.Ops = append(d.Ops, &add)
	}
	d.Begin(7, 100, 1<<20)
	d.Decide(&Entry{}, 0)
	for i := range d.Results {
		if r := &d.Results[i]; string(r.Entry.Value) != fmt.Sprint(i+1) || r.Made != (i == MaxRun-1) {
			t.Fatalf("sum %d is %q, made %v", i, r.Entry.Value, r.Made)
		}
	}
	if d.Release(); cap(d.Ops) > keepDecisionOps || cap(d.Results) > keepDecisionOps {
		t.Errorf("it keeps room for %d operations and %d results", cap(d.Ops), cap(d.Results))
	}
}
