package replicate

import "slices"

// values is memory for values that are found. What is in it stays where it is, since results alias
// it: where there is no room, a new piece begins. So nothing is there twice.
type values struct {
	piece []byte // that is being filled
	sum   int    // bytes in it, and in pieces before
}

const (
	pieceLeast = 4 << 10
	pieceMost  = 256 << 10 // unless one value is larger
)

// room is how many bytes the piece has room for.
func (v *values) room() int { return cap(v.piece) - len(v.piece) }

// begin makes room for n bytes.
func (v *values) begin(n int) {
	if n > v.room() {
		v.piece = make([]byte, 0, max(n, pieceLeast, min(2*cap(v.piece), pieceMost)))
	}
}

// keep returns a copy of b.
func (v *values) keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	v.begin(len(b))
	start := len(v.piece)
	v.piece = append(v.piece, b...)
	v.sum += len(b)
	return slices.Clip(v.piece[start:])
}

// forget drops what came after the mark. Nothing aliases it.
func (v *values) forget(mark values) {
	if mark.sum > 0 {
		*v = mark
	} else {
		*v = values{piece: v.piece[:0]}
	}
}

// full says whether a value goes beyond the bound of what gets may find.
func (v *values) full(bound, value int) bool { return bound > 0 && v.sum > 0 && v.sum+value > bound }
