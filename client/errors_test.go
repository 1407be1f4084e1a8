package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
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

// Each answer is the errors that it stands for, and no others: of a node, of a proxy before it, to a
// read and to a write. What a proxy could not pass on may have arrived.
func TestErrorsOfAnswers(t *testing.T) {
	status, body, retryAfter := 0, "", ""
	proxy := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.Header().Set("ETag", `"7"`)
		reply(w, status, body)
	})
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Dht-Node", "n:1")
		proxy.handler(w, r)
	})
	const unknown = `{"error":"e","acks":1,"required":2,"outcome":"unknown"}`
	for _, tc := range []struct {
		status             int
		body, retryAfter   string
		read, write        []error // of a node
		ofProxy, writeThru []error // nil: as those of a node
	}{
		{status: 404, read: []error{ErrNotFound}, write: []error{ErrNotFound}},
		{status: 412, read: []error{ErrConditionFailed}, write: []error{ErrConditionFailed}},
		{status: 401, read: []error{ErrUnauthorized}, write: []error{ErrUnauthorized}},
		{status: 421, read: []error{ErrWantsTLS}, write: []error{ErrWantsTLS}},
		{status: 400}, {status: 403}, {status: 408}, {status: 413},
		{status: 507, read: []error{ErrFull}, write: []error{ErrFull}},
		{status: 507, body: unknown, read: []error{ErrFull, ErrOutcomeUnknown}, write: []error{ErrFull, ErrOutcomeUnknown}},
		{status: 500, write: []error{ErrOutcomeUnknown}},
		{status: 503, body: unknown, read: []error{ErrOutcomeUnknown}, write: []error{ErrOutcomeUnknown}},
		{status: 503, read: []error{ErrUnavailable}, write: []error{ErrUnavailable}, writeThru: []error{ErrOutcomeUnknown}},
		{status: 503, retryAfter: "9", read: []error{ErrUnavailable}, write: []error{ErrUnavailable}},
		{status: 502, read: []error{ErrUnavailable}, write: []error{ErrUnavailable}, writeThru: []error{ErrOutcomeUnknown}},
		{status: 504, read: []error{ErrUnavailable}, write: []error{ErrUnavailable}, writeThru: []error{ErrOutcomeUnknown}},
	} {
		status, body, retryAfter = tc.status, tc.body, tc.retryAfter
		if tc.writeThru == nil {
			tc.writeThru = tc.write
		}
		for who, f := range map[string]*fakeNode{"node": node, "proxy": proxy} {
			c, _ := newClient(t, Options{Addrs: []string{f.addr}, NoRouting: true, Timeout: 5 * time.Second})
			what := http.StatusText(status) + " of a " + who + " " + body
			_, err := c.Get(background, "k", nil)
			wantErrors(t, "a get: "+what, err, tc.read...)
			want := tc.write
			if who == "proxy" {
				want = tc.writeThru
			}
			_, err = c.Put(background, "k", nil, nil)
			wantErrors(t, "a put: "+what, err, want...)
			var answer *StatusError
			if !errors.As(err, &answer) || answer.Status != status || (answer.ETag == `"7"`) != (status == 412) {
				t.Errorf("a put: %s: %+v", what, answer)
			}
			wantErrors(t, "a delete: "+what, c.Delete(background, "k", nil), want...)
		}
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
	addrs := []string{cluster.nodes[0].addr}
	const short = 50 * time.Millisecond
	for name, tc := range map[string]struct {
		opts Options
		ctx  func() (context.Context, context.CancelFunc)
	}{
		"options": {Options{Addrs: addrs, Timeout: short}, func() (context.Context, context.CancelFunc) {
			return background, func() {}
		}},
		"context": {Options{Addrs: addrs}, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(background, short)
		}},
	} {
		c, _ := newClient(t, tc.opts)
		if _, err := c.Ring(background); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := tc.ctx()
		_, err := c.Get(ctx, "k", nil)
		cancel()
		wantErrors(t, name+": a get", err, ErrUnavailable, context.DeadlineExceeded)
		ctx, cancel = tc.ctx()
		_, err = c.Put(ctx, "k", nil, nil)
		cancel()
		wantErrors(t, name+": a put", err, ErrOutcomeUnknown, context.DeadlineExceeded)
	}
	c, _ := newClient(t, Options{Addrs: addrs})
	over, cancel := context.WithTimeout(background, -1)
	defer cancel()
	_, err := c.Put(over, "k", nil, nil)
	wantErrors(t, "a put that had no time from the start", err, context.DeadlineExceeded)
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
