package server

import (
	"bytes"
	"crypto/subtle"

	"github.com/valyala/fasthttp"

	"httpdhs/kv"
)

var bearer = []byte("bearer ")

// authorized says whether the request carries the clients' token, and answers
// it if not.
func (s *Server) authorized(ctx *fasthttp.RequestCtx) bool {
	if s.opts.AuthToken == "" {
		return true
	}
	given := ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)
	if len(given) > len(bearer) && bytes.EqualFold(given[:len(bearer)], bearer) &&
		sameSecret(given[len(bearer):], s.opts.AuthToken) {
		return true
	}
	s.fail(ctx, errUnauthorized)
	ctx.Response.Header.SetCanonical([]byte("WWW-Authenticate"), []byte(`Bearer realm="httpdhs"`))
	return false
}

// trusted says whether the request carries the nodes' secret, and answers it
// if not.
func (s *Server) trusted(ctx *fasthttp.RequestCtx) bool {
	// A node that has no secret refuses one that shows its own: else that one
	// would take it for a member, and not the other way round.
	if sameSecret(ctx.Request.Header.Peek(kv.SecretHeader), s.opts.ClusterSecret) {
		return true
	}
	s.fail(ctx, errUntrusted)
	if held, ok := s.strangers.allow(s.clock.Load()); ok {
		s.log.Warn("a node without this cluster's secret was refused: --cluster-secret-file must be the same at all nodes",
			"from", ctx.RemoteAddr().String(), "more_since_last", held)
	}
	return false
}

// sameSecret takes a time that does not depend on where the two differ.
func sameSecret(given []byte, secret string) bool {
	return subtle.ConstantTimeCompare(given, []byte(secret)) == 1
}
