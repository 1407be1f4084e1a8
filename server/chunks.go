package server

import (
	"bufio"
	"bytes"
	"cmp"
)

const (
	chunkLineMax  = 1 << 10 // bytes of a chunk's size and extensions
	sizeDigitsMax = 15      // hexadecimal, all of which fit
)

var (
	errChunkSize = badFraming("a chunk's size is not a hexadecimal number")
	errChunkExt  = badFraming("a chunk's extension is not ;name=value, or is very long")
	errChunkEnd  = badFraming("a chunk is not as long as it says")
	errTrailer   = badFraming("the trailer has a field that belongs into the header, or is very long")
)

// nextChunk reads the head of a chunk and returns its size, 0 for the last one. Behind another
// one, that one's CR LF comes first.
func nextChunk(in *bufio.Reader, behind bool) (size int64, err error) {
	if behind {
		end, err := in.Peek(2)
		if len(end) > 0 && end[0] != '\r' || len(end) > 1 && end[1] != '\n' {
			return 0, errChunkEnd
		}
		if err != nil {
			return 0, err
		}
		_, _ = in.Discard(2) // they are there
	}
	// What is no size is refused also where its line does not end.
	if first, err := in.Peek(1); err != nil || hexDigit(first[0]) > 15 {
		return 0, cmp.Or(err, errChunkSize)
	}
	line, err := readLine(in, errChunkExt)
	if err != nil {
		return 0, err
	}
	digits := 0
	for ; digits < len(line); digits++ {
		v := hexDigit(line[digits])
		if v > 15 {
			break
		}
		if digits == sizeDigitsMax {
			return 0, errChunkSize
		}
		size = size<<4 | int64(v)
	}
	switch rest := line[digits:]; {
	case digits == 0, len(rest) > 0 && rest[0] != ';':
		return 0, errChunkSize
	case len(line) > chunkLineMax || !isChunkExt(rest):
		return 0, errChunkExt
	}
	return size, nil
}

// readLine reads a line and takes its CR LF off. One that is longer than the buffer is tooLong.
func readLine(in *bufio.Reader, tooLong error) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, tooLong
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errLineEnd
	}
	return line[:len(line)-2], nil
}

// isChunkExt says whether b is chunk extensions (RFC 9112, section 7.1.1), ";name" or ";name=value"
// of tokens and quoted strings. They have no effect. But whoever reads them in another way finds
// another end of the chunk.
func isChunkExt(b []byte) bool {
	for len(b) > 0 {
		if b[0] != ';' {
			return false
		}
		b = skipBlanks(b[1:])
		n := tokenEnd(b)
		if n == 0 {
			return false
		}
		b = skipBlanks(b[n:])
		if len(b) == 0 || b[0] != '=' {
			continue
		}
		b = skipBlanks(b[1:])
		if n = tokenEnd(b); n == 0 {
			n = quotedEnd(b)
		}
		if n == 0 {
			return false
		}
		b = skipBlanks(b[n:])
	}
	return true
}

func skipBlanks(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	return b
}

// quotedEnd is how many bytes of a quoted string b begins with, 0 if with none.
func quotedEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ' && c != '\t' || c == 0x7f:
			return 0
		case c == '\\':
			if i++; i < len(b) && (b[i] < ' ' && b[i] != '\t' || b[i] == 0x7f) {
				return 0
			}
		}
	}
	return 0
}

// notInTrailer are the fields that say how a request is read: a proxy may take one of a trailer
// for one of the header (RFC 9110, section 6.5.1).
var notInTrailer = [][]byte{
	headerHost, headerContentLength, headerTransferEncoding, headerExpect,
	[]byte("Trailer"), []byte("TE"), []byte("Connection"), []byte("Upgrade"), []byte("Authorization"), []byte("Cookie"),
	[]byte("Content-Type"), []byte("Content-Encoding"), []byte("Content-Range"), []byte("Range"), []byte("Max-Forwards"),
}

// skipTrailer reads the trailer to its end. Nothing is made of its fields.
func skipTrailer(in *bufio.Reader) error {
	for room := in.Size(); ; {
		line, err := readLine(in, errTrailer)
		if err != nil || len(line) == 0 {
			return err
		}
		name, _, err := splitField(line)
		if err != nil {
			return err
		}
		if room -= len(line); room < 0 || isOneOf(name, notInTrailer) {
			return errTrailer
		}
	}
}

func isOneOf(name []byte, names [][]byte) bool {
	for _, other := range names {
		if bytes.EqualFold(name, other) {
			return true
		}
	}
	return false
}
