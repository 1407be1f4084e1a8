package resp

import (
	"slices"
	"strconv"
	"strings"
)

// reply is a buffer of answers, in the client's version of the protocol.
type reply struct {
	buf   []byte
	resp3 bool
}

func (r *reply) head(kind byte, n int) {
	if n >= 0 && n < 10 {
		r.buf = append(r.buf, kind, byte('0'+n), '\r', '\n')
		return
	}
	r.buf = append(r.buf, kind)
	r.buf = strconv.AppendInt(r.buf, int64(n), 10)
	r.buf = append(r.buf, '\r', '\n')
}

// raw appends what is encoded already.
func (r *reply) raw(s string) { r.buf = append(r.buf, s...) }

func (r *reply) ok() { r.raw("+OK\r\n") }

// simple appends a status: one line, without a line break in it.
func (r *reply) simple(s string) {
	r.buf = append(r.buf, '+')
	r.buf = append(r.buf, s...)
	r.buf = append(r.buf, '\r', '\n')
}

// error appends an error, which begins with its code: ERR, WRONGTYPE, and so on. Line breaks become
// blanks, as in Redis.
func (r *reply) error(s string) {
	if strings.ContainsAny(s, "\r\n") {
		s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	}
	r.buf = append(r.buf, '-')
	r.buf = append(r.buf, s...)
	r.buf = append(r.buf, '\r', '\n')
}

func (r *reply) int(n int64) {
	switch n {
	case 0:
		r.raw(":0\r\n")
		return
	case 1:
		r.raw(":1\r\n")
		return
	}
	r.buf = append(r.buf, ':')
	r.buf = strconv.AppendInt(r.buf, n, 10)
	r.buf = append(r.buf, '\r', '\n')
}

func (r *reply) bulk(b []byte) {
	r.head('$', len(b))
	r.buf = slices.Grow(r.buf, len(b)+2) // or the line break has all of a large value copied again
	r.buf = append(r.buf, b...)
	r.buf = append(r.buf, '\r', '\n')
}

// text is bulk of a string.
func (r *reply) text(s string) {
	r.head('$', len(s))
	r.buf = append(r.buf, s...)
	r.buf = append(r.buf, '\r', '\n')
}

// null stands for no value.
func (r *reply) null() {
	if r.resp3 {
		r.raw("_\r\n")
	} else {
		r.raw("$-1\r\n")
	}
}

// array begins an array of n answers.
func (r *reply) array(n int) { r.head('*', n) }

// mapping begins a map of n pairs of answers.
func (r *reply) mapping(n int) {
	if r.resp3 {
		r.head('%', n)
	} else {
		r.head('*', 2*n)
	}
}

// set begins a set of n answers.
func (r *reply) set(n int) { r.head(r.kind('~'), n) }

// kind is a kind of array in RESP3, and a plain one in RESP2.
func (r *reply) kind(resp3 byte) byte {
	if r.resp3 {
		return resp3
	}
	return '*'
}

// verbatim appends a text for people, whose format is of three letters: txt or mkd.
func (r *reply) verbatim(format, text string) {
	if !r.resp3 {
		r.text(text)
		return
	}
	r.head('=', len(text)+4)
	r.raw(format)
	r.buf = append(r.buf, ':')
	r.buf = append(r.buf, text...)
	r.buf = append(r.buf, '\r', '\n')
}
