package resp

import (
	"io"
	"net"
)

// memoryConn is a connection whose client has sent all that it sends, in pieces, and takes all that
// it is sent.
type memoryConn struct {
	net.Conn
	pieces [][]byte
	got    []byte
	drop   bool // what it is sent
}

func (m *memoryConn) Read(into []byte) (int, error) {
	if len(m.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(into, m.pieces[0])
	if m.pieces[0] = m.pieces[0][n:]; len(m.pieces[0]) == 0 {
		m.pieces = m.pieces[1:]
	}
	return n, nil
}

func (m *memoryConn) Write(b []byte) (int, error) {
	if !m.drop {
		m.got = append(m.got, b...)
	}
	return len(b), nil
}

func (m *memoryConn) Close() error         { return nil }
func (m *memoryConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }
func (m *memoryConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }

// exchange has a new connection of the server answer an input in pieces.
func exchange(srv *Server, pieces ...[]byte) (answers []byte, c *conn) {
	m := &memoryConn{pieces: pieces}
	c = newConn(srv, m)
	srv.serveConn(c)
	return m.got, c
}
