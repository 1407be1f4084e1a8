package server

import (
	"bytes"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// endpoint answers one method of one path. What has to hold before it does is said here, and
// looked at by serve.
type endpoint struct {
	open     bool                                      // it needs no token
	refusal  error                                     // nothing can be done here: there is no such path, or not with this method
	allow    string                                    // with a refusal: the methods that there are; "": it says nothing of them
	keyed    bool                                      // the path ends in a key
	params   []string                                  // which the query may have
	anyQuery bool                                      // the query is not looked at
	judge    func(*Server, *fasthttp.RequestCtx) error // refuses what else the headers tell; nil: they tell nothing
	body     bodyUse
	answer   func(*Server, *fasthttp.RequestCtx)
}

// bodyUse is what becomes of a body.
type bodyUse uint8

const (
	bodyPassed   bodyUse = iota // nothing: the request does not need it
	bodyRefused                 // there may be none: whoever sends one means something by it
	bodyTaken                   // answer reads it
	bodyStreamed                // the same, and is done with what it has read before it reads on
)

// serve judges a request and has it answered. It is the one place that says in which order: what
// can be refused is refused before any of the body is waited for, and nothing is told, or done,
// before it is known who asks.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	if err := s.strangerFault(ctx); err != nil {
		s.fail(ctx, err)
		return
	}
	sc := s.scratchOf(ctx)
	e, rawKey, query := s.find(ctx, sc)
	if !e.open && !s.authorized(ctx) {
		return
	}
	err := e.refusal
	if e.allow != "" {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, e.allow)
	}
	if err == nil && e.keyed {
		sc.key, err = decodeKey(sc.key[:0], rawKey, &s.opts.Limits)
	}
	if err == nil && !e.anyQuery {
		sc.params, err = s.parse(query, e.params)
	}
	if err == nil && e.judge != nil {
		err = e.judge(s, ctx)
	}
	if err == nil {
		err = s.useBody(ctx, e.body)
	}
	if err != nil {
		s.fail(ctx, err)
		return
	}
	e.answer(s, ctx)
}

var (
	dbPrefix         = []byte("/db/")
	clusterKeyPrefix = []byte("/cluster/key/")
	nodesPrefix      = []byte("/cluster/nodes/")
)

// find is the endpoint of a request. The paths that end in a key, or in the name of a node, are
// taken from the target as it was sent: fasthttp and its router would decode and tidy them, and a
// key is any bytes. That keeps the hot path off the router.
func (s *Server) find(ctx *fasthttp.RequestCtx, sc *scratch) (e *endpoint, rawKey, query []byte) {
	path, query := splitTarget(ctx.Request.Header.RequestURI())
	switch {
	case bytes.HasPrefix(path, dbPrefix):
		return keyEndpoint(ctx), path[len(dbPrefix):], query
	case bytes.HasPrefix(path, clusterKeyPrefix):
		if e = &clusterKeyGet; !ctx.IsGet() && !ctx.IsHead() {
			e = &clusterKeyOther
		}
		return e, path[len(clusterKeyPrefix):], query
	case bytes.HasPrefix(path, nodesPrefix):
		if e = &nodeDelete; !ctx.IsDelete() {
			e = &nodeOther
		}
		return e, nil, query
	}
	s.router.Handler(ctx)
	return sc.endpoint, nil, query
}

// keyEndpoint is that of /db/{key}.
func keyEndpoint(ctx *fasthttp.RequestCtx) *endpoint {
	switch string(ctx.Request.Header.Method()) {
	case fasthttp.MethodGet, fasthttp.MethodHead:
		return &keyGet
	case fasthttp.MethodPut:
		return &keyPut
	case fasthttp.MethodDelete:
		return &keyDelete
	case fasthttp.MethodPost:
		return &keyPost
	}
	return &keyOther
}

const keyMethods = "GET, HEAD, PUT, DELETE"

// The endpoints whose paths end in a key or a name.
var (
	keyGet    = endpoint{keyed: true, params: paramsGet, judge: (*Server).judgeGet, answer: (*Server).get}
	keyPut    = endpoint{keyed: true, params: paramsPut, judge: (*Server).judgePut, body: bodyTaken, answer: (*Server).put}
	keyDelete = endpoint{keyed: true, params: paramsDelete, judge: (*Server).judgeDelete, answer: (*Server).del}
	keyPost   = endpoint{refusal: errNoPost, allow: keyMethods}
	keyOther  = endpoint{refusal: errMethod, allow: keyMethods}

	clusterKeyGet   = endpoint{keyed: true, params: paramsDocument, answer: (*Server).clusterKey}
	clusterKeyOther = endpoint{refusal: errMethod, allow: "GET, HEAD"}

	nodeDelete = endpoint{judge: (*Server).judgeNode, body: bodyRefused, answer: (*Server).clusterNode}
	nodeOther  = endpoint{refusal: errMethod, allow: fasthttp.MethodDelete}
)

// routes has all other endpoints. The router finds them, and notes in the scratch which one it is.
func (s *Server) routes() *router.Router {
	r := router.New()
	// A redirect would send a write somewhere else; a path is what it is.
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleOPTIONS = false, false, false
	found := func(e endpoint) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) { s.scratchOf(ctx).endpoint = &e }
	}
	get := func(path string, e endpoint) {
		r.GET(path, found(e))
		r.HEAD(path, found(e))
	}
	r.NotFound = found(endpoint{refusal: errNoRoute})
	r.MethodNotAllowed = found(endpoint{anyQuery: true, judge: (*Server).methodNotAllowed})

	page := endpoint{open: true, anyQuery: true, answer: func(s *Server, ctx *fasthttp.RequestCtx) { s.opts.Console(ctx) }}
	text, forPage := found(endpoint{anyQuery: true, answer: (*Server).index}), found(page)
	index := func(ctx *fasthttp.RequestCtx) {
		if s.wantsPage(ctx) {
			forPage(ctx)
		} else {
			text(ctx)
		}
	}
	r.GET("/", index)
	r.HEAD("/", index)
	for _, path := range s.opts.ConsolePaths {
		if path != "/" {
			get(path, page)
		}
	}
	get("/console/{file:*}", endpoint{open: true, refusal: errNoConsole})

	get("/healthz", endpoint{open: true, anyQuery: true, answer: (*Server).healthz})
	get("/readyz", endpoint{open: true, anyQuery: true, answer: (*Server).readyz})
	if s.opts.Metrics != nil {
		get("/metrics", endpoint{anyQuery: true, answer: func(s *Server, ctx *fasthttp.RequestCtx) { s.opts.Metrics(ctx) }})
	}

	get("/db", endpoint{params: paramsList, judge: (*Server).judgeList, answer: (*Server).list})
	batch := endpoint{params: paramsBatch, judge: (*Server).judgeBatch, body: bodyStreamed, answer: (*Server).batch}
	r.POST("/batch", found(batch))
	load := endpoint{params: paramsLoad, judge: (*Server).judgeLoad, body: bodyStreamed, answer: (*Server).load}
	r.POST("/load-data", found(load))
	r.PUT("/load-data", found(load))

	get("/cluster", endpoint{params: paramsDocument, answer: (*Server).clusterStatus})
	get("/cluster/ring", endpoint{judge: (*Server).judgeRing, answer: (*Server).clusterRing})
	r.POST("/cluster/leave", found(endpoint{body: bodyRefused, answer: (*Server).clusterLeave}))

	// These are judged by their seals: see exchange.go.
	message := endpoint{open: true, anyQuery: true, body: bodyTaken}
	message.answer = (*Server).exchange
	r.POST(string(exchangePath), found(message))
	message.answer = (*Server).hello
	r.POST(string(helloPath), found(message))
	return r
}

// methodNotAllowed refuses a method after the router has set Allow, to which it adds OPTIONS
// whether it answers that or not.
func (s *Server) methodNotAllowed(ctx *fasthttp.RequestCtx) error {
	var methods []string
	for method := range strings.SplitSeq(string(ctx.Response.Header.Peek(fasthttp.HeaderAllow)), ", ") {
		if method != fasthttp.MethodOptions {
			methods = append(methods, method)
		}
	}
	ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(methods, ", "))
	return errMethod
}
