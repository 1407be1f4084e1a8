package server

import (
	"slices"
	"strings"
	"testing"
)

// A parameter that a resource does not have is a 400 that names what there is, and nothing is done.
// It may be one of another resource or misspelt. The same goes for one that comes twice. What a
// resource has it takes.
func TestParametersOfEachResource(t *testing.T) {
	f := start(t, Options{})
	good := map[string]string{"w": "one", "r": "one", "ttl": "1h", "timeout": "1s", "prefix": "a", "limit": "9", "cursor": "0000000000000000", "values": "1"}
	resources := []struct {
		method, path, body string
		known              []string
	}{
		{"GET", "/db/k", "", []string{"r", "timeout"}},
		{"HEAD", "/db/k", "", []string{"r", "timeout"}},
		{"PUT", "/db/k", "v", []string{"w", "ttl", "timeout"}},
		{"DELETE", "/db/k", "", []string{"w", "timeout"}},
		{"GET", "/db", "", []string{"prefix", "limit", "cursor", "values", "timeout"}},
		{"POST", "/load-data", "k\tv\n", []string{"w", "ttl", "timeout"}},
		{"PUT", "/load-data", "k\tv\n", []string{"w", "ttl", "timeout"}},
		{"POST", "/batch", `{"op":"put","key":"k","value":"v"}`, []string{"w", "r", "ttl", "timeout"}},
		{"GET", "/cluster", "", []string{"timeout"}},
		{"GET", "/cluster/key/k", "", []string{"timeout"}},
		{"GET", "/cluster/ring", "", nil},
		{"POST", "/cluster/leave", "", nil},
		{"DELETE", "/cluster/nodes/down:1", "", nil},
	}
	for _, r := range resources {
		refuse := func(query string) {
			t.Helper()
			a := f.send(r.method, r.path+"?"+query, r.body)
			if a.want(t, 400); r.method != "HEAD" && !strings.Contains(a.body, strings.Join(r.known, ", ")) {
				t.Errorf("%s %s?%s: %s", r.method, r.path, query, a.body)
			}
		}
		for name, value := range good {
			if !slices.Contains(r.known, name) {
				refuse(name + "=" + value)
			} else if a := f.send(r.method, r.path+"?"+name+"="+value+"&"+strings.ToUpper(name)+"=1", r.body); a.status != 400 {
				t.Errorf("%s %s: %s in capitals: %d", r.method, r.path, name, a.status)
			}
		}
		refuse("TTL=1h")
		refuse("x")
		refuse("=1")
		if f.store.size() != 0 || f.cluster.left != 0 || len(f.cluster.removed) != 0 {
			t.Fatalf("%s %s: something was done", r.method, r.path)
		}
		for _, name := range r.known {
			a := f.send(r.method, r.path+"?"+name+"="+good[name]+"&"+name+"="+good[name], r.body)
			if a.want(t, 400); r.method != "HEAD" && !strings.Contains(a.body, "twice") {
				t.Errorf("%s %s: %s twice: %s", r.method, r.path, name, a.body)
			}
			if a := f.send(r.method, r.path+"?"+name+"="+good[name], r.body); a.status == 400 {
				t.Errorf("%s %s?%s: %s", r.method, r.path, name, a.body)
			}
			clear(f.store.entries)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/"} { // a probe is not to fail for what its asker adds
		f.send("GET", path+"?verbose=1", "").want(t, 200)
	}
}

// Who sends a body to what takes none means something by it: another node, say.
func TestBodiesThatMeanNothing(t *testing.T) {
	f := start(t, Options{})
	for _, r := range [][2]string{{"POST", "/cluster/leave"}, {"DELETE", "/cluster/nodes/down:1"}} {
		a := f.send(r[0], r[1], `{"node":"up:1"}`)
		if a.want(t, 400); !strings.Contains(a.body, "takes no body") {
			t.Errorf("%s %s: %s", r[0], r[1], a.body)
		}
		if got := f.raw(r[0] + " " + r[1] + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
			t.Errorf("%s %s, chunked: %s", r[0], r[1], got)
		}
	}
	if f.cluster.left != 0 || len(f.cluster.removed) != 0 {
		t.Error("it was done")
	}
	f.send("POST", "/cluster/leave", "").want(t, 202)
	f.send("DELETE", "/cluster/nodes/down:1", "").want(t, 204)
}
