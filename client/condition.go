package client

import (
	"errors"
	"strings"

	"github.com/valyala/fasthttp"
)

// Condition is what must hold for a write to be done. Otherwise the write fails with
// ErrConditionFailed. The zero Condition always holds.
//
// The primary of the key decides the condition and stores the write in one step. So of all clients
// that create the same key, or replace the same version of it, one succeeds.
type Condition struct {
	header string // If-Match, If-None-Match; empty: no condition
	value  string
}

// IfMatch holds if the key has the version with this ETag: nobody has written it since. Take the
// ETag of a Value, or of the Written of a put. An empty one is an error, and not a write without a
// condition: use IfAbsent for a key that had no value. IfMatch("*") holds if the key has any value:
// a put then replaces and never creates, and a delete tells whether there was anything to delete.
func IfMatch(etag string) Condition { return Condition{fasthttp.HeaderIfMatch, etag} }

// IfAbsent holds if the key has no value: of all clients that put with it, one creates the key. A
// delete with it is an error, for it would have nothing to delete.
func IfAbsent() Condition { return Condition{fasthttp.HeaderIfNoneMatch, "*"} }

var (
	errNoETag = errors.New("IfMatch has no ETag: take that of a Value or of the Written of a put," +
		" and for a put of a key that had no value use IfAbsent")
	errBadETag      = errors.New("the ETag of IfMatch has control characters")
	errDeleteAbsent = errors.New("a delete with IfAbsent has nothing to delete: use IfMatch, or no condition")
)

// check refuses a condition that has lost its tag on the way here, or would lose it on the way to
// the node. It also refuses one that means nothing for a write of this kind.
func (c Condition) check(kind OpKind) error {
	switch {
	case c.header == "":
		return nil
	case c == IfAbsent() && kind == OpDelete:
		return errDeleteAbsent
	case strings.TrimSpace(c.value) == "":
		return errNoETag
	case hasControl(c.value):
		return errBadETag
	}
	return nil
}
