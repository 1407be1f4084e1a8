package server

import (
	"testing"

	"httpdhs/kv"
)

// DELETE of a prefix tells how many keys are gone, and where to go on if that is not all. Without a
// prefix it does nothing.
func TestDeletesByPrefix(t *testing.T) {
	f := start(t, Options{})
	for _, key := range []string{"a1", "a2", "b1", "b2", "b3"} {
		f.send("PUT", "/db/"+key, "v").want(t, 201)
	}
	f.send("DELETE", "/db", "").want(t, 400)
	f.send("DELETE", "/db?cursor=0000000000000000", "").want(t, 400)
	f.send("DELETE", "/db?prefix=a", "body").want(t, 400)
	answer := func(target string, status int, want string) {
		t.Helper()
		if a := f.send("DELETE", target, ""); a.status != status || a.body != want+"\n" {
			t.Errorf("DELETE %s: %d %q, want %d %s", target, a.status, a.body, status, want)
		}
	}
	answer("/db?prefix=a", 200, `{"deleted":2}`)
	f.store.clearMost = 1
	answer("/db?prefix=", 200, `{"deleted":1,"cursor":"0000000000000000"}`)
	f.store.fail = kv.ErrUnavailable
	answer("/db?prefix=&w=all&cursor=0000000000000000", 503,
		`{"deleted":1,"cursor":"0000000000000000","error":"too few replicas are up; ask for fewer replicas or wait until more are up"}`)
	f.store.fail, f.store.clearMost = kv.ErrTimeout, 0
	answer("/db?prefix=", 200, `{"deleted":1}`)
	answer("/db?prefix=", 503, `{"deleted":0,"error":"too few replicas answered in time; try again, with a longer ?timeout= or fewer replicas"}`)
}
