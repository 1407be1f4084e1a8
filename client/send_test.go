package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

var background = context.Background()

// With the ring known, every request goes straight to its key's primary.
func TestKeyGoesToItsPrimary(t *testing.T) {
	cluster := newFakeCluster(t, 3, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		before := len(cluster.nodes[cluster.primary(key)].about("/db/" + key))
		if _, err := c.Get(background, key, nil); err != nil {
			t.Fatal(err)
		}
		if got := len(cluster.nodes[cluster.primary(key)].about("/db/" + key)); got != before+1 {
			t.Errorf("the primary of %q was not asked", key)
		}
	}
	if n := len(cluster.nodes[0].about("/cluster/ring")); n != 1 {
		t.Errorf("the ring was fetched %d times, want once", n)
	}
}

// A read goes on to other nodes whatever is wrong with the first: nobody
// listens, it hangs up, it never answers, it is broken.
func TestReadFailsOver(t *testing.T) {
	hang := make(chan struct{})
	for name, fault := range map[string]func(http.ResponseWriter){
		"hangs up":       hangUp,
		"never answers":  func(http.ResponseWriter) { <-hang },
		"internal error": func(w http.ResponseWriter) { reply(w, 500, "") },
		"stopping":       func(w http.ResponseWriter) { reply(w, 503, `{"error":"stopping"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newFakeCluster(t, 3, func(node int, w http.ResponseWriter, _ *http.Request) {
				if node == 1 {
					fault(w)
					return
				}
				reply(w, 200, "v")
			})
			timeout := time.Minute
			if name == "never answers" {
				timeout = 3 * time.Second // of which one node takes a part
				t.Cleanup(func() { close(hang) })
			}
			c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: timeout})
			v, err := c.Get(background, cluster.keyOf(1), nil)
			if err != nil || string(v.Data) != "v" {
				t.Fatalf("got %q, %v", v.Data, err)
			}
			if len(cluster.nodes[1].about("/db/")) != 1 {
				t.Error("the primary was not asked first")
			}
		})
	}
}

// A write is sent again only when nothing of it left: here, nobody listens.
func TestWriteFailsOverWhenNothingWasSent(t *testing.T) {
	cluster := newFakeCluster(t, 3, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 201, "") })
	cluster.nodes[1].Close()
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	written, err := c.Put(background, cluster.keyOf(1), nil, nil)
	if err != nil || !written.Created {
		t.Fatalf("got %+v, %v", written, err)
	}
}

// A write that may have been read is never sent twice, and says so.
func TestWriteThatWasSentHasAnUnknownOutcome(t *testing.T) {
	cluster := newFakeCluster(t, 3, func(node int, w http.ResponseWriter, _ *http.Request) {
		if node == 1 {
			hangUp(w)
		}
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	key := cluster.keyOf(1)
	_, err := c.Put(background, key, []byte("v"), nil)
	wantErrors(t, "put", err, ErrOutcomeUnknown)
	if want := ErrOutcomeUnknown.Error() + ": " + cluster.nodes[1].addr + ": " + errHungUp.Error(); err.Error() != want {
		t.Errorf("put: %v, want %s", err, want)
	}
	if err := c.Delete(background, key, nil); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("delete: got %v, want ErrOutcomeUnknown", err)
	}
	for i, want := range []int{0, 2, 0} {
		if got := len(cluster.nodes[i].about("/db/")); got != want {
			t.Errorf("node %d was asked %d times, want %d", i, got, want)
		}
	}
}

// A 503 with Retry-After says that nothing was done: other nodes are asked,
// and after the wait all of them again. One that says that the outcome is
// unknown is final, whatever else it says.
func TestRetryAfter(t *testing.T) {
	refusals := 3
	body := `{"error":"overloaded"}`
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if refusals--; refusals >= 0 {
			w.Header().Set("Retry-After", "1")
			reply(w, 503, body)
			return
		}
		reply(w, 204, "")
	})
	c, waits := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	if _, err := c.Put(background, "k", []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(*waits, []time.Duration{time.Second}) {
		t.Errorf("waited %v, want one second once", *waits)
	}

	refusals, body = 3, `{"error":"too few","acks":1,"required":2,"outcome":"unknown"}`
	_, err := c.Put(background, "k", []byte("v"), nil)
	var status *StatusError
	if !errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &status) || status.Acks != 1 || status.Required != 2 {
		t.Errorf("got %v, want an unknown outcome with 1 of 2", err)
	}
	if refusals != 2 {
		t.Errorf("a write with an unknown outcome was sent %d times", 3-refusals)
	}
}

// A refusal that comes slowly is the answer when another would come too late: it does not end as a
// timeout, and a write that was not done not as one that may have been.
func TestRefusalIsNotLostToATimeout(t *testing.T) {
	var asked atomic.Int64
	end := make(chan struct{})
	defer close(end)
	const took = 1500 * time.Millisecond
	cluster := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			<-end
		}
		w.Header().Set("Retry-After", "1")
		reply(w, 503, `{"error":"no cluster yet"}`)
	})
	c, waits := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: 2 * time.Second})
	start := time.Now()
	c.now = func() time.Time { return start.Add(time.Duration(asked.Load()) * took) }
	_, err := c.Put(background, "k", []byte("v"), nil)
	var status *StatusError
	if !errors.As(err, &status) || status.Message != "no cluster yet" || errors.Is(err, ErrOutcomeUnknown) || len(*waits) > 0 {
		t.Errorf("put: %v after %v", err, *waits)
	}
	asked.Store(0)
	c.now = time.Now // so it seems that there is time
	if _, err := c.Get(background, "k", nil); !errors.As(err, &status) || asked.Load() != 2 {
		t.Errorf("get: %v after %d attempts", err, asked.Load())
	}
}

// The ring is a shortcut and no condition: where its names cannot be reached,
// or there is none, the address that was given serves.
func TestRingOfUnreachableNames(t *testing.T) {
	cluster := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, "v") })
	cluster.ring.Nodes[0].Name = deadAddr(t)
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	if _, err := c.Put(background, "k", []byte("v"), nil); err != nil {
		t.Errorf("names that nobody listens at: %v", err)
	}

	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cluster/ring" {
			reply(w, 200, `{"hash":"xxh3-64","partitions":3}`)
		}
	})
	c, _ = newClient(t, Options{Addrs: []string{node.addr}})
	if _, err := c.Get(background, "k", nil); err != nil {
		t.Errorf("a ring that makes no sense: %v", err)
	}
}

// The client looks at the ring again when its copy is old. It does not fetch an unchanged ring a
// second time.
func TestRingIsLookedAtAgain(t *testing.T) {
	cluster := newFakeCluster(t, 2, func(int, http.ResponseWriter, *http.Request) {})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	now := time.Now()
	c.now = func() time.Time { return now }
	key := cluster.keyOf(0)
	get := func(wantFirst int, wantLooks int) {
		t.Helper()
		before := len(cluster.nodes[wantFirst].about("/db/"))
		if _, err := c.Get(background, key, nil); err != nil {
			t.Fatal(err)
		}
		if len(cluster.nodes[wantFirst].about("/db/")) != before+1 {
			t.Errorf("node %d was not asked", wantFirst)
		}
		if got := len(cluster.nodes[0].about("/cluster/ring")); got != wantLooks {
			t.Errorf("the ring was looked at %d times, want %d", got, wantLooks)
		}
	}
	get(0, 1)
	now = now.Add(ringMaxAge)
	get(0, 2) // 304
	for p := range cluster.ring.Owners {
		slices.Reverse(cluster.ring.Owners[p])
	}
	cluster.ring.Fingerprint = "f2"
	get(0, 2)
	now = now.Add(ringMaxAge)
	get(1, 3)
}

// A node that cannot be reached is left alone for a while and then tried by
// one request, so that not every request pays for it.
func TestUnreachableNodeIsLeftAlone(t *testing.T) {
	e := &endpoint{host: (&Client{}).newEndpoint("127.0.0.1:1").host}
	now := time.Unix(1000, 0)
	want := func(usable bool) {
		t.Helper()
		if got := e.usable(now); got != usable {
			t.Fatalf("usable is %v, want %v", got, usable)
		}
	}
	want(true)
	e.failed(now, errors.New("connection reset")) // a restart, perhaps
	want(true)
	e.failed(now, &dialError{errors.New("refused")})
	want(false)
	now = now.Add(backoffMin)
	want(true)
	want(false) // one is on its way already
	e.failed(now, &dialError{errors.New("refused")})
	now = now.Add(backoffMin)
	want(false) // longer, after the second time
	e.succeeded()
	want(true)
}

// TLS with an authority of one's own, and the token, are sent to every node.
func TestTLSAndToken(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerNode, "n:1")
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(401)
		}
	}))
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	c, _ := newClient(t, Options{Addrs: []string{server.URL}, Token: "secret", TLS: &tls.Config{RootCAs: pool}})
	if _, err := c.Get(background, "k", nil); err != nil {
		t.Error(err)
	}
	c, _ = newClient(t, Options{Addrs: []string{server.URL}})
	var untrusted *tls.CertificateVerificationError
	if _, err := c.Put(background, "k", nil, nil); !errors.As(err, &untrusted) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("an unknown authority: got %v", err)
	}
}
