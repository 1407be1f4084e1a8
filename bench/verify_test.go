package bench

import (
	"net/http"
	"testing"
)

// A store that keeps what it acknowledges is found to.
func TestVerifyFindsNothingWhereNothingIs(t *testing.T) {
	linuxOnly(t)
	for _, w := range []Workload{Put, Mixed, Load, Batch} {
		_, addrs := newFake(t, 3)
		c := testConfig(addrs, w)
		c.Verify, c.ReadRatio, c.Dist, c.Threads = true, 0.5, Zipf, 2
		if w == Load || w == Batch {
			c.Requests = 150
		}
		v := mustRun(t, c).Verify
		if !v.OK() || v.Acknowledged == 0 || v.Reads != 3*v.Acknowledged || len(v.Nodes) != 3 {
			t.Errorf("%s: %+v", w, v)
		}
	}
}

// A store that drops one write in a hundred is caught: the keys that it
// dropped last are stale, or lost if they were new.
func TestVerifyCatchesADroppedWrite(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 2)
	dropped := 0
	store.onPut = func(n int, _ string) bool {
		if n%100 == 0 {
			dropped++
			return true
		}
		return false
	}
	c := testConfig(addrs, Put)
	c.Verify, c.Keys, c.Requests, c.DeleteRatio = true, 5000, 2000, 0.001
	v := mustRun(t, c).Verify
	if dropped == 0 || v.OK() || v.Lost == 0 || v.Lost+v.Stale > int64(dropped) || len(v.Examples) == 0 {
		t.Errorf("%d writes were dropped, and found: %+v", dropped, v)
	}
}

// A store whose last write to a key is dropped holds an old value.
func TestVerifyCatchesAStaleKey(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 1)
	store.onPut = func(_ int, key string) bool {
		_, there := store.values[key]
		return there && key == "0000000000000007" // of which the first write alone is kept
	}
	c := testConfig(addrs, Load)
	c.Verify, c.Requests = true, 60 // 1,200 records over 200 keys
	v := mustRun(t, c).Verify
	if v.Stale != 1 || v.Lost+v.Resurrected+v.Corrupt != 0 || v.Examples[0].Key != "0000000000000007" {
		t.Errorf("%+v", v)
	}
}

// A key that is there after its delete was acknowledged is a fault.
func TestVerifyCatchesAResurrectedKey(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 1)
	store.onDelete = func(int, string) bool { return true }
	c := testConfig(addrs, Put)
	c.Verify, c.DeleteRatio = true, 0.3
	v := mustRun(t, c).Verify
	if v.Resurrected == 0 || v.Lost+v.Stale+v.Corrupt != 0 {
		t.Errorf("%+v", v)
	}
}

// A write that was answered with a 503 may have happened or not.
func TestAnUnknownOutcomeIsNoFault(t *testing.T) {
	linuxOnly(t)
	for _, happens := range []bool{true, false} {
		store, addrs := newFake(t, 1)
		unknown := func(n int) bool { return n%10 == 0 }
		store.onPut = func(n int, _ string) bool { return unknown(n) && !happens }
		store.onDelete = store.onPut
		store.status503 = unknown
		c := testConfig(addrs, Put)
		c.Verify = true
		r := mustRun(t, c)
		if v := r.Verify; !v.OK() || v.Unknown == 0 || r.Rounds[0].Errors["status 503"] == 0 {
			t.Errorf("happens %v: %+v, errors %v", happens, v, r.Rounds[0].Errors)
		}
	}
}

// The verdicts, one by one.
func TestLedgerJudges(t *testing.T) {
	const size = 60
	l := newLedger(9, 4)
	value := func(run, key uint32, seq uint64) []byte {
		text := []byte(filler(size))
		of := ledger{run: run}
		of.stamp(text, key, seq)
		return text
	}
	l.ack(&item{op: opPut, key: 0, seq: 5})
	l.ack(&item{op: opDelete, key: 1, seq: 6})
	l.unknown(&item{op: opPut, key: 1, seq: 4})
	l.ack(&item{op: opPut, key: 2, seq: 7})
	l.unknown(&item{op: opDelete, key: 2, seq: 8})
	l.unknown(&item{op: opPut, key: 2, seq: 2})
	tests := []struct {
		name   string
		key    uint32
		exists bool
		value  []byte
		want   Fault
	}{
		{"the last write", 0, true, value(9, 0, 5), ""},
		{"nothing, where a write was acknowledged", 0, false, nil, Lost},
		{"an earlier write", 0, true, value(9, 0, 4), Stale},
		{"a write of another run", 0, true, value(8, 0, 5), Stale},
		{"a later write, which was refused", 0, true, value(9, 0, 6), Corrupt},
		{"the value of another key", 0, true, value(9, 1, 5), Corrupt},
		{"a value cut short", 0, true, value(9, 0, 5)[:size-1], Corrupt},
		{"no value of ours", 0, true, []byte("x"), Corrupt},
		{"nothing, where the last was a delete", 1, false, nil, ""},
		{"a write that may have come late", 1, true, value(9, 1, 4), ""},
		{"an old value after a delete", 1, true, value(9, 1, 3), Resurrected},
		{"nothing, where a delete may have happened", 2, false, nil, ""},
		{"an old write that may have come late", 2, true, value(9, 2, 2), ""},
		{"the write before it", 2, true, value(9, 2, 7), ""},
		{"a key that was never written", 3, false, nil, ""},
		{"one that was there before", 3, true, value(8, 3, 1), ""},
	}
	for _, test := range tests {
		if got := l.judge(test.key, test.exists, test.value, size); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if keys := l.touched(); len(keys) != 3 {
		t.Errorf("touched keys %v, want 0, 1 and 2", keys)
	}
}

// A node that always fails its reads is not passed over.
func TestAReadThatAlwaysFailsIsAFault(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 1)
	store.status = func(r *http.Request) int {
		if r.Method == "GET" && r.URL.Path == "/db/0000000000000001" {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	c := testConfig(addrs, Load)
	c.Verify, c.Requests = true, 150
	if v := mustRun(t, c).Verify; v.OK() || v.Unread != 1 {
		t.Errorf("%+v", v)
	}
}

// A read that fails is tried again before it counts as unread.
func TestAReadThatFailsIsTriedAgain(t *testing.T) {
	linuxOnly(t)
	store, addrs := newFake(t, 1)
	failed := 0
	store.status = func(r *http.Request) int {
		if r.Method == "GET" && r.URL.Path == "/db/0000000000000001" && failed < readTries-1 {
			failed++
			return http.StatusServiceUnavailable
		}
		return 0
	}
	c := testConfig(addrs, Load)
	c.Verify, c.Requests = true, 150
	if v := mustRun(t, c).Verify; !v.OK() || failed != readTries-1 {
		t.Errorf("%d reads failed: %+v", failed, v)
	}
}
