package test

import (
	"fmt"
	"net"
	"reflect"
	"testing"
)

// friendly is the script of a page that uses a node as an application would, and says what it could
// read of each answer.
const friendly = `(async (node) => {
  const ask = async (path, method, headers, body) => {
    const r = await fetch(node + path, { method, headers, body, cache: "no-store" });
    const told = ["etag", "x-dht-acks", "content-range"].filter((name) => r.headers.has(name));
    return r.status + " " + told.join(" ") + (method === "GET" && r.ok ? " " + await r.text() : "");
  };
  return [
    await ask("db/film", "PUT", { "If-None-Match": "*", "Content-Type": "text/plain", traceparent: "00-" + "1".repeat(32) + "-" + "2".repeat(16) + "-01" }, "0123456789"),
    await ask("db/film", "PUT", { "If-None-Match": "*" }, "again"),
    await ask("db/film", "GET", { Range: "bytes=2-4" }),
    await ask("db/film", "GET", { Range: "bytes=99-" }),
    await ask("db/none", "GET", {}),
    await ask("db/film", "DELETE", { "If-Match": "*" }),
  ];
})`

// A page of an origin that --cors-origins has reads, writes under a condition and deletes. It reads
// of each answer what it needs, errors too. A page of another origin reads nothing. Nor does any
// page by a name that --hosts does not have.
func TestPagesOfOriginsThatAreAllowed(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	pages := servePages(t)
	f := newFleet(t, 1, "--replicas=1", "--cors-origins=http://app.example:"+pages+",http://other.example", "--hosts=kv.example")
	f.startAll()
	_, port, _ := net.SplitHostPort(f.name(0))
	page := b.Open("http://app.example:" + pages + "/")
	var told []string
	page.Eval(fmt.Sprintf("%s(%q)", friendly, "http://kv.example:"+port+"/"), &told)
	want := []string{"201 etag x-dht-acks", "412 etag", "206 etag content-range 234", "416 content-range", "404 ", "204 x-dht-acks"}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("the page was told %q, want %q", told, want)
	}
	for from, to := range map[string]string{"evil.example": "kv.example", "app.example": "rebound.example"} {
		var failed bool
		b.Open("http://"+from+":"+pages+"/").Eval(fmt.Sprintf(
			`fetch("http://%s:%s/db/film").then((r) => r.status === 200 || r.status === 404, () => false).then((ok) => !ok)`, to, port), &failed)
		if !failed {
			t.Errorf("a page of %s has read %s", from, to)
		}
	}
}
