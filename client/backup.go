package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

// Backup asks the node at the first of Options.Addrs, and no other, for a backup of what it keeps
// on its disk. That is a tar of a data directory, with all writes that the node has acknowledged
// before. The caller closes it. Unless all of it arrives, reading ends with an error.
//
// A node takes one backup at a time, and none while it starts: Backup waits as long as
// Options.Timeout. That is also how long the node may send nothing. All together may take any
// time.
//
// A *StatusError with status 409 says that the node is in memory alone.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	e := c.routes.Load().seeds[0]
	deadline := c.deadline(ctx, &request{})
	for {
		body, err := c.stream(ctx, e, "/cluster/backup")
		var status *StatusError
		if !errors.As(err, &status) || !status.refused() || status.RetryAfter >= time.Until(deadline) {
			return body, err
		}
		if err := c.sleep(ctx, status.RetryAfter); err != nil {
			return nil, err
		}
	}
}

// errorBytesMax bounds the document of an error.
const errorBytesMax = 64 << 10

// stream is the body of an answer of any length. fasthttp would bound the time for all of it. Here
// Options.Timeout bounds the time between two pieces.
func (c *Client) stream(ctx context.Context, e *endpoint, target string) (_ io.ReadCloser, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			cancel(nil)
		}
	}()
	s := &stream{ctx: ctx, cancel: cancel, timeout: c.opts.Timeout, addr: e.addr}
	s.silence = time.AfterFunc(s.timeout, func() { cancel(errNoAnswer) })
	defer s.silence.Stop()
	scheme := "http://"
	if c.tls {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+e.addr+target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(fasthttp.HeaderUserAgent, c.opts.UserAgent)
	if c.opts.Token != "" {
		req.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+c.opts.Token)
	}
	resp, err := c.streamTransport().RoundTrip(req)
	if err != nil {
		return nil, s.inOurWords(err)
	}
	if !isSuccess(resp.StatusCode) || resp.Header.Get(headerNode) == "" {
		defer resp.Body.Close()
		return nil, statusOfStream(resp, e.addr)
	}
	s.body = resp.Body
	return s, nil
}

// streamTransport makes one connection, which ends with the stream.
func (c *Client) streamTransport() http.RoundTripper {
	cfg := c.opts.TLS
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	d := dialer{timeout: c.opts.DialTimeout, tls: c.tls, config: cfg}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		return d.dialContext(ctx, addr)
	}
	return &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true, DisableCompression: true}
}

// statusOfStream reads the answer to a request that did not succeed.
func statusOfStream(resp *http.Response, addr string) *StatusError {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, errorBytesMax)) // of what is there, what can be read
	answer := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(answer)
	answer.SetStatusCode(resp.StatusCode)
	for _, name := range []string{headerNode, fasthttp.HeaderRetryAfter} {
		answer.Header.Set(name, resp.Header.Get(name))
	}
	answer.SetBody(body)
	return statusError(answer, addr)
}

// stream is a body that ends with an error where nothing of it comes for too long.
type stream struct {
	ctx     context.Context // of the request
	cancel  context.CancelCauseFunc
	body    io.ReadCloser
	silence *time.Timer
	timeout time.Duration
	addr    string
}

func (s *stream) Read(p []byte) (int, error) {
	s.silence.Reset(s.timeout)
	n, err := s.body.Read(p)
	s.silence.Stop() // the reader may take its time
	if err != nil && err != io.EOF {
		err = s.inOurWords(err)
	}
	return n, err
}

// Close ends the stream, however much of it was read.
func (s *stream) Close() error {
	s.silence.Stop()
	s.cancel(nil)
	return s.body.Close()
}

// inOurWords is an error of the transport.
func (s *stream) inOurWords(err error) error {
	var notTLS tls.RecordHeaderError
	var dial *net.OpError
	switch cause := context.Cause(s.ctx); {
	case cause == errNoAnswer:
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, s.addr, cause)
	case cause != nil:
		return cause
	case errors.As(err, &notTLS):
		return fmt.Errorf("%s: %w", s.addr, ErrNoTLS)
	case errors.As(err, &dial):
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, s.addr, dial)
	}
	return fmt.Errorf("%s: the answer breaks off: %w", s.addr, cmp.Or(err, io.ErrUnexpectedEOF))
}
