package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// sentinels are all errors that errors.Is can tell.
var sentinels = []error{
	ErrNotFound, ErrConditionFailed, ErrOutcomeUnknown, ErrUnavailable, ErrFull, ErrIncomplete,
	ErrUnauthorized, ErrWantsTLS, ErrNoTLS, ErrClosed, context.Canceled, context.DeadlineExceeded,
}

// wantErrors checks that err matches these errors and no others.
func wantErrors(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) != slices.Contains(want, sentinel) {
			t.Errorf("%s: %v: errors.Is(%v) is %v", what, err, sentinel, errors.Is(err, sentinel))
		}
	}
	if err == nil {
		t.Errorf("%s: no error", what)
	}
}

// Each answer is the errors that it stands for, and no others: to a read and to a write, of a node,
// and of what stands before the node or in its place.
func TestErrorsOfAnswers(t *testing.T) {
	status, body, retryAfter, name := 0, "", "", ""
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.Header().Set("ETag", `"7"`)
		w.Header().Set(headerNode, name)
		reply(w, status, body)
	})
	const unknown = `{"error":"e","acks":1,"required":2,"outcome":"unknown"}`
	fullOpen := []error{ErrFull, ErrOutcomeUnknown}
	not, failed, full, open := []error{ErrNotFound}, []error{ErrConditionFailed}, []error{ErrFull}, []error{ErrOutcomeUnknown}
	later, token, tls := []error{ErrUnavailable}, []error{ErrUnauthorized}, []error{ErrWantsTLS}
	for _, tc := range []struct {
		status           int
		body, retryAfter string
		read, write      []error // of a node
		readX, writeX    []error // of another
	}{
		{404, "", "", not, not, nil, nil},
		{412, "", "", failed, failed, nil, nil},
		{401, "", "", token, token, token, token},
		{421, "", "", tls, tls, tls, tls},
		{400, "", "", nil, nil, nil, nil},
		{413, "", "", nil, nil, nil, nil},
		{507, "", "", full, full, full, fullOpen},
		{507, unknown, "", append(open, full...), append(open, full...), append(open, full...), append(open, full...)},
		{503, unknown, "", open, open, open, open},
		{503, "", "9", later, later, later, open},
		{500, "", "", nil, open, nil, open},
		{502, "", "", later, later, later, open},
		{503, "", "", later, later, later, open},
		{504, "", "", later, later, later, open},
		{524, "", "", nil, nil, nil, open},
		{302, "", "", nil, nil, nil, nil},
	} {
		for _, name = range []string{"n:1", ""} {
			status, body, retryAfter = tc.status, tc.body, tc.retryAfter
			read, write := tc.read, tc.write
			if name == "" {
				read, write = tc.readX, tc.writeX
			}
			c, _ := newClient(t, Options{Addrs: []string{node.addr}, NoRouting: true, Timeout: 5 * time.Second})
			what := fmt.Sprintf("%d %s of %q", status, body, name)
			_, err := c.Get(background, "k", nil)
			wantErrors(t, "a get: "+what, err, read...)
			_, err = c.Put(background, "k", nil, nil)
			wantErrors(t, "a put: "+what, err, write...)
			var answer *StatusError
			if !errors.As(err, &answer) || answer.Status != status || (answer.ETag == `"7"`) != (status == 412) {
				t.Errorf("a put: %s: %+v", what, answer)
			}
			wantErrors(t, "a delete: "+what, c.Delete(background, "k", nil), write...)
		}
	}
}

// A server that is no node, at a wrong address say, has no keys and no values. Reads go on to the
// next address. Whether it has passed a write on is not known.
func TestNoNode(t *testing.T) {
	other := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Del(headerNode)
		reply(w, 200, "<h1>It works!</h1>")
	})
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/db/") {
			w.WriteHeader(404)
		}
	})
	c, _ := newClient(t, Options{Addrs: []string{other.addr}})
	_, err := c.Get(background, "k", nil)
	if wantErrors(t, "a get", err); err.Error() != "check the address of the node (status 200 from "+other.addr+", which is no node of httpdhs)" {
		t.Error(err)
	}
	_, err = c.Put(background, "k", nil, nil)
	wantErrors(t, "a put", err, ErrOutcomeUnknown)
	for _, err := range c.Keys(background, nil) {
		wantErrors(t, "a listing", err)
	}
	c, _ = newClient(t, Options{Addrs: []string{other.addr, node.addr}})
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if _, err := c.Get(background, key, nil); err != nil {
			t.Errorf("with a node at the next address: %v", err)
		}
	}
	if len(other.about("/db/")) < 2 {
		t.Error("the other was not asked first")
	}
}

// The text of an error has what the node says, the status, and who said it.
func TestErrorTexts(t *testing.T) {
	status, body := 0, ""
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) })
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	for _, tc := range []struct {
		status     int
		body, text string
	}{
		{404, `{"error":"no such key"}`, "no such key (status 404 from " + node.addr + ")"},
		{401, "go away\nplease", "go away (status 401 from " + node.addr + ")"},
		{507, "", "insufficient storage (status 507 from " + node.addr + ")"},
	} {
		status, body = tc.status, tc.body
		if _, err := c.Put(background, "k", nil, nil); err == nil || err.Error() != tc.text {
			t.Errorf("status %d: got %v", tc.status, err)
		}
	}
}

// Nobody there: a write was certainly not done.
func TestNobodyThere(t *testing.T) {
	c, _ := newClient(t, Options{Addrs: []string{deadAddr(t)}})
	_, err := c.Put(background, "k", nil, nil)
	wantErrors(t, "a put", err, ErrUnavailable)
	_, err = c.Get(background, "k", nil)
	wantErrors(t, "a get", err, ErrUnavailable)
	doc, err := c.Cluster(background)
	if wantErrors(t, "the cluster", err, ErrUnavailable); doc != nil {
		t.Errorf("with a document: %+v", doc)
	}
}

// A call whose time is over matches context.DeadlineExceeded, whether its context has set the time
// or the options have.
func TestTimeIsOver(t *testing.T) {
	cluster, _ := hangingNode(t, "/db/k", 1)
	const short = time.Second
	for _, by := range []string{"options", "context"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
			if _, err := c.Ring(background); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := background, func() {}
			limit := func() {
				if c.opts.Timeout = short; by == "context" {
					c.opts.Timeout = time.Hour
					ctx, cancel = context.WithTimeout(background, short)
				}
			}
			limit()
			_, err := c.Get(ctx, "k", nil)
			cancel()
			wantErrors(t, "a get", err, ErrUnavailable, context.DeadlineExceeded)
			limit()
			_, err = c.Put(ctx, "k", nil, nil)
			cancel()
			wantErrors(t, "a put", err, ErrOutcomeUnknown, context.DeadlineExceeded)
		})
	}
}

// A call that has no time from the start sends nothing.
func TestNoTimeFromTheStart(t *testing.T) {
	cluster := newFakeCluster(t, 1, func(int, http.ResponseWriter, *http.Request) {})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	over, cancel := context.WithTimeout(background, -1)
	defer cancel()
	_, err := c.Put(over, "k", nil, nil)
	wantErrors(t, "a put", err, context.DeadlineExceeded)
	if asked := cluster.nodes[0].about("/"); len(asked) > 0 {
		t.Errorf("the node was asked: %q", asked)
	}
}

// An answer that is larger than the client takes is an error that says so, and not a node that is
// down.
func TestAnswerTooLarge(t *testing.T) {
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, 200, string(make([]byte, 20_000))) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, MaxResponseBytes: 10_000})
	_, err := c.Get(background, "k", nil)
	wantErrors(t, "a get", err)
	const want = "the answer has more than the 10000 bytes of Options.MaxResponseBytes"
	if err.Error() != cluster.nodes[cluster.primary("k")].addr+": "+want {
		t.Error(err)
	}
	if n := len(cluster.nodes[0].about("/db/")) + len(cluster.nodes[1].about("/db/")); n != 1 {
		t.Errorf("%d nodes were asked", n)
	}
	_, err = c.Put(background, "k", nil, nil)
	wantErrors(t, "a put", err, ErrOutcomeUnknown)
}

// A request that waits for a connection until its time is over, or until it is cancelled, was not
// sent. The node is not taken for down.
func TestNoConnectionIsFree(t *testing.T) {
	cluster, asked := hangingNode(t, "/db/slow", 1)
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, MaxConns: 1})
	if _, err := c.Ring(background); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(background)
	slow := make(chan error, 1)
	go func() { _, err := c.Get(ctx, "slow", nil); slow <- err }()
	<-asked

	short, stop := context.WithTimeout(background, 50*time.Millisecond)
	defer stop()
	_, err := c.Put(short, "k", nil, nil)
	wantErrors(t, "a put", err, ErrUnavailable, context.DeadlineExceeded)
	if !strings.Contains(err.Error(), errNoConn.Error()) {
		t.Errorf("a put: %v", err)
	}
	if e := c.routes.Load().all[0]; !e.usable(time.Now()) {
		t.Error("the node is taken for down")
	}

	waiting, giveUp := context.WithCancel(background)
	time.AfterFunc(10*time.Millisecond, giveUp) // whether it waits by then or not
	_, err = c.Put(waiting, "k", nil, nil)
	wantErrors(t, "a put that was cancelled", err, context.Canceled)
	cancel()
	<-slow
}
