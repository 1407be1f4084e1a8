package format

import (
	"bytes"

	"httpdhs/kv"
)

// tsvDecoder reads lines of key, tab, value. There are no escapes and no
// header: the first tab ends the key and the newline (or carriage return and
// newline) ends the value, which may hold any other byte.
type tsvDecoder struct{ lim kv.Limits }

func (d tsvDecoder) bytesMax() int { return d.lim.MaxKeyBytes + 1 + d.lim.MaxValueBytes + len("\r\n") }

func (d tsvDecoder) decode(src []byte, last bool, op *kv.Op) (n, lines int64, err error) {
	line, n := cutLine(src, d.bytesMax(), last)
	if n == more {
		return more, 0, nil
	}
	if len(line) == 0 {
		return n, 1, errBlank
	}
	tab := bytes.IndexByte(line, '\t')
	switch {
	case tab > d.lim.MaxKeyBytes:
		return n, 1, kv.ErrKeyTooLong
	case tab < 0:
		return n, 1, errNoTab
	case n == nextLine:
		return n, 1, kv.ErrValueTooLarge
	}
	*op = kv.Op{Kind: kv.OpPut}
	op.Key, op.Value = line[:tab:tab], line[tab+1:]
	return n, 1, nil
}

// cutLine finds the line at the start of src: its bytes without the line end,
// and its length with it. The length is more if the line goes on beyond src,
// and nextLine if it is longer than limit; then its start is returned.
func cutLine(src []byte, limit int, last bool) (line []byte, n int64) {
	head := src[:min(len(src), limit)]
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		return bytes.TrimSuffix(head[:i:i], []byte("\r")), int64(i) + 1
	}
	switch {
	case len(src) > limit:
		return head, nextLine
	case last:
		return head, int64(len(head))
	}
	return nil, more
}
