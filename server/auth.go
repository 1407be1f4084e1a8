package server

import (
	"bytes"
	"crypto/subtle"

	"github.com/valyala/fasthttp"
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
	err, challenge := errUnauthorized, `Bearer realm="httpdhs"`
	if len(given) > len(bearer) && bytes.EqualFold(given[:len(bearer)], bearer) {
		err, challenge = errWrongToken, challenge+`, error="invalid_token"`
	}
	s.fail(ctx, err)
	ctx.Response.Header.SetCanonical([]byte("WWW-Authenticate"), []byte(challenge))
	return false
}

// sameSecret takes a time that does not depend on where the two differ.
func sameSecret(given []byte, secret string) bool {
	return subtle.ConstantTimeCompare(given, []byte(secret)) == 1
}
