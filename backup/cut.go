package backup

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errCut is for a file that ends too early, as one whose copy broke off.
var errCut = errors.New("it is cut short: copy it again, or make another backup")

// checksumBytes is what may follow the last block of a frame.
const checksumBytes = 4

// isCut says whether a file of zstd frames, which has no table, once had one: it ends within a
// frame, or behind frames that are as long as a packer makes them. Nothing is unpacked.
func isCut(from io.ReaderAt, size int64) bool {
	var first zstd.Header
	frames := 0
	for at := int64(0); at < size; frames++ {
		var buf [zstd.HeaderMaxSize]byte
		var h zstd.Header
		n, _ := from.ReadAt(buf[:], at) // the header is judged by what there is of it
		if err := h.Decode(buf[:n]); err != nil {
			return errors.Is(err, io.ErrUnexpectedEOF)
		}
		if frames == 0 {
			first = h
		}
		if at += int64(h.HeaderSize); h.Skippable {
			at += int64(h.SkippableSize)
		} else {
			at = endOfFrame(from, at, size, h.HasCheckSum)
		}
		if at > size {
			return true
		}
		if h.Skippable && at == size {
			return false // this is the table, and it is damaged
		}
	}
	return frames > 1 && first.HasFCS && first.FrameContentSize == frameBytes
}

// endOfFrame is where a frame ends of which the first block is at an offset. It is beyond size if
// the frame does not end before that.
func endOfFrame(from io.ReaderAt, at, size int64, summed bool) int64 {
	const runs = 1 // the type of a block that is one byte, many times
	for at <= size {
		var head [3]byte
		if n, _ := from.ReadAt(head[:], at); n < len(head) {
			return size + 1
		}
		bits := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
		last, kind, bytes := bits&1 != 0, bits>>1&3, bits>>3
		if kind == runs {
			bytes = 1
		}
		if at += int64(len(head)) + bytes; !last {
			continue
		}
		if summed {
			at += checksumBytes
		}
		return at
	}
	return at
}
