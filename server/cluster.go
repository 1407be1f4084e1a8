package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// document answers with a document as JSON.
func (s *Server) document(ctx *fasthttp.RequestCtx, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		s.fail(ctx, err)
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(append(body, '\n'))
}

func (s *Server) clusterStatus(ctx *fasthttp.RequestCtx) {
	s.document(ctx, s.cluster.Cluster(time.Now().Add(s.scratchOf(ctx).params.timeout)))
}

func (s *Server) clusterKey(ctx *fasthttp.RequestCtx) {
	sc := s.scratchOf(ctx)
	s.document(ctx, s.cluster.Key(sc.key, time.Now().Add(sc.params.timeout)))
}

// ringCache is the partition table as it is sent: clients ask for it whenever
// it may have changed, and it seldom has.
type ringCache struct {
	last atomic.Pointer[ringDocument]
}

type ringDocument struct {
	of   *api.Ring
	etag string
	body []byte
}

func (r *ringCache) document(ring *api.Ring) (*ringDocument, error) {
	if doc := r.last.Load(); doc != nil && doc.of == ring {
		return doc, nil
	}
	body, err := json.Marshal(ring)
	if err != nil {
		return nil, err
	}
	doc := &ringDocument{of: ring, etag: `"` + ring.Fingerprint + `"`, body: append(body, '\n')}
	r.last.Store(doc)
	return doc, nil
}

func (s *Server) judgeRing(ctx *fasthttp.RequestCtx) error { return tagsFault(&ctx.Request.Header) }

func (s *Server) clusterRing(ctx *fasthttp.RequestCtx) {
	doc, err := s.ring.document(s.cluster.Ring())
	if err != nil {
		s.fail(ctx, err)
		return
	}
	ctx.Response.Header.SetCanonical(headerETag, s2b(doc.etag))
	if matchesTag(&ctx.Request.Header, doc.etag) {
		ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(doc.body)
}

func (s *Server) readyz(ctx *fasthttp.RequestCtx) {
	ok, reason := s.cluster.Ready()
	if s.stopping.Load() {
		ok, reason = false, "the node is stopping"
	}
	if !ok {
		s.failWith(ctx, nil, fasthttp.StatusServiceUnavailable, &api.Error{Error: reason})
		return
	}
	s.sayReady(ctx)
}

// sayReady says with "ready" how much memory is left: a node that is full is
// ready, since it answers and keeps what it holds.
func (s *Server) sayReady(ctx *fasthttp.RequestCtx) {
	doc := api.Ready{Ready: true}
	doc.Used, doc.Max, doc.IsFull = s.cluster.Memory()
	ctx.Response.Header.Set(fasthttp.HeaderVary, "Accept")
	if bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), typeJSON) {
		s.document(ctx, &doc)
		return
	}
	body := "ready\n"
	if doc.Max > 0 {
		body += fmt.Sprintf("memory: %d of %d bytes\n", doc.Used, doc.Max)
	}
	if doc.IsFull {
		body += "full: writes that need more are refused\n"
	}
	s.text(ctx, body)
}

func (s *Server) healthz(ctx *fasthttp.RequestCtx) { s.text(ctx, "ok\n") }

func (s *Server) text(ctx *fasthttp.RequestCtx, body string) {
	ctx.Response.Header.SetContentTypeBytes(typeText)
	ctx.Response.SetBodyString(body)
}
