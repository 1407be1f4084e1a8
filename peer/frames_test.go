package peer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/seal"
	"httpdhs/internal/testcert"
	"httpdhs/wire"
)

// An answer counts if it has the seal of an answer to that request, with that status and that body.
// No other answer is believed that the peer will never take a message: that drops a batch.
func TestAnswersCountWithTheirSeal(t *testing.T) {
	for _, secret := range theSecrets {
		a := newAnswering(t, secret, nil)
		for what, row := range map[string]struct {
			answer func(q *question)
			want   error  // wrapped
			text   string // of the error
		}{
			"good":               {func(q *question) { q.reply(200, "yes") }, nil, ""},
			"refused":            {func(q *question) { q.reply(400, "no") }, ErrRefused, "400"},
			"too large":          {func(q *question) { q.reply(413, "no") }, ErrRefused, "413"},
			"later":              {func(q *question) { q.reply(503, "no") }, errAgain, "503"},
			"changed on its way": {func(q *question) { q.reply(422, "no") }, errAgain, "422"},
			"a stranger":         {func(q *question) { q.reply(403, "no") }, ErrStranger, "403"},
			"another status": {func(q *question) {
				q.frame(400, "no", q.a.sealer.Answer(&q.seal, 200, []byte("no")))
			}, errAgain, "400"},
			"another body": {func(q *question) {
				q.frame(200, "yet", q.a.sealer.Answer(&q.seal, 200, []byte("yes")))
			}, seal.ErrChanged, "changed"},
			"another request's": {func(q *question) {
				var other seal.Seal
				q.a.sealer.Request(&other, seal.Exchange, answeringName, q.body)
				q.frame(200, "yes", q.a.sealer.Answer(&other, 200, []byte("yes")))
			}, seal.ErrChanged, "changed"},
			"no seal":          {func(q *question) { q.frame(200, "yes", nil) }, seal.ErrNone, "run the same version"},
			"no seal, refused": {func(q *question) { q.frame(400, "no", nil) }, errAgain, "400"},
			"no seal, 403":     {func(q *question) { q.frame(403, "no", nil) }, ErrStranger, "403"},
			"another secret": {func(q *question) {
				q.frame(200, "yes", seal.New("theirs").Answer(&q.seal, 200, []byte("yes")))
			}, seal.ErrSecret, "--cluster-secret-file"},
			"another head": {func(q *question) { _, _ = q.conn.Write(make([]byte, 100)) }, seal.ErrChanged, "changed"},
			"too long":     {func(q *question) { _, _ = q.conn.Write(seal.AppendHead(nil, seal.Head{Body: 1 << 30})) }, errAgain, "at most"},
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
	a := newAnswering(t, "", nil)
	bad := false
	a.answer = func(q *question) {
		body := "yes"
		if bad {
			body = "yet"
		}
		q.frame(200, body, q.a.sealer.Answer(&q.seal, 200, []byte("yes")))
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

// A hello says that it is one, for it is for whoever is at the address.
func TestHellosAreTold(t *testing.T) {
	a := newAnswering(t, "", nil)
	var purpose seal.Purpose
	a.answer = func(q *question) {
		purpose = q.purpose
		q.reply(200, "yes")
	}
	for message, want := range map[string]seal.Purpose{
		string(wire.AppendHello(nil, []byte("{}"))): seal.Hello,
		string(wire.OpenBatch(nil)):                 seal.Exchange,
		"":                                          seal.Exchange,
		strings.Repeat("long", oneWriteBytes):       seal.Exchange,
	} {
		if _, err := a.ask(message); err != nil || purpose != want {
			t.Errorf("%.20x: as %d, want %d: %v", message, purpose, want, err)
		}
	}
}

// Of 5,000 answers many have a bit or some, anywhere, that are other than they were sent. Each
// answer counts as it was sent, or does not count.
func TestFlippedBitsInAnswers(t *testing.T) { bubble(t, testFlippedAnswers) } // some seem to be longer

func testFlippedAnswers(t *testing.T) {
	const flips = 2500
	for _, secret := range theSecrets {
		a := newAnswering(t, secret, nil)
		rng := rand.New(rand.NewPCG(1, 2))
		body := strings.Repeat("an answer ", 20)
		a.answer = func(q *question) {
			q.reply([]int{200, 503}[rng.IntN(2)], body)
		}
		a.tap = func(p []byte) {
			if rng.IntN(2) == 0 {
				return
			}
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
	a := newAnswering(t, "", nil)
	var arrived atomic.Int32
	all := make(chan struct{})
	a.answer = func(q *question) {
		if arrived.Add(1) == pooled {
			close(all)
		}
		<-all // each has a connection of its own
		q.reply(200, "answer")
	}
	var first sync.WaitGroup
	for range pooled {
		first.Go(func() {
			if err := a.within(time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	first.Wait()

	a.hangUp()
	if err := a.within(time.Minute); err == nil {
		t.Fatal("no connection was broken")
	}
	if err := a.within(time.Minute); err != nil {
		t.Errorf("the second message fails too: %v", err)
	}
}

// A connection's deadline may come before that of a message, or while it carries none. That ends no
// round trip, whatever it waits for. The message's own deadline does, and not before.
func TestEarlyDeadlines(t *testing.T) {
	_, cert := testcert.New(t)
	for name, config := range map[string]*tls.Config{
		"plain": nil, "TLS": {Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true}, // which nobody would read
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { testEarly(t, config) })
		})
	}
}

func testEarly(t *testing.T, config *tls.Config) {
	a := newAnswering(t, "", config)
	var before, after atomic.Int64 // durations
	a.answer = func(q *question) {
		then := after.Load() // the next message may have another
		time.Sleep(time.Duration(before.Load()))
		q.reply(200, "yes")
		time.Sleep(time.Duration(then)) // in which nothing is taken
	}
	ask := func(what string, timeout time.Duration, answered bool) {
		t.Helper()
		began := time.Now()
		switch err := a.within(timeout); {
		case answered && err != nil:
			t.Errorf("%s: %v", what, err)
		case !answered && (!IsTimeout(err) || time.Since(began) != timeout):
			t.Errorf("%s, in %v: after %v: %v", what, timeout, time.Since(began), err)
		}
	}
	const second, late = time.Second, time.Second + armSlack/2
	ask("the first", second, true)
	time.Sleep(second + 1)
	ask("when the first one's deadline has passed", armSlack/2, true)
	after.Store(int64(second + 1))
	ask("one after which nothing is taken", second, true)
	after.Store(0)
	ask("one that is taken late", late, true)
	before.Store(int64(second + 1))
	ask("one that is answered late", late, true)
	ask("another", late+1, true)
	before.Store(int64(time.Hour))
	ask("one that is answered too late", late, false)
	before.Store(0)
	ask("one on a new connection", second, true)
	if n := a.dialled.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	after.Store(int64(time.Hour))
	ask("one after which nothing is taken", second, true)
	ask("one that is not taken", late, false)
}

// A connection is kept for the next message, and closed when it has carried none for a while.
func TestIdleLinks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newAnswering(t, "", nil)
		a.answer = func(q *question) {
			time.Sleep(time.Second)
			q.reply(200, "yes")
		}
		open := func(want int) {
			t.Helper()
			synctest.Wait()
			a.transport.mu.Lock()
			defer a.transport.mu.Unlock()
			if n := len(a.transport.links); n != want || len(a.transport.idle) != want {
				t.Errorf("%d connections are open, %d of them idle; want %d", n, len(a.transport.idle), want)
			}
		}
		both := func(n int) {
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					if err := a.within(time.Minute); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		both(2)
		time.Sleep(linkIdleMax / 2)
		both(1)
		open(2)
		time.Sleep(linkIdleMax/2 - time.Second - 1)
		open(2)
		time.Sleep(time.Nanosecond)
		open(1)
		time.Sleep(linkIdleMax / 2)
		open(1)
		time.Sleep(time.Second)
		open(0)
		both(1)
		a.transport.CloseIdle()
		open(0)
		a.serving.Wait() // the other end has seen that all are closed
		if n := a.dialled.Load(); n != 3 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// So many messages are under way at most, each on a connection of its own. Others wait, until their
// deadlines at most. Abort breaks all that are under way.
func TestLinksAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newAnswering(t, "", nil)
		gate := make(chan struct{})
		a.answer = func(q *question) {
			<-gate
			q.reply(200, "yes")
		}
		results := make(chan error, 2*linksMax)
		for range 2 * linksMax {
			go func() { results <- a.within(time.Minute) }()
		}
		synctest.Wait()
		if n := a.dialled.Load(); n != linksMax {
			t.Errorf("%d connections", n)
		}
		if err := a.within(time.Second); !IsTimeout(err) {
			t.Errorf("one more: %v", err)
		}
		close(gate)
		for range 2 * linksMax {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		gate = make(chan struct{})
		defer close(gate)
		go func() { results <- a.within(time.Minute) }()
		synctest.Wait()
		a.transport.Abort()
		if err := <-results; err == nil || IsTimeout(err) {
			t.Errorf("after Abort: %v", err)
		}
		if n := a.dialled.Load(); n != linksMax || len(a.transport.links)+len(a.transport.idle) > 0 {
			t.Errorf("%d connections were made, %d are left", n, len(a.transport.links))
		}
	})
}

// A connection is closed at once, also one with TLS to a peer that takes nothing.
func TestNobodyWaitsForGoodbyes(t *testing.T) {
	_, cert := testcert.New(t)
	bubble(t, func(t *testing.T) {
		a := newAnswering(t, "", &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
		a.answer = func(q *question) {
			q.reply(200, "yes")
			time.Sleep(time.Hour)
		}
		for _, closes := range []func(){a.transport.CloseIdle, a.transport.Abort} {
			if err := a.within(time.Minute); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if closes(); time.Since(began) > 0 || len(a.transport.links) > 0 {
				t.Errorf("it took %v; %d are open", time.Since(began), len(a.transport.links))
			}
		}
	})
}

// What takes no connections of nodes of this version is told from one that is too busy. The error
// says what to do, and has no batch dropped. The peer's answer has an end.
func TestWhoSpeaksNoFrames(t *testing.T) {
	for answer, want := range map[string][]string{
		"HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\n\r\n{\"error\":\"none\"}":        {"404 none", "run the same version"},
		"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\n\r\nnot":                   {"426", "run the same version"},
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n":                           {"400", "run the same version"},
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                  {"200", "run the same version"},
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy":               {"503", "busy"},
		"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 9\r\n\r\nuse https":          {"421", "use https"},
		"220 mail.example ESMTP\r\n\r\n":                                                  {"speaks no HTTP", "run the same version"},
		"HTTP/1.1 404 Not Found\r\nX: " + strings.Repeat("y", upgradedBytes) + "\r\n\r\n": {errClosed.Error()},
		"": {errClosed.Error()},
	} {
		a := newAnswering(t, "", nil)
		a.upgraded = answer
		_, err := a.ask("message")
		for _, text := range want {
			if err == nil || errors.Is(err, ErrRefused) || IsTimeout(err) || !strings.Contains(err.Error(), text) {
				t.Errorf("%.40q: error %v, want %q", answer, err, text)
			}
		}
		if clear := strings.Contains(answer, "busy") || strings.Contains(answer, "use https"); clear == strings.Contains(err.Error(), "version") && want[0] != errClosed.Error() {
			t.Errorf("%.40q: %v", answer, err)
		}
	}
}
