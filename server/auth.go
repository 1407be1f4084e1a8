package server

import (
	"bytes"
	"crypto/subtle"

	"github.com/valyala/fasthttp"
)

var bearer = []byte("bearer ")

// tokenFault refuses a request that does not carry the clients' token, or the other one, which is
// good for its endpoint alone. Empty tokens are none.
func (g *gate) tokenFault(ctx *fasthttp.RequestCtx, other string) error {
	if g.token == "" && other == "" {
		return nil
	}
	given := ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)
	err, challenge := errUnauthorized, `Bearer realm="httpdhs"`
	if len(given) > len(bearer) && bytes.EqualFold(given[:len(bearer)], bearer) {
		for _, token := range [...]string{g.token, other} {
			if token != "" && sameSecret(given[len(bearer):], token) {
				return nil
			}
		}
		err, challenge = errWrongToken, challenge+`, error="invalid_token"`
	}
	ctx.Response.Header.SetCanonical([]byte("WWW-Authenticate"), []byte(challenge))
	return err
}

// sameSecret takes a time that does not depend on where the two differ.
func sameSecret(given []byte, secret string) bool {
	return subtle.ConstantTimeCompare(given, []byte(secret)) == 1
}
