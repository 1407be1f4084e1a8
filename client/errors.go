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
)

// The errors that errors.Is can tell. The package comment says what is certain after each. Beside
// them, an error matches context.Canceled if the context was cancelled, and
// context.DeadlineExceeded if the time for the call was over.
var (
	// ErrNotFound: the key has no value. Of Remove: there is no such node.
	ErrNotFound = errors.New("no such key")

	// ErrConditionFailed: the condition of a write did not hold, and nothing was written. Read the
	// key and decide again, with its current ETag. StatusError.ETag may have it already.
	ErrConditionFailed = errors.New("the condition does not hold")

	// ErrOutcomeUnknown: the write was sent, and may have been done, or may still appear. Read the
	// key to find out. Or write again, if it does no harm to do it twice.
	ErrOutcomeUnknown = errors.New("the write may or may not have been done")

	// ErrUnavailable: the cluster cannot do it now. No node was reached, or too few of the replicas
	// that it takes, or the nodes are overloaded. Try again later. The client has already tried
	// other nodes. A write was certainly not done, unless the error is ErrOutcomeUnknown too.
	ErrUnavailable = errors.New("no node answers")

	// ErrFull: a replica has no memory for the write. Delete keys, write less, or give the nodes
	// more memory. Where other replicas have stored it, or may, the error is ErrOutcomeUnknown too.
	ErrFull = errors.New("a replica has no memory left for this write")

	// ErrIncomplete: of a load, some records failed. The LoadReport says which. Those that failed
	// because too few replicas confirmed them may be stored.
	ErrIncomplete = errors.New("not all records were loaded")

	// ErrUnauthorized: the nodes want a token, or another one. Set Options.Token.
	ErrUnauthorized = errors.New("the nodes want a token")

	// ErrWantsTLS: the node speaks TLS, and was asked without; nothing was done. Write its address
	// as https://host:port, or set Options.TLS.
	ErrWantsTLS = errors.New("the node speaks TLS, and was asked without")

	// ErrNoTLS: the node speaks no TLS, and was asked with it; nothing was done.
	ErrNoTLS = errors.New("the node speaks no TLS, and was asked with it")

	// ErrClosed: the client was closed before the call.
	ErrClosed = errors.New("the client is closed")
)

// StatusError is the answer of a node that did not do what it was asked. errors.As finds it. One
// that matches none of the errors above is about the request itself, which will fail again: a value
// that is too large, say, or a level that there is none of.
type StatusError struct {
	Status  int    // of HTTP
	Message string // what is wrong and what to do, in the words of the node
	Node    string // who answered

	// Unknown says that a write may have been done, or may still appear. Acks replicas have stored
	// it, of Required that had to; both are 0 where that is not known.
	Unknown        bool
	Acks, Required int

	// ETag is the version that is there, after a condition that did not hold. Empty: the key has
	// no value, or the version is not known.
	ETag string

	// RetryAfter is how long whoever answered asks to wait. A node that asks has done nothing. 0:
	// it does not ask.
	RetryAfter time.Duration

	stranger bool // the answer is no node's: a proxy gave it, or a server of another kind
}

func (e *StatusError) Error() string {
	msg := e.Message
	if msg == "" {
		msg = strings.ToLower(http.StatusText(e.Status))
	}
	who := e.Node
	if e.stranger {
		who += ", which is no node of httpdhs"
	}
	return fmt.Sprintf("%s (status %d from %s)", msg, e.Status, who)
}

// Is matches the errors of this package.
func (e *StatusError) Is(target error) bool {
	switch target {
	case ErrNotFound: // a wrong address has no key either
		return e.Status == http.StatusNotFound && !e.stranger
	case ErrConditionFailed:
		return e.Status == http.StatusPreconditionFailed && !e.stranger
	case ErrFull:
		return e.Status == http.StatusInsufficientStorage
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrWantsTLS:
		return e.Status == http.StatusMisdirectedRequest
	case ErrOutcomeUnknown:
		return e.Unknown
	case ErrUnavailable:
		return !e.Unknown && unavailable(e.Status)
	}
	return false
}

// unavailable says whether a status is about the node or the way to it, and not about the request.
func unavailable(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// refused says that the node did nothing with the request, and that it or another may take it
// later. A proxy that says to come back later may have passed the request on before.
func (e *StatusError) refused() bool { return e.RetryAfter > 0 && !e.Unknown && !e.stranger }

// leavesOpen says whether a write that was answered so may have been done, although the answer
// does not say it. A node's own answer does say it, unless a fault of the node came in between. A
// proxy may have passed the write on.
func (e *StatusError) leavesOpen() bool {
	return e.Status == http.StatusInternalServerError || e.stranger && (e.Status > 500 || isSuccess(e.Status))
}

func isSuccess(status int) bool { return status >= 200 && status < 300 }

// messageMax bounds what is kept of a body that is not one of our errors, say of a proxy's error
// page.
const messageMax = 200

// headerNode is in every answer of a node: its name.
const headerNode = "X-Dht-Node"

// statusError reads the answer to a request that did not succeed.
func statusError(resp *fasthttp.Response, addr string) *StatusError {
	e := &StatusError{Status: resp.StatusCode(), Node: string(resp.Header.Peek(headerNode))}
	if e.Node == "" {
		e.Node = addr
		// A node that is spoken to by the wrong scheme says so before there is a request to answer.
		e.stranger = e.Status != http.StatusMisdirectedRequest || string(resp.Header.Server()) != "httpdhs"
	}
	switch e.Status {
	case http.StatusPreconditionFailed:
		e.ETag = string(resp.Header.Peek(fasthttp.HeaderETag))
	case http.StatusServiceUnavailable:
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
	if isSuccess(e.Status) {
		e.Message = "check the address of the node"
		return e
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(resp.Body())), "\n")
	e.Message = text[:min(len(text), messageMax)]
	return e
}
