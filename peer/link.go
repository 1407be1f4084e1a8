package peer

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"httpdhs/internal/nonblock"
	"httpdhs/internal/seal"
	"httpdhs/wire"
)

const (
	// linkPath is where a node takes connections of other nodes, which become links: see package
	// server.
	linkPath     = "/internal/link"
	linkProtocol = "httpdhs"

	// linkBufferBytes is what is read at once. The answer to most batches is shorter.
	linkBufferBytes = 16 << 10

	// upgradedBytes is more than the answer to an upgrade has.
	upgradedBytes = 64 << 10

	// oneWriteBytes is up to where a message is copied behind its seal, to be sent at once.
	oneWriteBytes = 64 << 10

	// armSlack is how much too early the deadline of a connection may be. It is put off then. To
	// set it again for each message takes a timer, and often wakes another thread. With TLS there
	// is no slack: TLS writes nothing more after a write that came too late.
	armSlack = 500 * time.Millisecond
)

var errClosed = errors.New("the peer closed the connection")

// link is a connection that was upgraded from HTTP to frames. One message at a time is under way on
// it.
type link struct {
	conn net.Conn
	raw  net.Conn // the same, or what is under its TLS
	t    *FrameTransport
	in   *bufio.Reader
	out  []byte
	seal seal.Seal // of the request under way

	deadline time.Time // of the request under way
	armed    time.Time // what the connection's deadline is, at most the former
	used     time.Time // when it came into the pool
}

func newLink(conn net.Conn, t *FrameTransport) *link {
	l := &link{conn: nonblock.Conn(conn), raw: conn, t: t}
	if t.config != nil {
		config := t.config.Clone()
		if host, _, err := net.SplitHostPort(t.name); err == nil && config.ServerName == "" {
			config.ServerName = host
		}
		l.conn = tls.Client(l.conn, config)
	}
	l.in = bufio.NewReaderSize(l, linkBufferBytes)
	return l
}

// upgrade makes the connection one of frames.
func (l *link) upgrade(deadline time.Time) error {
	l.begin(deadline)
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", linkPath, cmp.Or(l.t.Addr, l.t.name), linkProtocol)
	if err := l.write([]byte(request)); err != nil {
		return closed(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(l, upgradedBytes)), nil)
	var broken net.Error
	switch err = closed(err); {
	case err == nil:
	case err == errClosed || errors.As(err, &broken):
		return err
	default:
		return fmt.Errorf("what answers at %s speaks no HTTP: %w: %w", l.t.name, err, seal.ErrFormat)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	body, _ := io.ReadAll(resp.Body)
	err = l.said(resp.StatusCode, body, false)
	switch status := resp.StatusCode; {
	case status == http.StatusForbidden, status == http.StatusMisdirectedRequest, status >= 500:
		return err // it says what is wrong
	}
	return fmt.Errorf("%w; it takes no messages of this version: %w", err, seal.ErrFormat)
}

// exchange sends a message and appends the answer to dst. sound says that the connection is not to
// blame for an error.
func (l *link) exchange(dst, message []byte, deadline time.Time) (_ []byte, sound bool, err error) {
	l.begin(deadline)
	if err := l.send(message); err != nil {
		return dst, false, closed(err)
	}
	b, err := l.in.Peek(seal.HeadBytes)
	if err != nil {
		return dst, false, closed(err)
	}
	head, err := seal.ParseHead(b)
	if err != nil {
		return dst, false, l.untaken(err)
	}
	if head.Body > l.t.answerMax {
		return dst, false, fmt.Errorf("the answer of %s has %d bytes, at most %d are taken", l.t.name, head.Body, l.t.answerMax)
	}
	_, _ = l.in.Discard(seal.HeadBytes)
	at := len(dst)
	dst = slices.Grow(dst, head.Seal+head.Body)[:at+head.Seal+head.Body]
	if _, err := io.ReadFull(l.in, dst[at:]); err != nil {
		return dst[:at], false, closed(err)
	}
	sealed, body := dst[at:at+head.Seal], dst[at+head.Seal:]
	err = l.t.sealer.OpenAnswer(&l.seal, sealed, head.Code, body)
	switch sound = err == nil; {
	case head.Code != http.StatusOK:
		return dst[:at], sound, l.said(head.Code, body, sound)
	case !sound:
		return dst[:at], false, l.untaken(err)
	}
	return dst[:at+copy(dst[at:], body)], true, nil
}

func (l *link) untaken(err error) error {
	return fmt.Errorf("the answer of %s is not taken: %w", l.t.name, err)
}

// send seals and sends a message.
func (l *link) send(message []byte) error {
	purpose := seal.Exchange
	if wire.IsHello(message) {
		purpose = seal.Hello
	}
	sealed := l.t.sealer.Request(&l.seal, purpose, l.t.name, message)
	l.out = seal.AppendHead(l.out[:0], seal.Head{Body: len(message), Seal: len(sealed), Code: int(purpose)})
	l.out = append(l.out, sealed...)
	if len(l.out)+len(message) <= oneWriteBytes {
		l.out = append(l.out, message...)
		message = nil
	}
	if err := l.write(l.out); err != nil || message == nil {
		return err
	}
	return l.write(message)
}

// said is the error of an answer whose status is no success. Without a good seal nothing of it is
// believed, least of all that the peer will never take the message.
func (l *link) said(status int, body []byte, sealed bool) error {
	err := fmt.Errorf("%s answers %d %s", l.t.name, status, excerpt(body))
	switch status {
	case http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrStranger, err)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		if sealed {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return err
}

// excerpt is what an error's body says, as plain text: it goes into log lines and answers of this
// node, where JSON in JSON could not be read. Of any other body it is the start.
func excerpt(body []byte) string {
	var doc struct{ Error string }
	if json.Unmarshal(body, &doc) == nil && doc.Error != "" {
		return fmt.Sprintf("%.300s", doc.Error)
	}
	return fmt.Sprintf("%.200q", body)
}

// begin sets the deadline of what comes next.
func (l *link) begin(deadline time.Time) {
	l.deadline = deadline
	if l.armed.After(deadline) || deadline.Sub(l.armed) > armSlack || l.t.config != nil {
		l.arm()
	}
}

func (l *link) arm() {
	l.armed = l.deadline
	_ = l.conn.SetDeadline(l.armed) // a connection without one is closed already
}

// early says that a call has failed for a deadline that was too early, and puts that off.
func (l *link) early(err error) bool {
	if !IsTimeout(err) || !l.armed.Before(l.deadline) {
		return false
	}
	l.arm()
	return true
}

// Read reads from the connection until the deadline. It is for in.
func (l *link) Read(p []byte) (n int, err error) {
	for {
		if n, err = l.conn.Read(p); n > 0 || !l.early(err) {
			return n, err
		}
	}
}

func (l *link) write(p []byte) error {
	for {
		n, err := l.conn.Write(p)
		if p = p[n:]; err == nil || !l.early(err) {
			return err
		}
	}
}

// closed says in plain words that the peer has ended the connection.
func closed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errClosed
	}
	return err
}
