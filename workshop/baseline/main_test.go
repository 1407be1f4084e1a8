package main

import (
	"testing"

	"github.com/valyala/fasthttp"
)

// The baseline answers what is measured, and refuses the rest.
func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		method, path string
		status, size int
	}{
		{"GET", "/db/some-key", 200, valueBytes},
		{"PUT", "/db/some-key", 204, 0},
		{"DELETE", "/db/some-key", 405, -1},
		{"GET", "/elsewhere", 404, -1},
	} {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(test.method)
		ctx.Request.SetRequestURI(test.path)
		routes()(&ctx)
		if got := ctx.Response.StatusCode(); got != test.status || test.size >= 0 && len(ctx.Response.Body()) != test.size {
			t.Errorf("%s %s: %d with %d bytes, want %d with %d", test.method, test.path, got, len(ctx.Response.Body()), test.status, test.size)
		}
	}
}
