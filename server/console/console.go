// Package console is the page that a browser sees at a node's address: the cluster's health, rates
// and latencies, its nodes and its ring, what is done to a node, and a browser of keys.
//
// It is one HTML file, one CSS file and a few modules of JS, embedded as they are: there is no
// front-end toolchain, and the page loads nothing from elsewhere. It speaks
// the public HTTP API and nothing else, so the files here are all there is to
// it. The handler only reads what it made at the start and is safe for
// concurrent use.
package console

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/valyala/fasthttp"
	"github.com/zeebo/xxh3"
)

// Paths are those that Handler answers. They hold no data, and where clients
// have to show a token they are to be served without one: the page asks for it.
var Paths = paths()

//go:embed index.html *.js style.css
var files embed.FS

// paths are "/", which is the page, and one of each other file.
func paths() []string {
	all := []string{"/"}
	entries, err := files.ReadDir(".")
	if err != nil {
		panic("BUG: the console has no files: " + err.Error())
	}
	for _, entry := range entries {
		if entry.Name() != index {
			all = append(all, "/console/"+entry.Name())
		}
	}
	return all
}

const index = "index.html"

// content is the file that answers a path.
func content(at string) []byte {
	name := path.Base(at)
	if at == "/" {
		name = index
	}
	body, err := files.ReadFile(name)
	if err != nil {
		panic("BUG: the console has a path without a file: " + err.Error())
	}
	return body
}

// mediaTypes are those of the files, by their endings.
var mediaTypes = map[string]string{
	"":     "text/html; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
}

// policy lets the page use its own files and its own node, and nothing else.
// The icon is a data: address in the page, and a value that is an image a blob: one.
const policy = "default-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type asset struct {
	contentType string
	etag        string
	body        []byte
}

func newAsset(contentType string, body []byte) asset {
	return asset{contentType: contentType, etag: fmt.Sprintf(`"%016x"`, xxh3.Hash(body)), body: body}
}

// Handler serves Paths to GET and HEAD. Browsers keep the files and ask each
// time whether they are still good, so a page and its script never differ in
// age after an upgrade.
func Handler() fasthttp.RequestHandler {
	assets := make(map[string]asset)
	for _, at := range Paths {
		assets[at] = newAsset(mediaTypes[path.Ext(at)], content(at))
	}
	return func(ctx *fasthttp.RequestCtx) {
		file, found := assets[string(ctx.Path())]
		if !found {
			fail(ctx, fasthttp.StatusNotFound, "the console has no such file; it starts at /")
			return
		}
		if !ctx.IsGet() && !ctx.IsHead() {
			ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
			fail(ctx, fasthttp.StatusMethodNotAllowed, "the console is only there to be read: use GET or HEAD")
			return
		}
		h := &ctx.Response.Header
		h.Set(fasthttp.HeaderContentSecurityPolicy, policy)
		h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
		h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
		h.Set(fasthttp.HeaderCacheControl, "no-cache")
		h.Set(fasthttp.HeaderETag, file.etag)
		if matches(string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)), file.etag) {
			ctx.SetStatusCode(fasthttp.StatusNotModified)
			return
		}
		ctx.SetContentType(file.contentType)
		ctx.Response.SetBodyRaw(file.body)
	}
}

// matches decides If-None-Match by weak comparison (RFC 9110, section 13.1.2),
// since a proxy that compresses makes our tags weak.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

func fail(ctx *fasthttp.RequestCtx, status int, message string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	fmt.Fprintf(ctx, "{\"error\":%q}\n", message)
}
