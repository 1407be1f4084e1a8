package format

import (
	"bytes"
	"errors"
	"fmt"

	"httpdhs/kv"
)

// csvDecoder reads records of RFC 4180 with two fields, key and value. There is no header.
//
// encoding/csv would keep all of a stream in which one quote is not closed, and lose it. Here a
// faulty quote spoils only the first line of its record. A quote is also faulty if it is not closed
// within what the limits allow, or before the end of the stream. The lines that the open quote had
// run over are read again, each as a record. Each is looked at twice at most, because the next
// quote that could run over them is behind them.
type csvDecoder struct{ max int } // of a record in which every quote is doubled

var (
	errQuoteOpen  = errors.New(`a quote (") is not closed`)
	errQuoteAfter = errors.New(`something follows the quote (") that closes a field: inside a field, double it`)
	errQuoteBare  = errors.New(`a quote (") inside a field that does not begin with one: quote the field, and double the quote`)
)

func (d csvDecoder) bytesMax() int { return d.max }

func (d csvDecoder) decode(src []byte, last bool, op *kv.Op) (n, lines int64, err error) {
	whole := src
	if len(src) > d.max {
		src, last = src[:d.max], false
	}
	var pair [2]csvField
	count := 0
	lines = 1
	for at := 0; ; count++ {
		f, end, err := cutField(src, at, last)
		switch {
		case err != nil:
			return nextLine, 1, err
		case end < 0 && len(whole) > d.max:
			return nextLine, 1, errLineTooLong(d.max)
		case end < 0:
			return more, 0, nil
		}
		if count < len(pair) {
			pair[count] = f
		}
		if f.newlines {
			lines += int64(bytes.Count(f.raw, []byte("\n")))
		}
		if end < len(src) && src[end] == ',' {
			at = end + 1
			continue
		}
		n = int64(end) + lineEndLen(src[end:])
		break
	}
	if count++; count == 1 && !pair[0].quoted && len(pair[0].raw) == 0 {
		return n, 1, errBlank
	}
	if count != len(pair) {
		return n, lines, fmt.Errorf("fields: %d, want 2, the key and the value", count)
	}
	*op = kv.Op{Kind: kv.OpPut}
	op.Key, op.Value = pair[0].text(), pair[1].text()
	return n, lines, nil
}

// csvField is a field as it is written, without the quotes around it.
type csvField struct {
	raw      []byte
	quoted   bool
	escaped  bool // holds doubled quotes
	newlines bool
}

// text is what the field says; doubled quotes are undone in place.
func (f csvField) text() []byte {
	if !f.escaped {
		return f.raw
	}
	w := 0
	for i := 0; i < len(f.raw); i++ {
		if f.raw[i] == '"' {
			i++ // the first of the two
		}
		f.raw[w] = f.raw[i]
		w++
	}
	return f.raw[:w:w]
}

// cutField finds the field that begins at src[at:] and its end, where a comma,
// a line end or the end of the stream is. The end is -1 if that is beyond src.
func cutField(src []byte, at int, last bool) (f csvField, end int, err error) {
	if at < len(src) && src[at] == '"' {
		return cutQuoted(src, at+1, last)
	}
	i := bytes.IndexAny(src[at:], ",\n\"")
	switch {
	case i >= 0 && src[at+i] == '"':
		return f, 0, errQuoteBare
	case i >= 0:
		end = at + i
	case last:
		end = len(src)
	default:
		return f, -1, nil
	}
	if end < len(src) && src[end] == '\n' && end > at && src[end-1] == '\r' {
		end--
	}
	return csvField{raw: src[at:end:end]}, end, nil
}

// cutQuoted is cutField for a field whose quote is just before src[at:].
func cutQuoted(src []byte, at int, last bool) (f csvField, end int, err error) {
	f.quoted = true
	for from := at; ; {
		i := bytes.IndexByte(src[from:], '"')
		if i < 0 {
			if last {
				return f, 0, errQuoteOpen
			}
			return f, -1, nil
		}
		end = from + i + 1
		if end < len(src) && src[end] == '"' {
			f.escaped, from = true, end+1
			continue
		}
		break
	}
	f.raw = src[at : end-1 : end-1]
	f.newlines = bytes.IndexByte(f.raw, '\n') >= 0
	tail := src[end:]
	switch {
	case len(tail) > 0 && tail[0] == ',', lineEndLen(tail) > 0, len(tail) == 0 && last:
		return f, end, nil
	case !last && (len(tail) == 0 || len(tail) == 1 && tail[0] == '\r'):
		return f, -1, nil
	}
	return f, 0, errQuoteAfter
}

// lineEndLen is the length of the line end at the start of src, 0 if there is
// none.
func lineEndLen(src []byte) int64 {
	switch {
	case len(src) > 0 && src[0] == '\n':
		return 1
	case len(src) > 1 && src[0] == '\r' && src[1] == '\n':
		return 2
	}
	return 0
}
