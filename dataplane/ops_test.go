package dataplane

import (
	"errors"
	"testing"
	"time"

	"httpdhs/kv"
)

func op(kind kv.OpKind, key, value string) kv.Op {
	o := kv.Op{Kind: kind, Hash: kv.Hash([]byte(key))}
	o.Key = []byte(key)
	if kind == kv.OpPut {
		o.Value = []byte(value)
	}
	return o
}

// do carries out one operation with the given level.
func (n *testNode) do(o kv.Op, level kv.Level) kv.Op { return n.doWithin(patience, o, level) }

func (n *testNode) doWithin(timeout time.Duration, o kv.Op, level kv.Level) kv.Op {
	call := kv.Call{Ops: []kv.Op{o}, Write: level, Read: level, Deadline: time.Now().Add(timeout)}
	n.Do(&call)
	return call.Ops[0]
}

func (n *testNode) getWithin(timeout time.Duration, key string, r kv.Level) kv.Op {
	return n.doWithin(timeout, op(kv.OpGet, key, ""), r)
}

func (n *testNode) put(key, value string, w kv.Level) kv.Op { return n.do(op(kv.OpPut, key, value), w) }
func (n *testNode) del(key string, w kv.Level) kv.Op        { return n.do(op(kv.OpDelete, key, ""), w) }
func (n *testNode) get(key string, r kv.Level) kv.Op        { return n.do(op(kv.OpGet, key, ""), r) }

func (n *testNode) mustPut(t fatalT, key, value string, w kv.Level) kv.Op {
	t.Helper()
	o := n.put(key, value, w)
	if o.Err != nil {
		t.Fatalf("put %s=%s at %s: %v", key, value, n.name, o.Err)
	}
	return o
}

// held is what the node itself holds of a key.
func (n *testNode) held(key string) *kv.Entry {
	e, _, _ := n.store.Get(nil, kv.Hash([]byte(key)), []byte(key))
	return &e
}

// forget takes the node's authority away, as if it had just started. The node and those it answers
// go by that, but others do not hear of it. remember gives it back.
func (n *testNode) forget() {
	n.writer().SetHeld(nil)
	n.writer().SetInSync(false)
}

func (n *testNode) remember() {
	all := make([]bool, testPartitions)
	for p := range all {
		all[p] = n.Board.View().Mine(p)
	}
	n.writer().SetHeld(all)
	n.writer().SetInSync(true)
}

// has says whether the node holds a value.
func (n *testNode) has(key, value string) bool {
	e := n.held(key)
	return e.Exists() && !e.Tombstone && string(e.Value) == value
}

// plant stores a record at the node alone, past all others.
func (n *testNode) plant(t fatalT, key, value string, v kv.Version) {
	t.Helper()
	r := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: v, Value: []byte(value)}}
	if value == "" {
		r.Bury()
	}
	if _, err := n.store.Apply(kv.Hash(r.Key), &r); err != nil {
		t.Fatalf("cannot plant %s: %v", key, err)
	}
}

// wantOp fails unless the operation ended with the error (nil: none).
func wantOp(t *testing.T, o kv.Op, err error) {
	t.Helper()
	if !errors.Is(o.Err, err) || (err == nil && o.Err != nil) {
		t.Fatalf("operation on %s ended with %v, want %v", o.Key, o.Err, err)
	}
}

// wantValue fails unless the get found the value.
func wantValue(t *testing.T, o kv.Op, value string) {
	t.Helper()
	if wantOp(t, o, nil); string(o.Value) != value {
		t.Fatalf("get %s found %.40q, want %.40q", o.Key, o.Value, value)
	}
}
