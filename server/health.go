package server

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

func (k *cluster) healthz(ctx *fasthttp.RequestCtx, _ *scratch) error { return text(ctx, "ok\n") }

func (k *cluster) readyz(ctx *fasthttp.RequestCtx, _ *scratch) error {
	ok, reason := k.of.Ready()
	if k.ending.parting() {
		ok, reason = false, "the node is stopping"
	}
	if !ok {
		return &statusError{fasthttp.StatusServiceUnavailable, reason}
	}
	return k.sayReady(ctx)
}

// sayReady says with "ready" how much memory is left: a node that is full is
// ready, since it answers and keeps what it holds.
func (k *cluster) sayReady(ctx *fasthttp.RequestCtx) error {
	doc := api.Ready{Ready: true}
	doc.Used, doc.Max, doc.IsFull = k.of.Memory()
	ctx.Response.Header.Set(fasthttp.HeaderVary, "Accept")
	if bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), typeJSON) {
		return document(ctx, &doc)
	}
	body := "ready\n"
	if doc.Max > 0 {
		body += fmt.Sprintf("memory: %d of %d bytes\n", doc.Used, doc.Max)
	}
	if doc.IsFull {
		body += "full: writes that need more are refused\n"
	}
	return text(ctx, body)
}

// Health answers GET /healthz and /readyz as this server does, for a port of another kind. These
// two need neither a connection of this server nor a scratch.
func (s *Server) Health() http.Handler {
	mux := http.NewServeMux()
	for path, answer := range map[string]func(*fasthttp.RequestCtx, *scratch) error{
		"/healthz": s.cluster.healthz, "/readyz": s.cluster.readyz,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			var ctx fasthttp.RequestCtx
			ctx.Request.Header.Set(fasthttp.HeaderAccept, r.Header.Get("Accept"))
			if err := answer(&ctx, nil); err != nil {
				fail(&ctx, err)
			}
			s.sign(&ctx, true)
			ctx.Response.Header.SetServerBytes(serverName)
			if s.ending.parting() {
				ctx.Response.SetConnectionClose()
			}
			for name, value := range ctx.Response.Header.All() {
				w.Header().Set(string(name), string(value))
			}
			w.WriteHeader(ctx.Response.StatusCode())
			_, _ = w.Write(ctx.Response.Body())
		})
	}
	return mux
}
