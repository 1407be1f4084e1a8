package shard

import (
	"math/rand/v2"
	"testing"
)

// Memory that was handed out is zero and nobody else's; what is taken back is
// handed out again; an arena without users has one chunk at most.
func TestArena(t *testing.T) {
	a := new(arena)
	defer a.close()
	r := rand.New(rand.NewPCG(1, 1))
	type piece struct {
		b    []byte
		mark byte
	}
	var pieces []piece
	for i := range often(5000, 20_000) {
		if len(pieces) > 0 && r.IntN(100) < 48 {
			at := r.IntN(len(pieces))
			p := pieces[at]
			for j := 0; j < len(p.b); j += pageBytes {
				if p.b[j] != p.mark || p.b[j+pageBytes-1] != p.mark {
					t.Fatalf("step %d: someone else wrote to a page", i)
				}
			}
			a.release(p.b)
			pieces[at] = pieces[len(pieces)-1]
			pieces = pieces[:len(pieces)-1]
			continue
		}
		pages := 1 + r.IntN(100)
		if r.IntN(200) == 0 {
			pages = 1 + r.IntN(5000)
		}
		b := a.alloc(pages*pageBytes - r.IntN(pageBytes))
		if len(b) != pages*pageBytes {
			t.Fatalf("step %d: got %d bytes, want %d pages", i, len(b), pages)
		}
		p := piece{b, byte(1 + r.IntN(255))}
		for j := 0; j < len(b); j += pageBytes {
			if b[j] != 0 || b[j+pageBytes-1] != 0 {
				t.Fatalf("step %d: the memory is not zero", i)
			}
			b[j], b[j+pageBytes-1] = p.mark, p.mark
		}
		pieces = append(pieces, p)
	}
	for _, p := range pieces {
		a.release(p.b)
	}
	if len(a.chunks) > 1 || a.chunks[0].free != chunkPages {
		t.Errorf("with all released there are %d chunks, %d pages free", len(a.chunks), a.chunks[0].free)
	}
	if b := a.alloc(2 * chunkPages * pageBytes); len(b) != 2*chunkPages*pageBytes {
		t.Errorf("more than a chunk: got %d bytes", len(b))
	}
}

// Pages that are taken back twice are a bug that is found at once.
func TestArenaReleasesOnce(t *testing.T) {
	a := new(arena)
	defer a.close()
	b := a.alloc(3 * pageBytes)
	a.release(b)
	defer func() {
		if recover() == nil {
			t.Error("a second release went unnoticed")
		}
	}()
	a.chunks[0].give(0, 3)
}

// Where much is held and all of it is full of holes, looking for pages is bounded
// all the same: a few chunks are searched in vain, and not again. A chunk more is
// made only when the newest is full.
func TestAllocSearchesFewChunks(t *testing.T) {
	a := new(arena)
	defer a.close()
	const held, pages = 10, 25
	for range held {
		a.alloc(chunkPages * pageBytes)
	}
	for _, c := range a.chunks {
		for page := 0; page < chunkPages; page += 2 {
			c.give(page, 1)
		}
		c.most = 2 * pages // as if there had been more
	}
	searched := func() (n int) {
		for _, c := range a.chunks {
			if c.most == 1 {
				n++
			}
		}
		return n
	}
	for i := 1; i < 2*held; i++ {
		before := searched()
		a.alloc(pages * pageBytes)
		if n := searched() - before; n > 5 {
			t.Fatalf("%d chunks were searched in vain", n)
		}
		if len(a.chunks) > held+1 {
			t.Fatalf("there are %d chunks after %d small runs", len(a.chunks)-held, i)
		}
	}
}
