package server

import (
	"time"

	"github.com/valyala/fasthttp"
)

func (k *cluster) stats(ctx *fasthttp.RequestCtx, sc *scratch) error {
	return document(ctx, k.of.Stats(time.Now().Add(sc.params.timeout)))
}
