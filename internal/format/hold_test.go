package format

import (
	"errors"
	"io"
	"strings"
	"testing"

	"httpdhs/kv"
)

// A block takes no more than twice what has arrived, or what an empty one begins with, and has
// asked for all of it. When that is refused, what has arrived is read, and the stream breaks off
// with the refusal.
func TestBlocksGrowWithWhatArrives(t *testing.T) {
	const pairs = 20_000
	in := strings.Repeat("key\tvalue\n", pairs)
	refusal := errors.New("no more")
	for _, most := range []int{1 << 20, 100 << 10, blockFirst, 1000} {
		arrived, held := 0, 0
		src := readerFunc(func(p []byte) (int, error) {
			if held > max(blockFirst, 2*arrived) {
				t.Fatalf("%d bytes are held when %d have arrived", held, arrived)
			}
			n := copy(p[:min(len(p), 1000)], in[arrived:])
			if arrived += n; n == 0 {
				return 0, io.EOF
			}
			return n, nil
		})
		r := NewReader(TSV, src, Options{Limits: kv.DefaultLimits(), Hold: func(bytes int) error {
			if bytes > most {
				return refusal
			}
			held = bytes
			return nil
		}})
		var block Block
		read, err := 0, error(nil)
		for {
			if err = r.Fill(&block); err != nil {
				break
			}
			if cap(block.buf) > held {
				t.Fatalf("a block of %d bytes has asked for %d", cap(block.buf), held)
			}
			for {
				var op kv.Op
				if _, err := r.Next(&op); err != nil {
					break
				}
				read++
			}
		}
		switch {
		case most == 1<<20 && (err != io.EOF || read != pairs):
			t.Errorf("%d pairs, %v", read, err)
		case most < 1<<20 && (err != refusal || read != arrived/len("key\tvalue\n")):
			t.Errorf("with %d bytes: %d pairs of %d bytes, %v", most, read, arrived, err)
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
