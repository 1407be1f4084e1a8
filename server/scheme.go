package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"httpdhs/internal/nonblock"
)

// A client may speak TLS to a node that does not, or the other way round. It would learn nothing
// from the answer that its first bytes deserve. So this file tells it, in words that it can read.

var (
	errSpeaksTLS   = errors.New("a client speaks TLS, and this node does not: give it --tls-cert, or the client http://")
	errSpeaksPlain = errors.New("a client speaks plain HTTP, and this node speaks TLS: give the client https://")
)

const (
	sayPlain  = "this node speaks plain HTTP: use http://, or start it with --tls-cert and --tls-key"
	saySecure = "this node speaks TLS: use https://, and with a certificate of one's own its CA (curl --cacert, httpdhs --tls-ca)"

	// otherScheme is a 421 and no 400: to a node that means that its message is
	// malformed, and is not to be sent again.
	otherScheme = "HTTP/1.1 421 Misdirected Request\r\nServer: httpdhs\r\nConnection: close\r\nCache-Control: no-store\r\n" +
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

	// lastWords bounds how long, and how much, is read of a client so that it
	// sees why nobody listens: of one that does not speak TLS, in the handshake.
	lastWords      = time.Second
	lastWordsBytes = 256 << 10
)

// isTLS says whether what a client sends first is the head of a TLS handshake
// (RFC 8446, section 5.1).
func isTLS(first []byte) bool {
	return len(first) > 1 && first[0] == 0x16 && first[1] == 0x03
}

// isPlain says whether it is the head of an HTTP request: a method.
func isPlain(first []byte) bool {
	return len(first) > 0 && (first[0] >= 'A' && first[0] <= 'Z' || first[0] >= 'a' && first[0] <= 'z')
}

// tell writes an answer of plain HTTP.
func tell(nc net.Conn, why string) {
	body := fmt.Appendf(nil, "{\"error\":%q}\n", why)
	_ = nc.SetWriteDeadline(time.Now().Add(lastWords))
	_, _ = fmt.Fprintf(nc, otherScheme, len(body), body)
}

// SecureListener is a listener of TLS, like that of tls.NewListener. Clients that speak plain HTTP
// are told so.
func SecureListener(ln net.Listener, cfg *tls.Config) net.Listener { return secureListener{ln, cfg} }

type secureListener struct {
	net.Listener
	cfg *tls.Config
}

func (l secureListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&secureConn{Conn: nonblock.Conn(nc)}, l.cfg), nil
}

// SyscallConn is the socket of the listener, where it has one.
func (l secureListener) SyscallConn() (syscall.RawConn, error) {
	if socket, ok := l.Listener.(syscall.Conn); ok {
		return socket.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// SetDeadline has Accept fail from then on, where the listener can.
func (l secureListener) SetDeadline(t time.Time) error {
	if patient, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		return patient.SetDeadline(t)
	}
	return errors.ErrUnsupported
}

// secureConn is what lies under a TLS connection. Its reader looks at what comes first.
type secureConn struct {
	net.Conn
	begun bool
}

// NetConn is what lies under it.
func (c *secureConn) NetConn() net.Conn { return c.Conn }

func (c *secureConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.begun && n > 0 {
		if c.begun = true; isPlain(p[:n]) {
			tell(c.Conn, saySecure)
			// A close with something unread resets the connection, and the answer is lost.
			_ = c.CloseWrite()
			_ = c.SetReadDeadline(time.Now().Add(lastWords))
			_, _ = io.CopyN(io.Discard, c.Conn, lastWordsBytes)
			return 0, errSpeaksPlain
		}
	}
	return n, err
}

// CloseWrite ends what is sent, where the connection can.
func (c *secureConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
