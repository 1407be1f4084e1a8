package seal

import (
	"bytes"
	"errors"
	"testing"
)

var heads = []Head{{}, {Body: 1<<32 - 1, Seal: sealMax, Code: 1<<16 - 1}, {Body: 100, Seal: 66, Code: int(Exchange)}, {Body: 7, Seal: 50, Code: 200}}

// A head is read as it was written. One that differs in a bit is not read, wherever that is.
func TestHeads(t *testing.T) {
	for _, h := range heads {
		b := AppendHead([]byte("before"), h)[len("before"):]
		if got, err := ParseHead(b); len(b) != HeadBytes || got != h || err != nil {
			t.Errorf("%+v: %x is read as %+v, %v", h, b, got, err)
		}
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := ParseHead(b); !errors.Is(err, ErrChanged) {
				t.Errorf("%+v, bit %d: %v", h, bit, err)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// What nodes of one format say to each other is fixed to the byte: a head is as its comment has it.
func TestHeadLayout(t *testing.T) {
	b := AppendHead(nil, Head{Body: 0x04030201, Seal: 0x0102, Code: 0x0605})
	if want := []byte{1, 2, 3, 4, 2, 1, 5, 6, 0xd1, 0x90, 0x71, 0x99}; !bytes.Equal(b, want) {
		t.Errorf("%x, want %x", b, want)
	}
}

// No seal is longer than those of the longest name, whatever a head says.
func TestSealsAreShort(t *testing.T) {
	if _, err := ParseHead(AppendHead(nil, Head{Seal: sealMax + 1})); !errors.Is(err, ErrFormat) {
		t.Errorf("a longer one: %v", err)
	}
	var p Seal
	if b := New("secret").Request(&p, Exchange, string(make([]byte, 259)), nil); len(b) > sealMax {
		t.Errorf("%d bytes", len(b))
	}
}

// Whatever comes as a head is read as what would be written, or not at all.
func FuzzParseHead(f *testing.F) {
	for _, h := range heads {
		f.Add(AppendHead(nil, h))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeadBytes {
			return
		}
		if h, err := ParseHead(b); err == nil && !bytes.Equal(AppendHead(nil, h), b[:HeadBytes]) {
			t.Errorf("%x is read as %+v", b, h)
		}
	})
}
