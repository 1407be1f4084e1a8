package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

// request is what is to be sent, wherever it goes.
type request struct {
	method string
	target []byte // path and query
	header []header
	body   []byte

	// safe says that it does no harm to send the request again after a node may have seen it.
	// Most such requests read. One that writes all the same may have been done whenever a node
	// may have seen it, however the call ends.
	safe, writes bool

	answers int // a status that is an answer too, beside those of success; 0: none

	begun   time.Time     // the time counts from here; zero: from when it is sent
	timeout time.Duration // over all attempts; 0: Options.Timeout
}

type header struct{ name, value string }

// addHeader adds a header, unless it is empty.
func (r *request) addHeader(name, value string) {
	if value != "" {
		r.header = append(r.header, header{name, value})
	}
}

// sleeper waits for d or until the context is done.
type sleeper func(ctx context.Context, d time.Duration) error

func sleepTimer(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send asks the candidates in turn until one answers. It returns the answer, a success, for the
// caller to release. Nodes that did not answer lately are asked last. When all refuse for now (503
// with Retry-After), it waits as they say and goes round again, as long as the time allows. A round
// that takes as long as the one before has to fit. Otherwise a refusal would end as a timeout, and
// a write that was not done as one that may have been.
func (c *Client) send(ctx context.Context, candidates []*endpoint, req *request) (*fasthttp.Response, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	a := attempts{c: c, ctx: ctx, req: req, deadline: c.deadline(ctx, req)}
	resp, err := a.rounds(candidates)
	if err != nil && a.open && !errors.Is(err, ErrOutcomeUnknown) {
		err = &openError{err}
	}
	return resp, err
}

// rounds asks the candidates until one answers, or nobody will.
func (a *attempts) rounds(candidates []*endpoint) (*fasthttp.Response, error) {
	for {
		begin := a.c.now()
		resp, err := a.round(candidates)
		if err != errGoOn {
			return resp, err
		}
		wait := a.retryAfter()
		if wait <= 0 || wait+a.c.now().Sub(begin) >= time.Until(a.deadline) {
			return nil, a.failure()
		}
		if err := a.c.sleep(a.ctx, wait); err != nil {
			return nil, err
		}
		a.before, a.errs = a.errs, nil
	}
}

// deadline is when the time for a request is over.
func (c *Client) deadline(ctx context.Context, req *request) time.Time {
	begun := req.begun
	if begun.IsZero() {
		begun = time.Now()
	}
	deadline := begun.Add(cmp.Or(req.timeout, c.opts.Timeout))
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		return d
	}
	return deadline
}

// errGoOn is what an attempt returns when another may follow.
var errGoOn = errors.New("go on")

// attempts is the state of one send.
type attempts struct {
	c        *Client
	ctx      context.Context
	req      *request
	deadline time.Time
	errs     []error // of this round
	before   []error // of the round before
	open     bool    // a write that a node may have done
}

// round asks each candidate once.
func (a *attempts) round(candidates []*endpoint) (*fasthttp.Response, error) {
	var later []*endpoint
	for i, e := range candidates {
		if !e.usable(a.c.now()) {
			later = append(later, e)
			continue
		}
		left := len(candidates) - i - 1 + len(later)
		if resp, err := a.one(e, left == 0); err != errGoOn {
			return resp, err
		}
	}
	for i, e := range later {
		if resp, err := a.one(e, i == len(later)-1); err != errGoOn {
			return resp, err
		}
	}
	return nil, errGoOn
}

// one asks one node. A repeatable request that has somewhere else to go gets half of the time that
// is left. So a node that hangs does not take it all.
func (a *attempts) one(e *endpoint, last bool) (*fasthttp.Response, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	left := time.Until(a.deadline)
	if left <= 0 {
		a.errs = append(a.errs, context.DeadlineExceeded)
		return nil, a.failure()
	}
	if a.req.safe && !last {
		left /= 2
	}
	until := time.Now().Add(left)
	if err := e.acquire(a.ctx, left); err != nil {
		if err == errNoConn {
			a.errs = append(a.errs, fmt.Errorf("%s: %w", e.addr, err))
			err = errGoOn
		}
		return nil, err
	}
	resp, err := a.c.exchange(a.ctx, e, a.req, time.Until(until))
	if err != nil {
		return nil, a.unanswered(e, err)
	}
	e.succeeded()
	if (isSuccess(resp.StatusCode()) || resp.StatusCode() == a.req.answers) && len(resp.Header.Peek(headerNode)) > 0 {
		return resp, nil
	}
	status := statusError(resp, e.addr)
	fasthttp.ReleaseResponse(resp)
	a.mayBeDone(status.leavesOpen())
	if status.refused() || a.req.safe && (status.stranger || elsewhere(status.Status)) {
		a.errs = append(a.errs, status)
		return nil, errGoOn
	}
	status.Unknown = status.Unknown || !a.req.safe && status.leavesOpen()
	return nil, status
}

// mayBeDone notes that a node may have done the request. Of one that only reads, nothing is noted.
func (a *attempts) mayBeDone(may bool) { a.open = a.open || may && (a.req.writes || !a.req.safe) }

// unanswered decides what follows from an attempt without an answer: errGoOn, or the error of the
// call.
func (a *attempts) unanswered(e *endpoint, err error) error {
	unsent := nothingSent(err)
	a.mayBeDone(!unsent)
	var notTLS tls.RecordHeaderError
	switch {
	case err == errGivenUp:
		return a.ctx.Err()
	case unsent && errors.As(err, &notTLS):
		return fmt.Errorf("%s: %w", e.addr, ErrNoTLS)
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return fmt.Errorf("%s: the answer has more than the %d bytes of Options.MaxResponseBytes",
			e.addr, a.c.opts.MaxResponseBytes)
	}
	e.failed(a.c.now(), err)
	a.c.suspect(a.c.routes.Load())
	err = fmt.Errorf("%s: %w", e.addr, err)
	if !a.req.safe && !unsent {
		return err
	}
	a.errs = append(a.errs, err)
	return errGoOn
}

// openError is the ErrOutcomeUnknown of a write that was sent, and of which no answer says what has
// become of it.
type openError struct{ cause error }

func (e *openError) Error() string        { return ErrOutcomeUnknown.Error() + ": " + e.cause.Error() }
func (e *openError) Unwrap() error        { return e.cause }
func (e *openError) Is(target error) bool { return target == ErrOutcomeUnknown }

// elsewhere says whether another node may well do what this one could not: it is a fault of the
// node or of a proxy before it.
func elsewhere(status int) bool {
	return status == fasthttp.StatusInternalServerError || unavailable(status)
}

// retryAfter is the shortest wait that a node asked for in this round; 0 if
// none did.
func (a *attempts) retryAfter() time.Duration {
	var shortest time.Duration
	for _, err := range a.errs {
		var status *StatusError
		if errors.As(err, &status) && status.RetryAfter > 0 && !status.Unknown && (shortest == 0 || status.RetryAfter < shortest) {
			shortest = status.RetryAfter
		}
	}
	return shortest
}

// failure is the error when nobody did it: an answer if there was one, for it says more than a
// broken connection.
func (a *attempts) failure() error {
	for _, err := range append(a.errs, a.before...) {
		var status *StatusError
		if errors.As(err, &status) {
			return status
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, joinErrors(a.errs))
}

// errGivenUp is what exchange returns when the context was cancelled before there was an answer.
var errGivenUp = errors.New("given up")

// exchange sends the request to one node and returns the answer, for the caller to release. It
// releases the slot of the node that the caller has acquired, when the request is over.
//
// fasthttp cannot take a request back. One whose context may be cancelled is therefore sent by a
// goroutine of its own, from a copy of the body. Once the context is cancelled, nobody waits for
// that goroutine: it ends with the answer, or after timeout. A context whose deadline passes is no
// reason to give up: timeout ends before it, and its error says more.
func (c *Client) exchange(ctx context.Context, e *endpoint, req *request, timeout time.Duration) (*fasthttp.Response, error) {
	out := c.outgoing(e, req)
	if ctx.Done() == nil {
		if req.body != nil {
			out.SetBodyRaw(req.body) // read while it is sent, and not copied before
		}
		return roundTrip(e, out, timeout)
	}
	if req.body != nil {
		out.SetBody(req.body)
	}
	type answer struct {
		resp *fasthttp.Response
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		a.resp, a.err = roundTrip(e, out, timeout)
		answered <- a
	}()
	select {
	case a := <-answered:
		return a.resp, a.err
	case <-ctx.Done():
	}
	if ctx.Err() == context.Canceled {
		return nil, errGivenUp
	}
	a := <-answered
	return a.resp, a.err
}

// What roundTrip returns in place of errors of fasthttp, which are in the words of a library.
var (
	errNoAnswer = fmt.Errorf("no answer in time (%w)", context.DeadlineExceeded)
	errHungUp   = errors.New("the node closed the connection before it answered")
)

func inOurWords(err error) error {
	switch {
	case errors.Is(err, fasthttp.ErrTimeout):
		return errNoAnswer
	case errors.Is(err, fasthttp.ErrConnectionClosed):
		return errHungUp
	}
	return err
}

// roundTrip sends out, releases it, and returns the answer. It turns a panic of the library into an
// error, whatever the node has answered: in a goroutine nobody could recover it.
func roundTrip(e *endpoint, out *fasthttp.Request, timeout time.Duration) (resp *fasthttp.Response, err error) {
	defer e.release()
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, fmt.Errorf("the HTTP client cannot cope with %s: panic: %v", e.addr, v)
		}
	}()
	resp = fasthttp.AcquireResponse()
	err = e.host.DoTimeout(out, resp, timeout)
	fasthttp.ReleaseRequest(out)
	if err != nil {
		fasthttp.ReleaseResponse(resp)
		return nil, inOurWords(err)
	}
	return resp, nil
}

// outgoing is the request as fasthttp has it, without its body.
func (c *Client) outgoing(e *endpoint, req *request) *fasthttp.Request {
	out := fasthttp.AcquireRequest()
	scheme := "http://"
	if c.tls {
		scheme = "https://"
	}
	uri := make([]byte, 0, len(scheme)+len(e.addr)+len(req.target))
	uri = append(append(append(uri, scheme...), e.addr...), req.target...)
	out.SetRequestURIBytes(uri)
	out.Header.SetMethod(req.method)
	if c.opts.Token != "" {
		out.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+c.opts.Token)
	}
	for _, h := range req.header {
		out.Header.Set(h.name, h.value)
	}
	return out
}

// joinErrors puts the errors of several nodes on one line.
func joinErrors(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return &severalErrors{errs}
}

type severalErrors struct{ errs []error }

func (e *severalErrors) Unwrap() []error { return e.errs }

func (e *severalErrors) Error() string {
	text := ""
	for i, err := range e.errs {
		if i > 0 {
			text += "; "
		}
		text += err.Error()
	}
	return text
}
