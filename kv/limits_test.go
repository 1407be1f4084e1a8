package kv

import (
	"errors"
	"strings"
	"testing"
)

// Metadata goes into headers: it can neither end one nor be cut.
func TestCheckMeta(t *testing.T) {
	lim := DefaultLimits()
	for in, want := range map[string]error{
		"": nil, "text/plain; charset=utf-8": nil, "a/b;\tq=1": nil, "a/\xc3\xa5": nil, strings.Repeat("t", 255): nil,
		"a\r\nX: y": ErrMetaControl, "a\n": ErrFormat, "\x00": ErrMetaControl, "a\x7f": ErrMetaControl,
		strings.Repeat("t", 256): ErrMetaTooLong,
	} {
		r := Record{Key: []byte("k"), Entry: Entry{Meta: []byte(in)}}
		if err := lim.Check(&r); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}
