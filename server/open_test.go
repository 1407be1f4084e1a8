package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// What a node answers without the token is what SECURITY.md lists, whatever the method.
func TestWhatNeedsNoTokenIsListed(t *testing.T) {
	html := func(ctx *fasthttp.RequestCtx) { _ = text(ctx, "<html>") }
	f := start(t, Options{AuthToken: "t", ClusterSecret: "s", Metrics: html, Console: html, ConsolePaths: []string{"/", "/console/app.js"}})

	paths := []string{"/db/k", "/cluster/key/k", "/cluster/nodes/n:1", "/none"}
	for _, registered := range f.routes.others.List() {
		paths = append(paths, registered...)
	}
	var open []string
	for _, path := range paths {
		as := regexp.MustCompile(`/\{[^}]*\}`).ReplaceAllString(path, "/x")
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"} {
			for _, accept := range []string{"*/*", "text/html"} {
				if f.send(method, as, "", "Accept: "+accept).status != 401 {
					open = append(open, path)
				}
			}
		}
	}
	for i, path := range open {
		for _, below := range []string{"/console/", "/internal/"} {
			if strings.HasPrefix(path, below) {
				open[i] = below + "…"
			}
		}
	}
	slices.Sort(open)
	open = slices.Compact(open)

	doc, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "## What needs no token\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(/[^`]*)`").FindAllStringSubmatch(section, -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if len(listed) == 0 || !slices.Equal(open, listed) {
		t.Errorf("open are %q, and SECURITY.md lists %q", open, listed)
	}
	if f.send("GET", "/", "", "Accept: */*").status != 401 {
		t.Error("/ is open to who is no browser")
	}
}
