package server

import (
	"testing"
	"time"

	"httpdhs/internal/histogram"
	"httpdhs/kv"
)

// operations are how many there were of each kind, and how many failed.
func (f *fixture) operations() (counts, errors map[string]int64) {
	counts, errors = make(map[string]int64), make(map[string]int64)
	st := f.Stats()
	for i := range st.Operations {
		o := &st.Operations[i]
		if n := o.Took.Count(); n > 0 {
			counts[OperationName(i)] = n
		}
		if o.Errors > 0 {
			errors[OperationName(i)] = o.Errors
		}
	}
	return counts, errors
}

// Each request that is an operation counts as one of its kind, whatever was found. What is none
// does not count, and neither does one that was refused for a fault of the client's.
func TestOperationsAreCountedByKind(t *testing.T) {
	f := start(t, Options{})
	f.send("PUT", "/db/a", "1").want(t, 201)
	f.send("GET", "/db/a", "").want(t, 200)
	f.send("HEAD", "/db/a", "").want(t, 200)
	f.send("GET", "/db/none", "").want(t, 404)
	f.send("POST", "/db/a?incr=5", "").want(t, 200)
	f.send("DELETE", "/db/a", "").want(t, 204)
	f.send("GET", "/db?prefix=", "").want(t, 200)
	f.send("DELETE", "/db?prefix=", "").want(t, 200)
	f.send("POST", "/batch", `{"op":"get","key":"a"}`, "Content-Type: application/x-ndjson").want(t, 200)
	f.send("POST", "/load-data", "a\tb\n").want(t, 200)

	f.send("GET", "/db/a?r=7x", "").want(t, 400)
	f.send("GET", "/db/", "").want(t, 400)
	f.send("GET", "/cluster", "").want(t, 200)
	f.send("GET", "/healthz", "").want(t, 200)
	counts, errors := f.operations()
	want := map[string]int64{"get": 3, "put": 1, "delete": 1, "update": 1, "list": 1, "batch": 2, "load": 1}
	if len(counts) != len(want) || len(errors) != 0 {
		t.Errorf("counted %v, failed %v", counts, errors)
	}
	for kind, n := range want {
		if counts[kind] != n {
			t.Errorf("%d of %s, want %d", counts[kind], kind, n)
		}
	}
}

// What the cluster is to blame for counts as an error of its kind, before the operation began and
// after.
func TestFailedOperationsAreCounted(t *testing.T) {
	f := start(t, Options{MaxInFlightBytes: 1000})
	f.store.fail = kv.ErrUnavailable
	f.send("GET", "/db/a", "").want(t, 503)
	f.clientBytes.used.Add(900) // other bodies
	f.send("PUT", "/db/a", string(make([]byte, 200))).want(t, 503)
	f.clientBytes.used.Add(-900)
	f.store.do = func(*kv.Call) { panic("a test's") }
	f.send("DELETE", "/db/a", "").want(t, 500)
	counts, errors := f.operations()
	for _, kind := range []string{"get", "put", "delete"} {
		if counts[kind] != 1 || errors[kind] != 1 {
			t.Errorf("%s: %d, of which %d failed", kind, counts[kind], errors[kind])
		}
	}
}

// The time of an operation is that of the store, and has none of the time in which the client sends
// its body.
func TestTimeOfAnOperation(t *testing.T) {
	const slow = 20 * time.Millisecond
	f := start(t, Options{})
	f.store.do = func(*kv.Call) { time.Sleep(slow) } // nothing is waited for: it is what is measured
	f.send("GET", "/db/a", "").want(t, 404)
	st := f.Stats()
	took := &st.Operations[OpGet-1].Took
	if took.Count() != 1 || took.Sum < int64(slow) {
		t.Errorf("%+v", took)
	}
	for i, bound := range histogram.Latencies {
		if bound < int64(slow) && took.Buckets[i] != 0 {
			t.Errorf("it took less than %s", time.Duration(bound))
		}
	}
}
