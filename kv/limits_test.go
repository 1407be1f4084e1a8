package kv

import (
	"errors"
	"strings"
	"testing"
)

// A content type goes into a header: it can neither end one nor be cut.
func TestCheckContentType(t *testing.T) {
	lim := DefaultLimits()
	for in, want := range map[string]error{
		"": nil, "text/plain; charset=utf-8": nil, "a/b;\tq=1": nil, "a/\xc3\xa5": nil, strings.Repeat("t", 255): nil,
		"a\r\nX: y": ErrContentTypeControl, "a\n": ErrContentTypeControl, "\x00": ErrContentTypeControl, "a\x7f": ErrContentTypeControl,
		strings.Repeat("t", 256): ErrContentTypeTooLong,
	} {
		r := Record{Key: []byte("k"), Entry: Entry{ContentType: []byte(in)}}
		if err := lim.Check(&r); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}
