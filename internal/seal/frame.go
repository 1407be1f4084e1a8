package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"
)

// Head begins a frame. A message travels in a frame: a head, its seal, its body. A connection
// carries a request, its answer, the next request, and so on.
//
//	u32  length of the body
//	u16  length of the seal
//	u16  of a request its [Purpose], of an answer its status
//	u32  xxh3 of the eight bytes above, cut off
//
// All is little endian. The check is for a length that was changed on its way: a reader would else
// wait for bytes that nobody sends.
type Head struct {
	Body, Seal int
	Code       int
}

const (
	// HeadBytes is the size of a head.
	HeadBytes = 12

	headChecked = 8
)

// AppendHead appends the head. The body is shorter than 4 GiB.
func AppendHead(dst []byte, h Head) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Body))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Seal))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Code))
	return binary.LittleEndian.AppendUint32(dst, uint32(xxh3.Hash(dst[at:])))
}

// ParseHead reads the head in the first [HeadBytes] of b. The error wraps [ErrChanged]. Nothing
// after such a head can be read.
func ParseHead(b []byte) (Head, error) {
	h := Head{
		Body: int(binary.LittleEndian.Uint32(b)),
		Seal: int(binary.LittleEndian.Uint16(b[4:])),
		Code: int(binary.LittleEndian.Uint16(b[6:])),
	}
	switch {
	case binary.LittleEndian.Uint32(b[headChecked:]) != uint32(xxh3.Hash(b[:headChecked])):
		return Head{}, fmt.Errorf("the head of a frame: %w", ErrChanged)
	case h.Seal > sealMax:
		return Head{}, fmt.Errorf("a seal of %d bytes: %w", h.Seal, ErrFormat)
	}
	return h, nil
}
