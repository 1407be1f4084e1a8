package peer

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/seal"
)

// answering is the other end of a transport: a node that opens each message and answers as it is
// told.
type answering struct {
	transport *FrameTransport
	sealer    *seal.Sealer
	config    *tls.Config // of this end; nil: without TLS
	dialled   atomic.Int64
	upgraded  string         // what it answers to the upgrade
	tap       func(p []byte) // may change what is answered, as it comes
	answer    func(q *question)

	mu      sync.Mutex // guards conns
	conns   []net.Conn // that were taken
	serving sync.WaitGroup
}

// question is a message as it came.
type question struct {
	a       *answering
	conn    net.Conn
	purpose seal.Purpose
	seal    seal.Seal
	body    []byte
}

const (
	answeringName = "node1:1234"
	switching     = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: httpdhs\r\n\r\n"
)

// newAnswering starts it, in memory, with a secret that the transport has too.
func newAnswering(t *testing.T, secret string, config *tls.Config) *answering {
	t.Helper()
	a := &answering{sealer: seal.New(secret), config: config, upgraded: switching}
	var client *tls.Config
	if config != nil {
		client = &tls.Config{InsecureSkipVerify: true} // a test says who is trusted
	}
	a.transport = NewFrameTransport(answeringName, secret, client, 1<<20)
	a.transport.Dial = func(string, time.Duration) (net.Conn, error) {
		a.dialled.Add(1)
		near, far := net.Pipe()
		a.mu.Lock()
		a.conns = append(a.conns, far)
		a.mu.Unlock()
		a.serving.Go(func() { a.serve(t, far) })
		return &tappedConn{near, a}, nil
	}
	t.Cleanup(func() {
		a.transport.Abort()
		a.hangUp()
		a.serving.Wait()
	})
	return a
}

// serve answers the messages of a connection.
func (a *answering) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	if a.config != nil {
		c = tls.Server(c, a.config)
	}
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if req.Method != "GET" || req.URL.Path != linkPath || req.Host != answeringName || req.Header.Get("Upgrade") != linkProtocol {
		t.Errorf("it begins with %+v", req)
	}
	if _, err := io.WriteString(c, a.upgraded); err != nil || a.upgraded != switching {
		return
	}
	for b := make([]byte, seal.HeadBytes); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		head, err := seal.ParseHead(b)
		rest := make([]byte, head.Seal+head.Body)
		if _, err := io.ReadFull(r, rest); err != nil {
			return
		}
		q := &question{a: a, conn: c, purpose: seal.Purpose(head.Code), body: rest[head.Seal:]}
		err = errors.Join(err, a.sealer.OpenRequest(&q.seal, q.purpose, rest[:head.Seal], head.Body), a.sealer.CheckBody(&q.seal, q.body))
		if err != nil || string(q.seal.To()) != answeringName {
			t.Errorf("a message to %q: %v", q.seal.To(), err)
		}
		a.answer(q)
	}
}

// reply answers with a seal.
func (q *question) reply(status int, body string) {
	q.frame(status, body, q.a.sealer.Answer(&q.seal, status, []byte(body)))
}

// frame answers with any seal.
func (q *question) frame(status int, body string, sealed []byte) {
	b := seal.AppendHead(nil, seal.Head{Body: len(body), Seal: len(sealed), Code: status})
	_, _ = q.conn.Write(slices.Concat(b, sealed, []byte(body))) // the other end may have closed
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

func (a *answering) ask(message string) ([]byte, error) {
	return a.transport.RoundTrip(nil, []byte(message), time.Now().Add(time.Minute))
}

// within sends a message that has so long.
func (a *answering) within(timeout time.Duration) error {
	_, err := a.transport.RoundTrip(nil, []byte("message"), time.Now().Add(timeout))
	return err
}

var theSecrets = []string{"", "between the nodes"}
