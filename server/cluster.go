package server

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// cluster serves what a node tells of itself and the cluster, and changes the members (members.go).
type cluster struct {
	of     Cluster
	ending *ending // of the server
	last   ringCache
}

// document answers with a document as JSON.
func document(ctx *fasthttp.RequestCtx, doc any) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(append(body, '\n'))
	return nil
}

// text answers with a text.
func text(ctx *fasthttp.RequestCtx, body string) error {
	ctx.Response.Header.SetContentTypeBytes(typeText)
	ctx.Response.SetBodyString(body)
	return nil
}

func (k *cluster) status(ctx *fasthttp.RequestCtx, sc *scratch) error {
	return document(ctx, k.of.Cluster(time.Now().Add(sc.params.timeout)))
}

func (k *cluster) key(ctx *fasthttp.RequestCtx, sc *scratch) error {
	return document(ctx, k.of.Key(sc.key, time.Now().Add(sc.params.timeout)))
}

// ringCache is the partition table as it is sent. Clients ask for it whenever it may have changed,
// and it seldom has.
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

// judgeTags is for documents that have an entity tag.
func judgeTags(ctx *fasthttp.RequestCtx, _ *scratch) error {
	return tagsFault(&ctx.Request.Header)
}

func (k *cluster) ring(ctx *fasthttp.RequestCtx, _ *scratch) error {
	doc, err := k.last.document(k.of.Ring())
	if err != nil {
		return err
	}
	return tagged(ctx, doc.etag, doc.body)
}

// tagged answers with a document that has an entity tag. The tags of a condition were judged.
func tagged(ctx *fasthttp.RequestCtx, etag string, body []byte) error {
	ctx.Response.Header.SetCanonical(headerETag, s2b(etag))
	if matchesTag(&ctx.Request.Header, etag) {
		ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.SetBodyRaw(body)
	return nil
}
