package client

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An address is host:port, or a URL of no path. What is neither is refused, with what to write.
func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:1234":        "localhost:1234",
		"[::1]:1234":            "[::1]:1234",
		"http://h:1":            "http h:1",
		"http://h:1/":           "http h:1",
		"HTTP://h":              "http h:80",
		"https://dht.example":   "https dht.example:443",
		"https://[::1]":         "https [::1]:443",
		"https://10.0.0.1:1234": "https 10.0.0.1:1234",
	} {
		a, err := parseAddr(text)
		if got := strings.TrimSpace(a.scheme + " " + a.host); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                  "is not host:port, as in localhost:1234",
		"localhost":         "is not host:port",
		"::1:1234":          "is not host:port",
		"a:1,b:2":           "is not host:port",
		"h:1/db":            "is not host:port",
		":1234":             "is not host:port",
		"h:0":               `the port "0": want a number`,
		"h:70000":           `the port "70000"`,
		"http://h:70000":    `the port "70000"`,
		"http://h:1/db":     "more than a host and a port",
		"http://h:1?w=all":  "more than a host and a port",
		"http://":           "is not host:port",
		"ftp://h:1":         "the scheme ftp: want http or https",
		"http://u:secret@h": "a token goes to Options.Token",
		"http://h:x":        "is not a URL",
	} {
		if _, err := parseAddr(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// New refuses what cannot be meant, and says what to do. The zero value of a field is its default.
func TestNewChecksOptions(t *testing.T) {
	own := &tls.Config{}
	for _, tc := range []struct {
		opts Options
		want string // in the error; empty: none
	}{
		{Options{}, "set Options.Addrs"},
		{Options{Addrs: []string{"h"}}, "is not host:port"},
		{Options{Addrs: []string{"http://h:1", "https://h:2"}}, `"http://h:1" is without TLS`},
		{Options{Addrs: []string{"https://h:2", "http://h:1"}}, `"http://h:1" is without TLS`},
		{Options{Addrs: []string{"http://h:1"}, TLS: own}, `"http://h:1" is without TLS`},
		{Options{Addrs: []string{"h:1"}, TLS: own}, ""},
		{Options{Addrs: []string{"h:1", " https://h:2\n"}}, ""},
		{Options{Addrs: []string{"h:1"}, Timeout: -1}, "negative"},
		{Options{Addrs: []string{"h:1"}, MaxConns: -1}, "negative"},
		{Options{Addrs: []string{"h:1"}, Token: "a\nb"}, "control characters"},
		{Options{Addrs: []string{"h:1"}, UserAgent: "a\r\nb: c"}, "control characters"},
	} {
		c, err := New(tc.opts)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.opts, err, tc.want)
		}
		if err == nil && !c.tls {
			t.Errorf("%+v: without TLS", tc.opts)
		}
	}
	c, _ := newClient(t, Options{Addrs: []string{"h:1"}, TLS: own})
	if o := c.opts; o.Timeout != defaultTimeout || o.DialTimeout != defaultDialTimeout || o.MaxConns != defaultMaxConns || o.TLS == own {
		t.Errorf("the defaults are %+v", o)
	}
}

// A number of the options of a call that cannot be meant is an error that says what to do. It is
// not taken for the default, and nothing is sent.
func TestCallsCheckOptions(t *testing.T) {
	node := newFakeNode(t, func(http.ResponseWriter, *http.Request) {})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}, NoRouting: true})
	load := func(opts *LoadOptions) error {
		_, err := c.NewLoader(opts).Load(background, Pairs(maps.All(map[string][]byte{"k": nil})))
		return err
	}
	read := func(opts *ReadOptions) (first error) {
		for _, first = range ReadRecords(strings.NewReader("k\tv\n"), TSV, opts) {
			break
		}
		return first
	}
	keys := func(opts *KeysOptions) (first error) {
		for _, first = range c.Keys(background, opts) {
			break
		}
		return first
	}
	put := func(ttl time.Duration) error {
		_, err := c.Put(background, "k", nil, &PutOptions{TTL: ttl})
		return err
	}
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"page", keys(&KeysOptions{Page: -1}), "use 1 to 10000, or 0 for the default"},
		{"block timeout", load(&LoadOptions{BlockTimeout: -1}), "use 0 for the default"},
		{"load ttl", load(&LoadOptions{TTL: -1}), "use a positive one, or 0"},
		{"load ttl without unit", load(&LoadOptions{TTL: 90}), "as in 90 * time.Second"},
		{"key limit", read(&ReadOptions{MaxKeyBytes: -1}), "use 0 for the default"},
		{"value limit", read(&ReadOptions{MaxValueBytes: -1}), "use 0 for the default"},
		{"ttl", put(-time.Second), "the TTL is -1s: use a positive one, or 0"},
		{"ttl without unit", put(90), "as in 90 * time.Second"},
		{"ttl in a batch", c.Batch(background, []Op{{Kind: OpPut, Key: "k", TTL: -1}}, nil)[0].Err, "use a positive one, or 0"},
		{"no name", c.Remove(background, ""), "name the node"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, tc.err, tc.want)
		}
	}
	if asked := node.about("/"); len(asked) > 0 {
		t.Errorf("the node was asked: %q", asked)
	}
}

// A token is often read from a file, and has its newline.
func TestTokenOfAFile(t *testing.T) {
	got := ""
	node := newFakeNode(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	c, _ := newClient(t, Options{Addrs: []string{node.addr}, Token: " secret\n"})
	if _, err := c.Get(background, "k", nil); err != nil || got != "Bearer secret" {
		t.Errorf("sent %q, %v", got, err)
	}
}

// With NoRouting, nodes are asked at the given addresses alone, and the keys are spread over them.
func TestNoRouting(t *testing.T) {
	cluster := newFakeCluster(t, 3, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	addrs := []string{cluster.nodes[0].addr, cluster.nodes[1].addr}
	c, _ := newClient(t, Options{Addrs: addrs, NoRouting: true})
	if ring, err := c.Ring(background); err != nil || len(ring.Nodes) != 3 {
		t.Errorf("the ring is %+v, %v", ring, err)
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		if _, err := c.Get(background, key, nil); err != nil {
			t.Error(err)
		}
	}
	for i, want := range []bool{true, true, false} {
		if got := len(cluster.nodes[i].about("/db/")) > 0; got != want {
			t.Errorf("node %d is asked: %v, want %v", i, got, want)
		}
	}
	if n := len(cluster.nodes[0].about("/cluster/ring")) + len(cluster.nodes[1].about("/cluster/ring")); n != 1 {
		t.Errorf("the ring was looked at %d times, want once", n)
	}
}

// After Close every call fails at once, and a second Close does no harm. A call under way goes on
// to its end.
func TestClose(t *testing.T) {
	cluster, asked := hangingNode(t, "/db/slow", 1)
	c, waits := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(background)
	go func() { _, err := c.Get(ctx, "slow", nil); done <- err }()
	<-asked
	c.Close()
	c.Close()
	select {
	case err := <-done:
		t.Errorf("a call under way ends with %v", err)
	default:
	}
	cancel()
	<-done
	for name, call := range map[string]func() error{
		"get":     func() error { _, err := c.Get(background, "k", nil); return err },
		"put":     func() error { _, err := c.Put(background, "k", nil, nil); return err },
		"delete":  func() error { return c.Delete(background, "k", nil) },
		"gets":    func() error { _, err := c.GetMany(background, []string{"k"}, nil); return err },
		"cluster": func() error { _, err := c.Cluster(background); return err },
		"ring":    func() error { _, err := c.Ring(background); return err },
		"load":    func() error { _, err := loadTSV(c, "k\tv\n"); return err },
		"keys": func() error {
			for _, err := range c.Keys(background, nil) {
				return err
			}
			return nil
		},
	} {
		wantErrors(t, name, call(), ErrClosed)
	}
	if len(*waits) > 0 {
		t.Errorf("it waited %v", *waits)
	}
}

// What the caller does to a ring changes nothing for the client.
func TestRingIsTheCallers(t *testing.T) {
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	for range 2 { // the second is unchanged since the first
		ring, err := c.Ring(background)
		if err != nil {
			t.Fatal(err)
		}
		for p := range ring.Owners {
			ring.Owners[p][0] = 0
		}
		ring.Nodes[0].Name = "gone"
	}
	key := cluster.keyOf(1)
	if _, err := c.Get(background, key, nil); err != nil || len(cluster.nodes[1].about("/db/")) != 1 {
		t.Errorf("the primary was not asked: %v", err)
	}
	if c.routes.Load().ring.Nodes[0].Name == "gone" {
		t.Error("the ring of the client has changed")
	}
}
