package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A packed tar is zstd frames of a MiB each, and a table of where they are: the seekable format of
// zstd (contrib/seekable_format in its repository). Whatever unpacks zstd unpacks it. With the
// table it is read from any place, without being unpacked as a whole.
//
// The table is a frame that is skipped. Its content is, for each frame, u32 packed bytes and u32
// unpacked bytes. Then come u32 frames, u8 of flags (0), u32 magic. Integers are little endian.
const (
	frameBytes    = 1 << 20
	frameBytesMax = 64 << 20 // of another program's frames

	zstdMagic   = 0xfd2fb528
	skipMagic   = 0x184d2a5e
	seekMagic   = 0x8f92eab1
	skipHead    = 8
	seekFoot    = 9
	seekEntry   = 8
	seekSummed  = 0x80 // in the flags: entries have a checksum each
	framesMax   = 1 << 24
	packedLevel = zstd.SpeedFastest
)

// packer packs what is written to it.
type packer struct {
	to     io.Writer
	enc    *zstd.Encoder
	open   []byte
	packed []byte
	table  []byte
	frames uint32
}

func newPacker(to io.Writer) (*packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(packedLevel), zstd.WithEncoderConcurrency(1))
	return &packer{to: to, enc: enc, open: make([]byte, 0, frameBytes)}, err
}

func (p *packer) Write(b []byte) (n int, err error) {
	for n < len(b) {
		room := min(frameBytes-len(p.open), len(b)-n)
		p.open = append(p.open, b[n:n+room]...)
		n += room
		if len(p.open) == frameBytes {
			if err := p.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (p *packer) flush() error {
	p.packed = p.enc.EncodeAll(p.open, p.packed[:0])
	p.table = binary.LittleEndian.AppendUint32(p.table, uint32(len(p.packed)))
	p.table = binary.LittleEndian.AppendUint32(p.table, uint32(len(p.open)))
	p.frames++
	p.open = p.open[:0]
	_, err := p.to.Write(p.packed)
	return err
}

// Close writes the table.
func (p *packer) Close() error {
	if len(p.open) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	le := binary.LittleEndian
	head := le.AppendUint32(nil, skipMagic)
	head = le.AppendUint32(head, uint32(len(p.table)+seekFoot))
	foot := append(le.AppendUint32(nil, p.frames), 0)
	foot = le.AppendUint32(foot, seekMagic)
	_, err := p.to.Write(slices.Concat(head, p.table, foot))
	return errors.Join(err, p.enc.Close())
}

// packed reads a packed file from any place. It is safe for concurrent use.
type packed struct {
	from io.ReaderAt
	at   []int64 // where each frame begins in the file, and the last ends
	of   []int64 // the same of what is unpacked
	dec  *zstd.Decoder

	mu    sync.Mutex // guards all below
	frame int        // that is in data; -1: none
	data  []byte
	raw   []byte
}

var errNotSeekable = errors.New("it has no table of its frames, as another program packs it: unpack it (zstd -d), and give the .tar")

// lacksTable says why a packed file has no table.
func lacksTable(from io.ReaderAt, size int64) error {
	if isCut(from, size) {
		return errCut
	}
	return errNotSeekable
}

// isPacked says whether a file begins as one that is packed.
func isPacked(from io.ReaderAt) bool {
	var head [4]byte
	n, _ := from.ReadAt(head[:], 0) // what cannot be read is not packed
	return n == len(head) && binary.LittleEndian.Uint32(head[:]) == zstdMagic
}

func openPacked(from io.ReaderAt, size int64) (*packed, error) {
	var foot [seekFoot]byte
	if size < skipHead+seekFoot {
		return nil, lacksTable(from, size)
	}
	if _, err := from.ReadAt(foot[:], size-seekFoot); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	frames := int64(le.Uint32(foot[:]))
	entry := int64(seekEntry)
	if foot[4]&seekSummed != 0 {
		entry += 4
	}
	tableAt := size - seekFoot - frames*entry
	if le.Uint32(foot[5:]) != seekMagic || frames > framesMax || tableAt < skipHead {
		return nil, lacksTable(from, size)
	}
	table := make([]byte, frames*entry)
	if _, err := from.ReadAt(table, tableAt); err != nil && err != io.EOF {
		return nil, err
	}
	p := &packed{from: from, at: []int64{0}, of: []int64{0}, frame: -1}
	for i := range frames {
		packedBytes, bytes := int64(le.Uint32(table[i*entry:])), int64(le.Uint32(table[i*entry+4:]))
		if bytes > frameBytesMax || packedBytes > 2*frameBytesMax {
			return nil, fmt.Errorf("a frame of %d bytes: %w", bytes, errNotSeekable)
		}
		p.at, p.of = append(p.at, p.at[i]+packedBytes), append(p.of, p.of[i]+bytes)
	}
	if p.at[frames] != tableAt-skipHead {
		return nil, errors.New("its table does not fit: it is cut short, or changed")
	}
	var err error
	p.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*frameBytesMax))
	return p, err
}

func (p *packed) size() int64 { return p.of[len(p.of)-1] }

// ReadAt implements io.ReaderAt.
func (p *packed) ReadAt(b []byte, off int64) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		if off >= p.size() {
			return n, io.EOF
		}
		i, found := slices.BinarySearch(p.of, off)
		if !found {
			i--
		}
		for p.of[i+1] == off { // an empty frame
			i++
		}
		if err := p.load(i); err != nil {
			return n, err
		}
		done := copy(b[n:], p.data[off-p.of[i]:])
		n, off = n+done, off+int64(done)
	}
	return n, nil
}

// load unpacks a frame.
func (p *packed) load(i int) error {
	if p.frame == i {
		return nil
	}
	p.frame = -1
	p.raw = slices.Grow(p.raw[:0], int(p.at[i+1]-p.at[i]))[:p.at[i+1]-p.at[i]]
	if _, err := p.from.ReadAt(p.raw, p.at[i]); err != nil && err != io.EOF {
		return err
	}
	var err error
	p.data, err = p.dec.DecodeAll(p.raw, p.data[:0])
	if err != nil {
		return fmt.Errorf("cannot unpack: %w", err)
	}
	if int64(len(p.data)) != p.of[i+1]-p.of[i] {
		return errors.New("cannot unpack: its table does not fit")
	}
	p.frame = i
	return nil
}

func (p *packed) close() { p.dec.Close() }
