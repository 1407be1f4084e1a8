package node

import "testing"

// A name of --hosts is itself in any case, and *.NAME all that end so. Neither is what only looks
// like it. What a browser never sends as a name is refused at start.
func TestHostsOfAConfig(t *testing.T) {
	web := WebConfig{Hosts: []string{"KV.example", "*.apps.example"}}
	if err := web.Check(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"kv.example": true, "a.apps.example": true, "a.b.apps.example": true, "apps.example": false, ".apps.example": false, "xapps.example": false,
		"x.kv.example": false, "kv.example.evil": false, "": false, "*": false,
	} {
		if got := web.has(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	for _, bad := range []string{"", "http://a", "a:80", "a/b", "*a", ".a", "*.", "**", "*.*", "[::1]", "a b", "u@a"} {
		if err := (&WebConfig{Hosts: []string{"a", bad}}).Check(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if err := (&WebConfig{Hosts: []string{"*"}, Origins: []string{"*"}}).Check(); err != nil {
		t.Error(err)
	}
	if err := (&WebConfig{Origins: []string{"x"}}).Check(); err == nil {
		t.Error("a bad origin is taken")
	}
}

// A node that all pages may write to says so, unless it asks for a token.
func TestANodeForAllPagesSaysSo(t *testing.T) {
	for _, row := range []struct {
		origin, token string
		says          bool
	}{{"*", "", true}, {"*", "t", false}, {"https://a", "", false}} {
		var log lines
		n, err := Open(Config{Name: "127.0.0.1:1", Listen: "127.0.0.1:0", AuthToken: row.token, Web: WebConfig{Origins: []string{row.origin}}, Log: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		n.Kill()
		if found := log.with("EVERY WEB PAGE"); (len(found) == 1) != row.says {
			t.Errorf("%+v: %q", row, found)
		}
	}
}
