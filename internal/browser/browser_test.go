package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Tests that share a Chromium see nothing of each other: a page finds neither a cookie nor what was
// stored where a page of the same origin has left both.
func TestProfilesAreApart(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(server.Close)
	var shared Shared
	t.Cleanup(shared.Close)
	const left = `document.cookie + (localStorage.getItem("left") ?? "")`
	first := shared.Start(t)
	first.Open(server.URL).Eval(`document.cookie = "a=b", localStorage.setItem("left", "c")`, nil)
	for _, browser := range []struct {
		name, want string
		*Browser
	}{
		{"another page of the same test", "a=bc", first},
		{"another test", "", shared.Start(t)},
	} {
		var got string
		if browser.Open(server.URL).Eval(left, &got); got != browser.want {
			t.Errorf("%s finds %q, want %q", browser.name, got, browser.want)
		}
	}
}
