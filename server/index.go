package server

import (
	"bytes"
	"fmt"
	"hash/crc64"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

const indexText = `httpdhs %VERSION%, node %NODE%: a distributed hash table over HTTP

  curl -T FILE   HOST/db/KEY                 store a file under a key
  curl -X PUT -d value=VALUE  HOST/db/KEY    store a value
  curl           HOST/db/KEY                 read it
  curl -X DELETE HOST/db/KEY                 delete it
  curl           'HOST/db?prefix=A'          list keys
  curl -T pairs.tsv HOST/load-data           load many
  curl           HOST/cluster                the nodes and what they hold
  curl           HOST/cluster/key/KEY        where a key lives
  curl           HOST/cluster/safe-to-stop   whether this node can be stopped, or ?nodes=
  curl -X POST   HOST/cluster/leave          hand all over to the others and leave
  curl -X POST   HOST/cluster/recover        go on without nodes that are down for good
  curl -OJ       HOST/cluster/backup         what this node has on its disk, as a tar
  curl           HOST/cluster/stats          what each node has counted
  curl           HOST/readyz                 is this node ready
  curl           HOST/openapi.json           all of this for programs, as OpenAPI 3.1
`

const indexMetrics = `  curl           HOST/metrics                counters for Prometheus
`

// pages serves what is there for people: the console, a text for others, and the counters; and for
// programs, a description of the interface.
type pages struct {
	opts        *Options
	description []byte // OpenAPI
	etag        string // of the description
}

func newPages(o *Options) *pages {
	description := []byte(api.OpenAPI())
	sum := crc64.Checksum(description, crc64.MakeTable(crc64.ECMA))
	return &pages{opts: o, description: description, etag: fmt.Sprintf("\"%016x\"", sum)}
}

func (p *pages) openAPI(ctx *fasthttp.RequestCtx, _ *scratch) error {
	return tagged(ctx, p.etag, p.description)
}

func (p *pages) console(ctx *fasthttp.RequestCtx, _ *scratch) error {
	p.opts.Console(ctx)
	return nil
}

func (p *pages) metrics(ctx *fasthttp.RequestCtx, _ *scratch) error {
	p.opts.Metrics(ctx)
	return nil
}

// wantsPage says whether / is the console, as for browsers, or a short text, as for all others. A
// browser cannot send a token with the address that it opens, so the console needs none: it holds
// no data, and asks for the token before it gets any.
func (p *pages) wantsPage(ctx *fasthttp.RequestCtx) bool {
	ctx.Response.Header.Set(fasthttp.HeaderVary, "Accept")
	return p.opts.Console != nil && bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), []byte("text/html"))
}

func (p *pages) index(ctx *fasthttp.RequestCtx, _ *scratch) error {
	text := []byte(indexText)
	if p.opts.Metrics != nil {
		text = append(text, indexMetrics...)
	}
	text = bytes.ReplaceAll(text, []byte("%VERSION%"), []byte(p.opts.Version))
	text = bytes.ReplaceAll(text, []byte("%NODE%"), []byte(p.opts.Name))
	host := ctx.Request.Header.Host()
	if len(host) == 0 {
		host = []byte(p.opts.Name)
	}
	text = bytes.ReplaceAll(text, []byte("HOST"), host)
	ctx.Response.Header.SetContentTypeBytes(typeText)
	ctx.Response.SetBodyRaw(text)
	return nil
}
