package server

import (
	"github.com/valyala/fasthttp"
)

// exchange serves what other nodes say. Their messages have a budget of their
// own, so that the bodies of clients cannot hold up replication.
func (s *Server) exchange(ctx *fasthttp.RequestCtx) {
	sc := s.scratchOf(ctx)
	if err := s.readBody(ctx, sc, &s.peerBytes, s.opts.MaxExchangeBytes); err != nil {
		s.fail(ctx, err)
		return
	}
	answer, err := s.peers.Exchange(sc.out[:0], sc.body)
	if err != nil {
		// The sender drops what is refused for good, and sends again what was
		// only not taken now.
		if status, _ := statusOf(err); status != fasthttp.StatusServiceUnavailable {
			err = badRequest(err.Error())
		}
		s.fail(ctx, err)
		return
	}
	sc.out = answer
	ctx.Response.Header.SetContentTypeBytes(typeBytes)
	ctx.Response.SetBodyRaw(answer)
}
