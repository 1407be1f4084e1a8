package replicate

import (
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

// What is found at another node is in memory once, also where the call finds something here: it is
// not copied to what was found here if it is large.
func TestWhatIsFoundIsThereOnce(t *testing.T) {
	c := newCluster(t, 3, 2)
	n := c.nodes[0]
	large := strings.Repeat("v", 10*kv.HeldBytes)
	here, there := c.keyOwnedBy(0, 1), c.keyOwnedBy(1, 2)
	n.mustPut(t, here, "small", kv.LevelAll)
	n.mustPut(t, there, large, kv.LevelAll)
	prior := op(kv.OpPut, there, large)
	prior.Prior = true
	for name, second := range map[string]kv.Op{"a get": op(kv.OpGet, there, ""), "a put that finds": prior} {
		call := kv.Call{
			Ops: []kv.Op{op(kv.OpGet, here, ""), second}, Write: kv.LevelAll, Read: kv.LevelOne,
			Deadline: time.Now().Add(patience), Hold: func(kv.Copies) bool { return true },
		}
		n.Do(&call)
		found := &call.Ops[1]
		if found.Err != nil || string(found.Value) != large || string(call.Ops[0].Value) != "small" {
			t.Errorf("%s: %v, %d bytes", name, found.Err, len(found.Value))
		}
		if cap(call.Buf) >= len(large) {
			t.Errorf("%s: the memory of what was found here has %d bytes", name, cap(call.Buf))
		}
	}
}

// What is kept stays where it is while more comes, and what is forgotten makes room again.
func TestValuesStay(t *testing.T) {
	var v values
	var kept [][]byte
	for i := range 2000 {
		b := []byte(strings.Repeat(string(rune('a'+i%26)), 1+i*i%5000))
		kept = append(kept, v.keep(b))
		mark, room := v, v.room()
		v.keep(b)
		if v.forget(mark); v.room() != room || v.sum != mark.sum {
			t.Fatalf("%d bytes of room, want %d", v.room(), room)
		}
	}
	for i, b := range kept {
		if string(b) != strings.Repeat(string(rune('a'+i%26)), 1+i*i%5000) {
			t.Fatalf("value %d has changed", i)
		}
	}
}
