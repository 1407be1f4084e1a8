package server

import (
	"bytes"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// routes has every route but those whose paths end in a key or a name: see route.
func (s *Server) routes() *router.Router {
	r := router.New()
	// A redirect would send a write somewhere else; a path is what it is.
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleOPTIONS = false, false, false
	r.NotFound = s.client(s.notFound)
	r.MethodNotAllowed = s.client(s.methodNotAllowed)
	get := func(path string, h fasthttp.RequestHandler) {
		h = s.bodiless(h)
		r.GET(path, h)
		r.HEAD(path, h)
	}

	get("/", s.index)
	get("/console/{file:*}", s.console)
	get("/healthz", s.healthz)
	get("/readyz", s.readyz)
	get("/metrics", s.client(s.metrics))

	get("/db", s.client(s.list))
	r.POST("/batch", s.client(s.batch))
	r.POST("/load-data", s.client(s.load))
	r.PUT("/load-data", s.client(s.load))

	get("/cluster", s.client(s.clusterStatus))
	get("/cluster/ring", s.client(s.clusterRing))
	r.POST("/cluster/leave", s.client(s.clusterLeave))

	r.POST(string(exchangePath), s.exchange)
	r.POST(string(helloPath), s.hello)
	return r
}

var (
	dbPrefix         = []byte("/db/")
	clusterKeyPrefix = []byte("/cluster/key/")
)

// route calls the handler of a request. The paths that end in a key,
// or in the name of a node, are taken from the target as it was sent: fasthttp and its router would decode and
// tidy them, and a key is any bytes. That keeps the hot path off the router.
func (s *Server) route(ctx *fasthttp.RequestCtx) {
	path, query := splitTarget(ctx.Request.Header.RequestURI())
	switch {
	case bytes.HasPrefix(path, dbPrefix):
		if s.authorized(ctx) {
			s.db(ctx, path[len(dbPrefix):], query)
		}
	case bytes.HasPrefix(path, clusterKeyPrefix):
		if s.authorized(ctx) && s.passBody(ctx) {
			s.clusterKey(ctx, path[len(clusterKeyPrefix):], query)
		}
	case bytes.HasPrefix(path, nodesPrefix):
		if s.authorized(ctx) {
			s.clusterNode(ctx, path[len(nodesPrefix):])
		}
	default:
		s.router.Handler(ctx)
	}
}

// client wraps what only clients with the token may use.
func (s *Server) client(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if s.authorized(ctx) {
			h(ctx)
		}
	}
}

func (s *Server) notFound(ctx *fasthttp.RequestCtx) {
	s.fail(ctx, errNoRoute)
}

// methodNotAllowed answers after the router has set Allow, to which it adds
// OPTIONS whether it answers that or not.
func (s *Server) methodNotAllowed(ctx *fasthttp.RequestCtx) {
	var methods []string
	for method := range strings.SplitSeq(string(ctx.Response.Header.Peek(fasthttp.HeaderAllow)), ", ") {
		if method != fasthttp.MethodOptions {
			methods = append(methods, method)
		}
	}
	ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(methods, ", "))
	s.fail(ctx, errMethod)
}
