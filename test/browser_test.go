package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"httpdhs/internal/browser"
	"httpdhs/internal/poll"
)

// networks is held to change those of the machine, and held together while a test uses the browser:
// that fails what it has under way when they change.
var networks sync.RWMutex

func startBrowser(t *testing.T) *browser.Browser {
	t.Helper()
	networks.RLock()
	t.Cleanup(networks.RUnlock)
	return chromium.Start(t)
}

// attack is a page's script. It sends what would write, to everything that writes, in every way
// that a page has. It uses every type of content that a browser sends to another origin without
// asking there first. A form has one of three, which differs with the target and the page: six
// pages bring each form to each target twice. It comes to how many requests that are.
const attack = `(async (node, first, page) => {
  const batch = '{"op":"put","key":"stolen","value":"x"}\n{"op":"delete","key":"kept"}\n';
  const targets = [["load-data", "stolen\tx\nkept\tx\n"], ["batch", batch], ["cluster/leave", "a"], ["internal/link", "a"],
    ["db/stolen", "value=x"], ["db/kept", "value=x"]];
  const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""];
  const url = (path) => node + path + "?attempt=" + first++;
  const began = first;
  const enctypes = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
  for (const [path, text] of targets) {
    const enctype = enctypes[page++ % enctypes.length];
    for (const type of types) {
      const body = new Blob([text], { type });
      await fetch(url(path), { method: "POST", mode: "no-cors", body, credentials: "include" });
      if (!navigator.sendBeacon(url(path), body)) throw new Error("no beacon");
    }
    await fetch(url(path), { method: "POST", mode: "no-cors", body: text });
    await fetch(url(path), { method: "POST", mode: "no-cors" });
    const frame = document.createElement("iframe");
    frame.name = "f" + first;
    document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: url(path), enctype, target: frame.name });
    const field = document.createElement("input");
    [field.name, field.value] = [text, ""];
    form.append(field);
    document.body.append(form);
    form.submit();
  }
  return first - began;
})`

// asked are requests that the browser asks for first: the node's answer to that lets none through.
const asked = `(async (node) => {
  const put = { "Content-Type": "application/x-ndjson" };
  const all = [["db/stolen", "PUT", {}], ["db/kept", "DELETE", {}], ["load-data", "PUT", {}], ["cluster/nodes/a:1", "DELETE", {}],
    ["load-data", "POST", put], ["batch", "POST", put], ["internal/link", "POST", { "X-Mine": "s" }]];
  const through = [];
  for (const [path, method, headers] of all) {
    await fetch(node + path, { method, headers, body: method === "DELETE" ? undefined : "{}" }).then(() => through.push(path), () => {});
  }
  return through;
})`

// linking tries to have the node change to the protocol of nodes.
const linking = `async (node) => {
  await fetch("http://" + node + "/internal/link", { mode: "no-cors", headers: { Connection: "Upgrade", Upgrade: "httpdhs" } }).catch(() => {});
  return await new Promise((done) => {
    const socket = new WebSocket("ws://" + node + "/internal/link", "httpdhs");
    [socket.onopen, socket.onerror] = [() => done(true), () => done(false)];
  });
}`

// A page of another origin writes nothing, whatever its origin is and however it tries: each of its
// requests gets a 403. Nor does a page whose name has come to lead to the node read anything.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	f := newFleet(t, 1, "--replicas=1", "--access-log", "--log-format=json")
	f.startAll()
	own := f.name(0)
	if a := send(t, own, "PUT", "/db/kept", "mine"); a.status != 201 {
		t.Fatalf("PUT: %d %s", a.status, a.body)
	}
	const links = `httpdhs_http_requests_total{code="1xx",method="get"}`
	before := 0.0
	f.eventually("the node has counted the link to itself", func() error {
		if before = f.metrics(0)[links]; before == 0 {
			return errors.New("none is counted")
		}
		return nil
	})

	port := servePages(t)
	host, nodePort, _ := net.SplitHostPort(own)
	total, pages := 0, 0
	for origin, page := range map[string]string{
		"another port":    host + ":" + port + "/",
		"localhost":       "localhost:" + port + "/",
		"a *.localhost":   "evil.localhost:" + port + "/",
		"another address": "127.0.0.2:" + port + "/",
		"another name":    "evil.example:" + port + "/",
		"none, a sandbox": host + ":" + port + "/sandbox",
	} {
		p := b.Open("http://" + page)
		var tried int
		p.Eval(fmt.Sprintf("%s(%q, %d, %d)", attack, "http://"+own+"/", total, pages), &tried)
		pages++
		var through []string
		if p.Eval(fmt.Sprintf("%s(%q)", asked, "http://"+own+"/"), &through); len(through) > 0 {
			t.Errorf("%s: the browser lets it %v", origin, through)
		}
		total += tried
	}
	awaitForbidden(t, f, total)

	// A page can ask for what nodes speak by, but not for a link.
	for _, page := range []string{"http://" + host + ":" + port + "/", "http://" + own + "/"} {
		var opened bool
		if b.Open(page).Eval(fmt.Sprintf("(%s)(%q)", linking, own), &opened); opened {
			t.Errorf("a page of %s has opened a link", page)
		}
	}
	if n := f.metrics(0)[links]; n != before {
		t.Errorf("%v links were opened", n-before)
	}

	// The same name leads to the node itself: now the page is of the node's own origin.
	p := b.Open("http://rebound.example:" + nodePort + "/")
	var status int
	if p.Eval(`fetch("/db/kept").then((r) => r.status)`, &status); status != 403 {
		t.Errorf("by a name that is not its own the node answers %d", status)
	}
	if p.Eval(`fetch("/db/stolen", { method: "PUT", body: "x" }).then((r) => r.status)`, &status); status != 403 {
		t.Errorf("by a name that is not its own the node lets a page write: %d", status)
	}
	if a := send(t, own, "GET", "/db/kept", ""); string(a.body) != "mine" {
		t.Errorf("the key is %d %q", a.status, a.body)
	}
	if a := send(t, own, "GET", "/db/stolen", ""); a.status != 404 {
		t.Errorf("another is %d %q", a.status, a.body)
	}
	if doc, err := f.view(0); err != nil || len(doc.Nodes) != 1 || doc.Nodes[0].State != "active" {
		t.Errorf("the node: %+v, %v", doc.Nodes, err)
	}
}

// The node's own console writes and reads, by each name that leads to the node.
func TestTheConsoleWrites(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	f := newFleet(t, 1, "--replicas=1")
	f.startAll()
	_, port, _ := net.SplitHostPort(f.name(0))
	for _, host := range []string{"127.0.0.1", "localhost", "any.localhost"} {
		p := b.Open("http://" + host + ":" + port + "/")
		p.Await(`document.querySelectorAll("#nodes tr").length === 1`)
		key := "by-" + host
		p.Eval(fmt.Sprintf(`document.getElementById("key").value = %q; document.getElementById("value").value = "from the console"`, key), nil)
		p.Eval(`document.querySelector("#key-form button[value=put]").click()`, nil)
		p.Await(`document.getElementById("result").innerText.includes("201")`)
		if a := send(t, f.name(0), "GET", "/db/"+key, ""); a.status != 200 || string(a.body) != "from the console" || a.header.Get("Cache-Control") != "no-cache, no-transform" {
			t.Errorf("put at %s: %d %q %v", host, a.status, a.body, a.header)
		}
		var status int
		if p.Eval(`fetch("/load-data", { method: "POST", body: "a\tb\n", headers: { "Content-Type": "text/tab-separated-values" } }).then((r) => r.status)`, &status); status != 200 {
			t.Errorf("load at %s: %d", host, status)
		}
	}
}

// servePages serves an empty page on a port of all addresses; under /sandbox it has no origin.
func servePages(t *testing.T) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/sandbox" {
			w.Header().Set("Content-Security-Policy", "sandbox allow-scripts allow-forms")
		}
		_, _ = w.Write([]byte("<!doctype html><title>evil</title><body>"))
	})}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

var attempted = regexp.MustCompile(`"target":"[^"]*[?&]attempt=(\d+)","status":(\d+)`)

// awaitForbidden waits until the node has logged all attempts, each with a 403.
func awaitForbidden(t *testing.T, f *fleet, attempts int) {
	t.Helper()
	poll.Until(t, "each request has its answer", func() error {
		seen := make(map[string]bool)
		for _, m := range attempted.FindAllStringSubmatch(f.proc(0).err.String(), -1) {
			seen[m[1]] = true
			if m[2] != "403" {
				return fmt.Errorf("attempt %s: %s", m[1], m[2])
			}
		}
		if len(seen) != attempts {
			return fmt.Errorf("%d of %d requests have come", len(seen), attempts)
		}
		return nil
	})
}
