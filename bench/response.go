package bench

import (
	"bytes"
	"cmp"
	"errors"
)

// response is the head of an answer and the lengths of its two parts.
type response struct {
	status int
	head   int // bytes up to the body
	body   int
	tail   int    // bytes after it
	close  bool   // the server closes the connection after it
	kind   string // of error, if the protocol has names for them
}

// Why an answer cannot be read. After any of these nothing on its connection
// means anything.
var (
	errMalformed = errors.New("malformed")
	errChunked   = errors.New("chunked")
	errNoLength  = errors.New("no length")
	errTooLarge  = errors.New("too large")
)

const (
	headBytesMax = 64 << 10
	bodyBytesMax = 256 << 20
)

var (
	crlfcrlf   = []byte("\r\n\r\n")
	version    = []byte("HTTP/1.1 ")
	nameLength = []byte("content-length")
	nameCoding = []byte("transfer-encoding")
	nameConn   = []byte("connection")
	valueClose = []byte("close")
)

// parseHead reads the head of the answer at the start of buf (RFC 9112). It is
// not ok without an error if buf ends within the head. It knows only answers
// of a known length: that is how a body is passed over without being looked
// at, and what a server that is fast sends.
func parseHead(buf []byte, r *response) (ok bool, err error) {
	end := bytes.Index(buf, crlfcrlf)
	if end > headBytesMax || end < 0 && len(buf) > headBytesMax {
		return false, errTooLarge
	}
	if end < 0 {
		return false, nil
	}
	lines := buf[:end+2]
	*r = response{head: end + len(crlfcrlf), body: -1}
	if lines, err = r.parseStatus(lines); err != nil {
		return false, err
	}
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n')
		if n < 1 || lines[n-1] != '\r' {
			return false, errMalformed
		}
		if err := r.parseField(lines[:n-1]); err != nil {
			return false, err
		}
		lines = lines[n+1:]
	}
	switch {
	case r.status < 200:
		return false, errMalformed // nothing here asks for an interim answer
	case r.status == 204 || r.status == 304:
		r.body = 0
	case r.body < 0:
		return false, errNoLength
	}
	return true, nil
}

// parseStatus reads the status line and returns what follows it.
func (r *response) parseStatus(lines []byte) ([]byte, error) {
	n := bytes.IndexByte(lines, '\n')
	const digits = len("HTTP/1.1 ")
	if n < digits+4 || lines[n-1] != '\r' || !bytes.HasPrefix(lines, version) {
		return nil, errMalformed
	}
	for _, b := range lines[digits : digits+3] {
		if b < '0' || b > '9' {
			return nil, errMalformed
		}
		r.status = 10*r.status + int(b-'0')
	}
	if after := lines[digits+3]; after != ' ' && after != '\r' || r.status < 100 {
		return nil, errMalformed
	}
	return lines[n+1:], nil
}

// parseField reads a line of the head. Names are told apart by their length first, which is enough
// for most.
func (r *response) parseField(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return errMalformed
	}
	name, value := line[:colon], line[colon+1:]
	switch {
	case colon == len(nameLength) && bytes.EqualFold(name, nameLength):
		n, err := parseLength(bytes.TrimSpace(value))
		if err != nil || r.body >= 0 && r.body != n {
			return cmp.Or(err, errMalformed)
		}
		r.body = n
	case colon == len(nameCoding) && bytes.EqualFold(name, nameCoding):
		return errChunked
	case colon == len(nameConn) && bytes.EqualFold(name, nameConn):
		r.close = r.close || bytes.EqualFold(bytes.TrimSpace(value), valueClose)
	}
	return nil
}

func parseLength(digits []byte) (int, error) {
	if len(digits) == 0 {
		return 0, errMalformed
	}
	n := 0
	for _, b := range digits {
		if b < '0' || b > '9' {
			return 0, errMalformed
		}
		if n = 10*n + int(b-'0'); n > bodyBytesMax {
			return 0, errTooLarge
		}
	}
	return n, nil
}
