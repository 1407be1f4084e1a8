package server

import (
	"bytes"
	"strings"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// routes finds the endpoint of a request, judges the request, and has it answered.
type routes struct {
	opts    *Options
	gate    gate
	budgets *budgets

	// The paths that end in a key, or in the name of a node.
	key, clusterKey, node methods

	others *router.Router
}

// endpoint answers one method of one path. What has to hold before it does is said here, and
// looked at by serve.
type endpoint struct {
	open     bool     // it needs no token
	token    string   // which is good for it, beside that of the clients; "": none
	refusal  error    // there is no such path, or not with this method
	allow    string   // with a refusal: the methods that there are; "": not said
	keyed    bool     // the path ends in a key
	params   []string // which the query may have
	anyQuery bool     // the query is not looked at
	judge    handler  // refuses what else the headers tell; nil: they tell nothing
	body     bodyUse
	kind     Operation // 0: its time is not measured
	answer   handler
}

// handler does with a request what its endpoint is for. An error is what to answer.
type handler func(*fasthttp.RequestCtx, *scratch) error

// bodyUse is what becomes of a body.
type bodyUse uint8

const (
	bodyPassed   bodyUse = iota // nothing: the request does not need it
	bodyRefused                 // there may be none: whoever sends one means something by it
	bodyTaken                   // answer reads it
	bodyStreamed                // the same, and is done with what it has read before it reads on
)

// serve judges a request and has it answered. It alone says in which order. What can be refused is
// refused before any of the body is waited for. Nothing is told, or done, before it is known who
// asks.
func (r *routes) serve(ctx *fasthttp.RequestCtx) error {
	if err := r.gate.strangerFault(ctx); err != nil {
		return err
	}
	if answered, err := r.gate.pages.preflight(ctx); answered {
		return err
	}
	sc := scratchOf(ctx)
	e, rawKey, query := r.find(ctx, sc)
	if !e.open {
		if err := r.gate.tokenFault(ctx, e.token); err != nil {
			return err
		}
	}
	sc.kind = e.kind
	if e.allow != "" {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, e.allow)
	}
	err := e.refusal
	if err == nil && e.keyed {
		sc.key, err = decodeKey(sc.key[:0], rawKey, &r.opts.Limits)
	}
	if err == nil && !e.anyQuery {
		sc.params, err = r.opts.parse(query, e.params)
	}
	if err == nil && e.judge != nil {
		err = e.judge(ctx, sc)
	}
	if err == nil {
		err = r.budgets.prepareBody(openBody(ctx), sc, e.body)
	}
	if err == nil {
		if e.kind != 0 && !e.keyed {
			sc.began = time.Now() // keys.do says when one of a key has begun
		}
		err = e.answer(ctx, sc)
	}
	return err
}

var (
	dbPrefix         = []byte("/db/")
	clusterKeyPrefix = []byte("/cluster/key/")
	nodesPrefix      = []byte("/cluster/nodes/")
)

// find is the endpoint of a request. Paths that end in a key, or in the name of a node, are taken
// from the target as it was sent. fasthttp and its router would decode and tidy them, and a key is
// any bytes. That also keeps the hot path off the router.
func (r *routes) find(ctx *fasthttp.RequestCtx, sc *scratch) (e *endpoint, rawKey, query []byte) {
	path, query := splitTarget(ctx.Request.Header.RequestURI())
	switch {
	case bytes.HasPrefix(path, dbPrefix):
		return r.key.of(ctx), path[len(dbPrefix):], query
	case bytes.HasPrefix(path, clusterKeyPrefix):
		return r.clusterKey.of(ctx), path[len(clusterKeyPrefix):], query
	case bytes.HasPrefix(path, nodesPrefix):
		return r.node.of(ctx), nil, query
	}
	r.others.Handler(ctx)
	return sc.endpoint, nil, query
}

// methods are the endpoints of one path. A method that is nil is other.
type methods struct {
	get, put, delete, post *endpoint
	other                  endpoint
}

func (m *methods) of(ctx *fasthttp.RequestCtx) (e *endpoint) {
	switch string(ctx.Request.Header.Method()) {
	case fasthttp.MethodGet, fasthttp.MethodHead:
		e = m.get
	case fasthttp.MethodPut:
		e = m.put
	case fasthttp.MethodDelete:
		e = m.delete
	case fasthttp.MethodPost:
		e = m.post
	}
	if e == nil {
		e = &m.other
	}
	return e
}

const keyMethods = "GET, HEAD, PUT, DELETE, POST"

// addKeys adds the endpoints whose paths end in a key.
func (r *routes) addKeys(k *keys) {
	r.key = methods{
		get:    &endpoint{keyed: true, params: paramsGet, judge: judgeGet, kind: OpGet, answer: k.get},
		put:    &endpoint{keyed: true, params: paramsPut, judge: k.judgePut, body: bodyTaken, kind: OpPut, answer: k.put},
		delete: &endpoint{keyed: true, params: paramsDelete, judge: judgeDelete, kind: OpDelete, answer: k.delete},
		post:   &endpoint{keyed: true, params: paramsUpdate, judge: k.judgeUpdate, body: bodyTaken, kind: OpUpdate, answer: k.update},
		other:  endpoint{refusal: errMethod, allow: keyMethods},
	}
}

// addCluster adds the endpoints of the cluster, and of how this node is.
func (r *routes) addCluster(k *cluster, b *backups) {
	r.clusterKey = methods{
		get:   &endpoint{keyed: true, params: paramsDocument, answer: k.key},
		other: endpoint{refusal: errMethod, allow: "GET, HEAD"},
	}
	r.node = methods{
		delete: &endpoint{judge: k.judgeNode, body: bodyRefused, answer: k.remove},
		other:  endpoint{refusal: errMethod, allow: fasthttp.MethodDelete},
	}
	r.get("/cluster", endpoint{params: paramsDocument, answer: k.status})
	r.get("/cluster/stats", endpoint{params: paramsDocument, answer: k.stats})
	r.get("/cluster/ring", endpoint{judge: judgeTags, answer: k.ring})
	r.get("/cluster/safe-to-stop", endpoint{params: paramsSafe, answer: k.safeToStop})
	r.post("/cluster/leave", endpoint{body: bodyRefused, answer: k.leave})
	r.post("/cluster/recover", endpoint{params: paramsRecover, body: bodyRefused, answer: k.recover})
	r.get("/cluster/backup", endpoint{answer: b.serve})
	r.get("/healthz", endpoint{open: true, anyQuery: true, answer: k.healthz})
	r.get("/readyz", endpoint{open: true, anyQuery: true, answer: k.readyz})
}

// addStreams adds the endpoints of many keys at once.
func (r *routes) addStreams(l *listings, c *clearings, b *batches, d *loads) {
	r.get("/db", endpoint{params: paramsList, judge: l.judge, kind: OpList, answer: l.serve})
	r.others.DELETE("/db", found(endpoint{params: paramsClear, judge: c.judge, body: bodyRefused, kind: OpBatch, answer: c.serve}))
	r.post("/batch", endpoint{params: paramsBatch, judge: b.judge, body: bodyStreamed, kind: OpBatch, answer: b.serve})
	load := endpoint{params: paramsLoad, judge: d.judge, body: bodyStreamed, kind: OpLoad, answer: d.serve}
	r.post("/load-data", load)
	r.others.PUT("/load-data", found(load))
}

// addMessages adds the endpoint of other nodes, whose messages are judged by their seals
// (exchange.go).
func (r *routes) addMessages(m *messages) {
	r.others.ANY("/internal/{any}", found(endpoint{open: true, anyQuery: true, judge: m.refuse}))
	r.others.GET(linkPath, found(endpoint{open: true, anyQuery: true, judge: m.judge, body: bodyRefused, answer: m.link}))
}

// addPages adds the endpoints of the console, and that of the counters.
func (r *routes) addPages(p *pages) {
	page := endpoint{open: true, anyQuery: true, answer: p.console}
	text, console := found(endpoint{anyQuery: true, answer: p.index}), found(page)
	index := func(ctx *fasthttp.RequestCtx) {
		if p.wantsPage(ctx) {
			console(ctx)
		} else {
			text(ctx)
		}
	}
	r.others.GET("/", index)
	r.others.HEAD("/", index)
	for _, path := range r.opts.ConsolePaths {
		if path != "/" {
			r.get(path, page)
		}
	}
	r.get("/openapi.json", endpoint{open: true, anyQuery: true, judge: judgeTags, answer: p.openAPI})
	r.get("/console/{file:*}", endpoint{open: true, refusal: errNoConsole})
	counters := endpoint{anyQuery: true, token: r.opts.MetricsToken, answer: p.metrics}
	if r.opts.Metrics == nil {
		counters.refusal = errNoMetrics
	}
	r.get("/metrics", counters)
}

func newRoutes(o *Options, b *budgets) *routes {
	r := &routes{
		opts: o, budgets: b, others: router.New(),
		gate: gate{name: o.Name, knows: o.OwnHost, pages: o.Origins, token: o.AuthToken},
	}
	// A redirect would send a write somewhere else. No path stands for another.
	r.others.RedirectTrailingSlash, r.others.RedirectFixedPath, r.others.HandleOPTIONS = false, false, false
	r.others.NotFound = found(endpoint{refusal: errNoRoute})
	r.others.MethodNotAllowed = found(endpoint{anyQuery: true, judge: methodNotAllowed})
	return r
}

func (r *routes) get(path string, e endpoint) {
	r.others.GET(path, found(e))
	r.others.HEAD(path, found(e))
}

func (r *routes) post(path string, e endpoint) { r.others.POST(path, found(e)) }

// found is what the router calls for a path: it notes the endpoint.
func found(e endpoint) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { scratchOf(ctx).endpoint = &e }
}

// methodNotAllowed refuses a method after the router has set Allow, to which it adds OPTIONS
// whether it answers that or not.
func methodNotAllowed(ctx *fasthttp.RequestCtx, _ *scratch) error {
	var allowed []string
	for method := range strings.SplitSeq(string(ctx.Response.Header.Peek(fasthttp.HeaderAllow)), ", ") {
		if method != fasthttp.MethodOptions {
			allowed = append(allowed, method)
		}
	}
	ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(allowed, ", "))
	return errMethod
}
