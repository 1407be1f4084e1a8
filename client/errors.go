package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/kv"
)

// Errors to look for with errors.Is. A *StatusError matches those of the nodes'
// answers where its status says so.
var (
	// ErrNotFound: there is no such key.
	ErrNotFound = kv.ErrNotFound

	// ErrConditionFailed: the IfMatch or IfNoneMatch of a write did not hold.
	ErrConditionFailed = kv.ErrConditionFailed

	// ErrOutcomeUnknown: a write was sent and may or may not have been done.
	ErrOutcomeUnknown = errors.New("the write may or may not have been done")

	// ErrUnreachable: no node could be asked. A write was not done.
	ErrUnreachable = errors.New("no node answers")

	// ErrUnauthorized: the nodes want a token, or another one than Options.Token.
	ErrUnauthorized = errors.New("the nodes want a token")

	// ErrWantsTLS and ErrNoTLS: the node speaks TLS, and was asked without, or the other way round.
	// A write was not done.
	ErrWantsTLS = errors.New("the node speaks TLS, and was asked without")
	ErrNoTLS    = errors.New("the node speaks no TLS, and was asked with it")
)

// StatusError is an answer that is not a success.
type StatusError struct {
	Status  int    // of HTTP
	Message string // what the node says about it
	Node    string // who answered

	// Unknown says that a write did not reach its level and may still appear;
	// Acks of Required replicas stored it.
	Unknown        bool
	Acks, Required int

	// RetryAfter is set where the node did nothing and asks to come back.
	RetryAfter time.Duration
}

func (e *StatusError) Error() string {
	msg := e.Message
	if msg == "" {
		msg = strings.ToLower(http.StatusText(e.Status))
	}
	if e.Node == "" {
		return fmt.Sprintf("%s (status %d)", msg, e.Status)
	}
	return fmt.Sprintf("%s (status %d from %s)", msg, e.Status, e.Node)
}

// Is matches the sentinels of this package.
func (e *StatusError) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConditionFailed:
		return e.Status == http.StatusPreconditionFailed
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrWantsTLS:
		return e.Status == http.StatusMisdirectedRequest
	case ErrOutcomeUnknown:
		return e.Unknown
	}
	return false
}

// refused says that the node did nothing with the request, and that it or
// another may take it later.
func (e *StatusError) refused() bool { return e.RetryAfter > 0 && !e.Unknown }

// messageMax bounds what is kept of a body that is not one of our errors, say
// of a proxy's error page.
const messageMax = 200

// statusError reads the answer of a request that did not succeed.
func statusError(resp *fasthttp.Response, addr string) *StatusError {
	e := &StatusError{Status: resp.StatusCode(), Node: string(resp.Header.Peek("X-Dht-Node"))}
	if e.Node == "" {
		e.Node = addr
	}
	if e.Status == http.StatusServiceUnavailable {
		if s, err := strconv.Atoi(string(resp.Header.Peek("Retry-After"))); err == nil {
			e.RetryAfter = max(time.Duration(s)*time.Second, time.Millisecond)
		}
	}
	var doc api.Error
	if json.Unmarshal(resp.Body(), &doc) == nil && doc.Error != "" {
		e.Message = doc.Error
		e.Unknown = doc.Outcome == "unknown"
		if doc.Acks != nil {
			e.Acks = *doc.Acks
		}
		if doc.Required != nil {
			e.Required = *doc.Required
		}
		return e
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(resp.Body())), "\n")
	e.Message = text[:min(len(text), messageMax)]
	return e
}
