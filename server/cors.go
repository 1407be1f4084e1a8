package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"
)

// Origins are those of the web pages that may read and write here, beside the node's own: what a
// browser is told by CORS, as the Fetch standard has it. Credentials that browsers send by
// themselves are never asked for. A token is a header that the page sends. nil: no pages.
type Origins struct {
	any  bool
	list map[string]bool // as browsers send them
}

// errOrigin says how to write an origin.
var errOrigin = errors.New("want an origin as browsers send it, https://HOST or https://HOST:PORT without a path, or * alone for all pages")

// ParseOrigins reads a list of origins, or "*" for those of all pages. None is nil. An origin is a
// scheme, a host and, unless it is the usual one, a port: http://localhost:3000.
func ParseOrigins(given []string) (*Origins, error) {
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) == 1 && strings.TrimSpace(given[0]) == "*" {
		return &Origins{any: true}, nil
	}
	o := &Origins{list: make(map[string]bool, len(given))}
	for _, text := range given {
		origin, ok := canonicalOrigin(strings.ToLower(strings.TrimSpace(text)))
		if !ok {
			return nil, fmt.Errorf("%.100q: %w", text, errOrigin)
		}
		o.list[origin] = true
	}
	return o, nil
}

// canonicalOrigin writes an origin as browsers do: without the port that its scheme has anyway.
func canonicalOrigin(origin string) (string, bool) {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || len(scheme) == 0 || tokenEnd([]byte(scheme)) != len(scheme) || !isHost([]byte(host)) || strings.HasSuffix(host, ":") {
		return "", false
	}
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host, true
}

// AllPages says whether the pages of all origins may read and write.
func (o *Origins) AllPages() bool { return o != nil && o.any }

func (o *Origins) allows(origin []byte) bool { return o != nil && (o.any || o.list[string(origin)]) }

// allowsRequest says whether the page that sends a request may write.
func (o *Origins) allowsRequest(ctx *fasthttp.RequestCtx) bool {
	if o == nil || o.any {
		return o != nil
	}
	origins := ctx.Request.Header.PeekAll(fasthttp.HeaderOrigin)
	for _, origin := range origins {
		if !o.allows(origin) {
			return false
		}
	}
	return len(origins) > 0
}

const (
	// corsHeaders are those of a request that mean something here, beside the few that a page may
	// always send. Those of traces are added by libraries to whatever a page sends.
	corsHeaders = "Authorization, Cache-Control, Content-Encoding, Content-Type, If-Match, If-None-Match, If-Range, Range, " +
		"traceparent, tracestate, baggage"

	// corsExposed are those of an answer that a page may read, beside the few that it always may.
	corsExposed = "ETag, X-Dht-Acks, X-Dht-Expires, X-Dht-Node, Accept-Ranges, Allow, Content-Encoding, Content-Range, Date, " +
		"Retry-After, WWW-Authenticate"

	// corsMaxAge is for how many seconds a browser need not ask again: as long as Chromium waits at
	// most.
	corsMaxAge = "7200"
)

// preflight answers a browser that asks whether a page of another origin may send what it wants to
// (a preflight). It does so for every path, and without a token: the browser sends none. false:
// the request asks for something else.
func (o *Origins) preflight(ctx *fasthttp.RequestCtx) (answered bool, err error) {
	h := &ctx.Request.Header
	if o == nil || !h.IsOptions() || connOf(ctx).has&hasOrigin == 0 || len(h.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		return false, nil
	}
	if !o.allowsRequest(ctx) {
		return true, forbidden("the Origin %.100q is none of --cors-origins: add it there, to let its pages read and write", h.Peek(fasthttp.HeaderOrigin))
	}
	answer := &ctx.Response.Header
	answer.Set(fasthttp.HeaderAccessControlAllowMethods, keyMethods)
	answer.Set(fasthttp.HeaderAccessControlAllowHeaders, corsHeaders)
	answer.Set(fasthttp.HeaderAccessControlMaxAge, corsMaxAge)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return true, nil
}

// sign tells a browser which pages may read the answer, errors too. A cache has to know that it is
// said of the page that asked, so it keeps the answer apart for each; also the answer to a request
// of no page.
func (o *Origins) sign(ctx *fasthttp.RequestCtx) {
	answer := &ctx.Response.Header
	if o.any {
		answer.Set(fasthttp.HeaderAccessControlAllowOrigin, "*")
	} else {
		vary := fasthttp.HeaderOrigin
		if other := answer.Peek(fasthttp.HeaderVary); len(other) > 0 {
			vary = string(other) + ", " + vary
		}
		answer.Set(fasthttp.HeaderVary, vary)
		origins := ctx.Request.Header.PeekAll(fasthttp.HeaderOrigin)
		if len(origins) != 1 || !o.allows(origins[0]) {
			return
		}
		answer.SetBytesV(fasthttp.HeaderAccessControlAllowOrigin, origins[0])
	}
	if !ctx.Request.Header.IsOptions() {
		answer.Set(fasthttp.HeaderAccessControlExposeHeaders, corsExposed)
	}
}
