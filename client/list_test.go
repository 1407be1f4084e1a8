package client

import (
	"net/http"
	"slices"
	"testing"
)

// A listing follows the cursor to its end and reads every way that a key can
// be written.
func TestKeys(t *testing.T) {
	var queries []string
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/db" {
			w.WriteHeader(404)
			return
		}
		queries = append(queries, r.URL.RawQuery)
		switch r.URL.Query().Get("cursor") {
		case "":
			reply(w, 200, `{"keys":["a b",{"key_base64":"/w=="}],"cursor":"c1"}`)
		case "c1":
			reply(w, 200, `{"keys":[],"cursor":"c2"}`)
		case "c2":
			reply(w, 200, `{"keys":[{"key":"k","value":"v"},{"key":"k2","value_base64":"AA=="}]}`)
		}
	})
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	var got []string
	for item, err := range c.Keys(background, &KeysOptions{Prefix: "p&\xff", Page: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item.Key+"="+string(item.Value.Data))
	}
	if want := []string{"a b=", "\xff=", "k=v", "k2=\x00"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := "limit=2&prefix=p%26%FF"; queries[0] != want {
		t.Errorf("asked for %q, want %q", queries[0], want)
	}
}

// A node that does not get on does not keep the client for ever.
func TestKeysStopsWithoutProgress(t *testing.T) {
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, `{"keys":["a"],"cursor":"c"}`) })
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	n := 0
	for _, err := range c.Keys(background, nil) {
		if n++; err != nil || n > 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d items, want two and an error", n)
	}
}
