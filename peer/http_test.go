package peer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"httpdhs/internal/seal"
	"httpdhs/wire"
)

// answering is the other end of a transport: a node that opens each message and answers as it is
// told.
type answering struct {
	transport *HTTPTransport
	sealer    *seal.Sealer
	dialled   atomic.Int64
	tap       func(p []byte) // may change what is answered, as it comes
	answer    func(ctx *fasthttp.RequestCtx, asked *seal.Seal)

	mu    sync.Mutex // guards conns
	conns []net.Conn // that were taken
}

const answeringName = "node1:1234"

// newAnswering starts it, in memory, with a secret that the transport has too.
func newAnswering(t *testing.T, secret string) *answering {
	t.Helper()
	a := &answering{transport: NewHTTPTransport(answeringName, secret, nil, 1<<20), sealer: seal.New(secret)}
	ln := fasthttputil.NewInmemoryListener()
	a.transport.Dial = func(string, time.Duration) (net.Conn, error) {
		a.dialled.Add(1)
		c, err := ln.Dial()
		return &tappedConn{c, a}, err
	}
	server := fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		purpose := seal.Exchange
		if string(ctx.Path()) == helloPath {
			purpose = seal.Hello
		}
		var asked seal.Seal
		err := a.sealer.OpenRequest(&asked, purpose, ctx.Request.Header.Peek(seal.Header), len(ctx.Request.Body()))
		if err = errors.Join(err, a.sealer.CheckBody(&asked, ctx.Request.Body())); err != nil || string(asked.To()) != answeringName {
			t.Errorf("a message to %q: %v", asked.To(), err)
		}
		a.answer(ctx, &asked)
	}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns = append(a.conns, c)
			a.mu.Unlock()
			serving.Go(func() { _ = server.ServeConn(c) })
		}
	})
	t.Cleanup(func() {
		a.transport.Abort()
		_ = ln.Close()
		serving.Wait()
	})
	return a
}

type tappedConn struct {
	net.Conn
	a *answering
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.a.tap != nil {
		c.a.tap(p[:n])
	}
	return n, err
}

// hangUp closes all connections, as a node does that ends.
func (a *answering) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		_ = c.Close()
	}
}

// reply answers with a seal.
func (a *answering) reply(ctx *fasthttp.RequestCtx, asked *seal.Seal, status int, body string) {
	ctx.SetStatusCode(status)
	ctx.SetBodyString(body)
	ctx.Response.Header.SetBytesV(seal.Header, a.sealer.Answer(asked, status, []byte(body)))
}

func (a *answering) ask(message string) ([]byte, error) {
	return a.transport.RoundTrip(nil, []byte(message), time.Now().Add(time.Minute))
}

var theSecrets = []string{"", "between the nodes"}

// An answer counts if it has the seal of an answer to that request, with that status and that body.
// No other answer is believed that the peer will never take a message: that drops a batch.
func TestAnswersCountWithTheirSeal(t *testing.T) {
	for _, secret := range theSecrets {
		a := newAnswering(t, secret)
		for what, row := range map[string]struct {
			answer func(ctx *fasthttp.RequestCtx, asked *seal.Seal)
			want   error  // wrapped
			text   string // of the error
		}{
			"good":               {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) { a.reply(ctx, asked, 200, "yes") }, nil, ""},
			"refused":            {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) { a.reply(ctx, asked, 400, "no") }, ErrRefused, "400"},
			"too large":          {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) { a.reply(ctx, asked, 413, "no") }, ErrRefused, "413"},
			"later":              {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) { a.reply(ctx, asked, 503, "no") }, errAgain, "503"},
			"changed on its way": {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) { a.reply(ctx, asked, 422, "no") }, errAgain, "422"},
			"a stranger":         {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) { a.reply(ctx, asked, 403, "no") }, ErrStranger, "403"},
			"another status": {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
				a.reply(ctx, asked, 200, "no")
				ctx.SetStatusCode(400)
			}, errAgain, "400"},
			"another body": {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
				a.reply(ctx, asked, 200, "yes")
				ctx.SetBodyString("yet")
			}, seal.ErrChanged, "changed"},
			"another request's": {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
				var other seal.Seal
				a.sealer.Request(&other, seal.Exchange, answeringName, ctx.Request.Body())
				a.reply(ctx, &other, 200, "yes")
			}, seal.ErrChanged, "changed"},
			"no seal":          {func(ctx *fasthttp.RequestCtx, _ *seal.Seal) { ctx.SetBodyString("yes") }, seal.ErrNone, "run the same version"},
			"no seal, refused": {func(ctx *fasthttp.RequestCtx, _ *seal.Seal) { ctx.SetStatusCode(400) }, errAgain, "run the same version"},
			"no seal, 403":     {func(ctx *fasthttp.RequestCtx, _ *seal.Seal) { ctx.SetStatusCode(403) }, ErrStranger, "run the same version"},
			"another secret": {func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
				ctx.SetBodyString("yes")
				ctx.Response.Header.SetBytesV(seal.Header, seal.New("theirs").Answer(asked, 200, []byte("yes")))
			}, seal.ErrSecret, "--cluster-secret-file"},
		} {
			a.answer = row.answer
			got, err := a.ask("\x03\x01 message")
			if row.want == nil && (err != nil || string(got) != "yes") {
				t.Errorf("secret %q, %s: %q, %v", secret, what, got, err)
			}
			again := row.want == errAgain && err != nil && !errors.Is(err, ErrRefused) && !IsTimeout(err)
			if row.want != nil && (!again && !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.text)) {
				t.Errorf("secret %q, %s: %q, %v", secret, what, got, err)
			}
		}
	}
}

// errAgain stands for any error after which a message is sent again.
var errAgain = errors.New("again")

// After an answer that does not count nothing more is read from its connection.
func TestWhatFollowsABadAnswerIsNotRead(t *testing.T) {
	a := newAnswering(t, "")
	bad := false
	a.answer = func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
		a.reply(ctx, asked, 200, "yes")
		if bad {
			ctx.SetBodyString("yet")
		}
	}
	for _, step := range []struct {
		bad   bool
		conns int64
	}{{false, 1}, {false, 1}, {true, 1}, {true, 2}, {false, 3}, {false, 3}} {
		bad = step.bad
		if _, err := a.ask("message"); bad != (err != nil) {
			t.Errorf("%+v: error %v", step, err)
		}
		if n := a.dialled.Load(); n != step.conns {
			t.Errorf("%+v: %d connections", step, n)
		}
	}
}

// A hello goes to a path of its own, for whoever is at the address.
func TestHellosHaveTheirPath(t *testing.T) {
	a := newAnswering(t, "")
	var path string
	a.answer = func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
		path = string(ctx.Path())
		a.reply(ctx, asked, 200, "yes")
	}
	for message, want := range map[string]string{
		string(wire.AppendHello(nil, []byte("{}"))): helloPath,
		string(wire.OpenBatch(nil)):                 exchangePath,
		"":                                          exchangePath,
	} {
		if _, err := a.ask(message); err != nil || path != want {
			t.Errorf("%x: to %s, want %s: %v", message, path, want, err)
		}
	}
}

// In each of 5,000 answers a bit or some, anywhere, are other than they were sent. Each answer
// counts as it was sent, or does not count.
func TestFlippedBitsInAnswers(t *testing.T) {
	const flips = 2500
	for _, secret := range theSecrets {
		a := newAnswering(t, secret)
		rng := rand.New(rand.NewPCG(1, 2))
		body := strings.Repeat("an answer ", 20)
		a.answer = func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
			ctx.SetConnectionClose() // an answer that seems to be longer than it is ends all the same
			a.reply(ctx, asked, []int{200, 503}[rng.IntN(2)], body)
		}
		a.tap = func(p []byte) {
			for range min(len(p), 1+rng.IntN(3)) {
				p[rng.IntN(len(p))] ^= 1 << rng.IntN(8)
			}
		}
		taken := 0
		for range flips {
			got, err := a.ask("message")
			if err == nil {
				taken++
			}
			if err == nil && !bytes.Equal(got, []byte(body)) || errors.Is(err, ErrRefused) {
				t.Fatalf("secret %q: %q, %v", secret, got, err)
			}
		}
		t.Logf("secret %q: %d of %d answers were taken, as they were sent", secret, taken, flips)
	}
}

// A peer that was restarted has closed all connections that a node has to it. The first message on
// one fails, and the next goes over a new one. After one failure a message is tried again. After
// two the peer would be down.
func TestOneBrokenConnectionSpoilsAll(t *testing.T) {
	const pooled = 5
	a := newAnswering(t, "")
	var arrived atomic.Int32
	all := make(chan struct{})
	a.answer = func(ctx *fasthttp.RequestCtx, asked *seal.Seal) {
		if arrived.Add(1) == pooled {
			close(all)
		}
		select {
		case <-all: // each has a connection of its own
		case <-ctx.Done():
		}
		a.reply(ctx, asked, fasthttp.StatusOK, "answer")
	}
	send := func() error {
		_, err := a.transport.RoundTrip(nil, []byte("message"), time.Now().Add(time.Minute))
		return err
	}
	var first sync.WaitGroup
	for range pooled {
		first.Go(func() {
			if err := send(); err != nil {
				t.Error(err)
			}
		})
	}
	first.Wait()

	a.hangUp()
	if err := send(); err == nil {
		t.Fatal("no connection was broken")
	}
	if err := send(); err != nil {
		t.Errorf("the second message fails too: %v", err)
	}
}
