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
