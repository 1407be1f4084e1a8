package disk

import (
	"bytes"
	"testing"
)

// A block counts only where it was written: files are used again, and what is left in one may look
// like the log.
func TestABlockCountsWhereItWasWritten(t *testing.T) {
	const number, offset = 7, 100
	block := append(make([]byte, headBytes), "what a block has"...)
	seal(block, at(number, offset), 3, 0)
	pad := func(n int) []byte { return append(bytes.Repeat([]byte{0}, n), block...) }
	if b, ok := blockAt(pad(offset), number, offset); !ok || !b.whole() {
		t.Fatal("it does not count where it was written")
	}
	if _, ok := blockAt(pad(offset), number+1, offset); ok {
		t.Error("it counts in another segment")
	}
	if _, ok := blockAt(pad(offset+1), number, offset+1); ok {
		t.Error("it counts at another offset")
	}
}
