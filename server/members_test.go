package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"httpdhs/kv"
)

// A node that is asked to leave says at once what goes on, however often it is asked; one that
// cannot says why.
func TestLeave(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret"})
	f.send("POST", "/cluster/leave", "").want(t, 401)
	if f.cluster.left != 0 {
		t.Error("it leaves without the token")
	}
	token := "Authorization: Bearer s3cret"
	for range 2 {
		a := f.send("POST", "/cluster/leave", "", token)
		a.want(t, 202)
		const body = `{"node":"n1","state":"leaving","partitions":3,"bytes":5,"message":"follow it"}` + "\n"
		if a.body != body || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("answer %s of type %s, want %s", a.body, a.header.Get("Content-Type"), body)
		}
	}
	f.cluster.leave = fmt.Errorf("%w: %w", ErrCannotLeave, errors.New("the only active member"))
	if a := f.send("POST", "/cluster/leave", "", token); a.status != 409 || !strings.Contains(a.body, "the only active member") {
		t.Errorf("the only member: %d %s, want 409 and why", a.status, a.body)
	}
	f.cluster.leave = kv.ErrStopping
	f.send("POST", "/cluster/leave", "", token).want(t, 503)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		a := f.send(method, "/cluster/leave", "", token)
		a.want(t, 405)
		if a.header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q, want POST", method, a.header.Get("Allow"))
		}
	}
}

// What is lost with members that are down is given up only where that is said in full. Else the
// answer tells what would be done.
func TestRecover(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret"})
	f.send("POST", "/cluster/recover?accept_loss=true", "").want(t, 401)
	token := "Authorization: Bearer s3cret"
	f.cluster.reason = "it waits"
	for query, want := range map[string]string{
		"":                   "with ?accept_loss=true n1 would go on with what it holds, and wait for nobody, and take off the ring what is down: down:1; what",
		"?accept_loss=false": "with ?accept_loss=true n1 would",
		"?accept_loss=yes":   "use true",
		"?accept_loss":       "use true",
		"?accept-loss=true":  "this request takes accept_loss, timeout",
	} {
		a := f.send("POST", "/cluster/recover"+query, "", token)
		a.want(t, 400)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, want %q", query, a.body, want)
		}
	}
	if f.cluster.recovered != 0 {
		t.Error("it gives up what was not asked for")
	}
	a := f.send("POST", "/cluster/recover?accept_loss=true&timeout=1s", "", token)
	a.want(t, 200)
	if want := `{"node":"n1","released":true,"removed":["down:1"]}` + "\n"; a.body != want {
		t.Errorf("%s, want %s", a.body, want)
	}
	f.cluster.leave = kv.ErrStarting
	f.send("POST", "/cluster/recover?accept_loss=true", "", token).want(t, 503)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		f.send(method, "/cluster/recover", "", token).want(t, 405)
	}
	if f.cluster.recovered != 1 {
		t.Errorf("it has recovered %d times", f.cluster.recovered)
	}
}

// A node that is down is removed by its name, which may be percent-encoded; the answer to any other
// name says what to do.
func TestRemove(t *testing.T) {
	f := start(t, Options{})
	for _, name := range []string{"down:1", "down%3A1", "%64own:1", "[::1]:1", "%5B::1%5D%3a1"} {
		if a := f.send("DELETE", "/cluster/nodes/"+name, ""); a.status != 204 || a.body != "" {
			t.Errorf("%s: %d %s, want 204", name, a.status, a.body)
		}
	}
	if want := []string{"down:1", "down:1", "down:1", "[::1]:1", "[::1]:1"}; !slices.Equal(f.cluster.removed, want) {
		t.Errorf("removed %q, want %q", f.cluster.removed, want)
	}
	for target, want := range map[string]struct {
		status int
		text   string
	}{
		"up:1":        {409, "have it leave"},
		"other:1":     {404, "the members are down:1, up:1"},
		"":            {404, "the members are"},
		"down:1/":     {404, "the members are"},
		"down%3":      {400, "percent-encoding"},
		"../down%3A1": {404, "the members are"},
	} {
		a := f.send("DELETE", "/cluster/nodes/"+target, "")
		a.want(t, want.status)
		if !strings.Contains(a.body, want.text) {
			t.Errorf("%q: %s, want %q", target, a.body, want.text)
		}
	}
	for _, method := range []string{"GET", "POST", "PUT"} {
		a := f.send(method, "/cluster/nodes/down:1", "")
		a.want(t, 405)
		if a.header.Get("Allow") != "DELETE" {
			t.Errorf("%s: Allow is %q, want DELETE", method, a.header.Get("Allow"))
		}
	}
	if len(f.cluster.removed) != 5 {
		t.Errorf("another method removes: %q", f.cluster.removed)
	}
}

// Only who has the token removes nodes.
func TestRemoveNeedsTheToken(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret", ClusterSecret: "ours"})
	f.send("DELETE", "/cluster/nodes/down:1", "").want(t, 401)
	f.send("DELETE", "/cluster/nodes/down:1", "", "Authorization: Bearer ours").want(t, 401)
	if len(f.cluster.removed) != 0 {
		t.Error("removed without the token")
	}
	f.send("DELETE", "/cluster/nodes/down:1", "", "Authorization: Bearer s3cret").want(t, 204)
}
