package server

import (
	"strings"
	"testing"
)

// Whether nodes can be stopped is a document with 200, or the same with 409. Names that are no
// member's are a 404 with those that are. A node that is stopping calls nothing safe.
func TestSafeToStop(t *testing.T) {
	f := start(t, Options{AuthToken: "s3cret"})
	f.send("GET", "/cluster/safe-to-stop", "").want(t, 401)
	token := "Authorization: Bearer s3cret"
	get := func(query string, status int, part string) {
		t.Helper()
		a := f.send("GET", "/cluster/safe-to-stop"+query, "", token)
		if a.status != status || !strings.Contains(a.body, part) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, want %d and %s", query, a.status, a.body, status, part)
		}
	}
	get("", 200, `"nodes":[],"safe":true,"reason":"as it is"`)
	get("?nodes=n1", 200, `"nodes":["n1"],"safe":true`)
	get("?nodes=n1,last%3A1", 409, `"nodes":["n1","last:1"],"safe":false,"reason":"as it is"`)
	get("?quorum=true", 409, `"safe":false`)
	get("?quorum=false&timeout=1s", 200, `"safe":true`)
	get("?nodes=n1,who:1", 404, `\"who:1\"; the members are last:1, n1`)
	get("?nodes=", 400, "names of nodes with commas between")
	get("?nodes=n1,", 400, "names of nodes with commas between")
	get("?quorum=some", 400, "use true or false")
	get("?node=n1", 400, "nodes, quorum, timeout")
	f.send("POST", "/cluster/safe-to-stop", "", token).want(t, 405)

	k := cluster{of: f.cluster, ending: new(ending)}
	k.ending.bits.Or(drains)
	if doc, err := k.safety(nil, false, 0); err != nil || doc.Safe || doc.Reason != reasonAskAnother || doc.Error != reasonAskAnother {
		t.Errorf("a node that is stopping: %+v, %v", doc, err)
	}
}
