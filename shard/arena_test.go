package shard

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// checkArena recomputes an arena's counts from its bitmaps, and holds it to what it has handed out
// and promised: so many pages.
func checkArena(t fatalT, a *arena, taken, promised int) {
	t.Helper()
	var sum pages
	for _, c := range a.chunks {
		var p pages
		for i := range c.used {
			if c.promised[i]&^c.used[i] != 0 {
				t.Fatalf("free pages are promised: %x of %x", c.promised[i], c.used[i])
			}
			if taken := c.used[i] &^ c.promised[i]; taken&^c.backed[i] != 0 {
				t.Fatalf("pages that are taken count as without memory: %x of %x", c.backed[i], taken)
			}
			p.used += bits.OnesCount64(c.used[i])
			p.taken += bits.OnesCount64(c.used[i] &^ c.promised[i])
			p.backed += bits.OnesCount64(c.backed[i])
			p.kept += bits.OnesCount64(c.backed[i] &^ c.used[i])
		}
		for block, split := range c.splits {
			if n := count(c.backed, block*blockPages, blockPages); !split && n != 0 && n != blockPages {
				t.Fatalf("of a block that is whole, %d pages are backed", n)
			}
		}
		for from := next(c.used, 0, false); from < len(c.used)*64; {
			to := next(c.used, from, true)
			if to-from > c.most {
				t.Fatalf("%d pages are free in a row, and %d are said to be at most", to-from, c.most)
			}
			from = next(c.used, to, false)
		}
		if p != c.pages {
			t.Fatalf("a chunk has %+v, and counts %+v", p, c.pages)
		}
		sum.add(p)
	}
	if sum != a.sum || sum.taken != taken || sum.used != taken+promised {
		t.Fatalf("the chunks have %+v, and count %+v; %d are taken and %d promised", sum, a.sum, taken, promised)
	}
}

// poison writes to what is kept or promised: who is handed it has to write before it reads.
func poison(a *arena) {
	for _, c := range a.chunks {
		for page := next(c.backed, 0, true); page < len(c.backed)*64; page = next(c.backed, page+1, true) {
			if c.used[page/64]&^c.promised[page/64]>>(page%64)&1 == 0 {
				copy(c.bytes(page, 1), poisoned[:])
			}
		}
	}
}

var poisoned = bytes.Repeat([]byte{0xa5}, pageBytes)

// arenaUser takes memory, and knows what it wrote there.
type arenaUser struct {
	t      *testing.T
	a      *arena
	r      *rand.Rand
	pieces []arenaPiece
}

type arenaPiece struct {
	b    []byte
	mark byte
}

// write marks pages that were just handed out.
func (u *arenaUser) write(b []byte, mark byte) {
	for at := 0; at < len(b); at += pageBytes {
		b[at], b[at+pageBytes-1] = mark, mark
	}
}

func (u *arenaUser) alloc(pages, most int) {
	least := most / (1 + u.r.IntN(3))
	p := arenaPiece{u.a.alloc(pages*pageBytes-u.r.IntN(pageBytes), least*pageBytes, most*pageBytes), byte(u.r.IntN(256))}
	if all := cap(p.b) / pageBytes; len(p.b) != pages*pageBytes || all < max(pages, least) || all > max(pages, most) {
		u.t.Fatalf("got %d bytes of %d, want %d pages of %d to %d", len(p.b), cap(p.b), pages, least, most)
	}
	u.write(p.b, p.mark)
	u.pieces = append(u.pieces, p)
}

func (u *arenaUser) extend() {
	p := &u.pieces[u.r.IntN(len(u.pieces))]
	if had := len(p.b); cap(p.b) > had {
		p.b = u.a.extend(p.b, had+1+u.r.IntN(cap(p.b)-had))
		u.write(p.b[had:], p.mark)
	}
}

func (u *arenaUser) release() {
	at := u.r.IntN(len(u.pieces))
	p := u.pieces[at]
	for j := 0; j < len(p.b); j += pageBytes {
		if p.b[j] != p.mark || p.b[j+pageBytes-1] != p.mark {
			u.t.Fatal("someone else wrote to a page")
		}
	}
	if half := len(p.b) / 2 / pageBytes * pageBytes; half > 0 && u.r.IntN(3) == 0 {
		u.a.release(p.b[:half:half])
		u.pieces[at].b = p.b[half:]
		return
	}
	u.a.release(p.b)
	u.pieces = slices.Delete(u.pieces, at, at+1)
}

func (u *arenaUser) check() {
	u.t.Helper()
	taken, all := 0, 0
	for _, p := range u.pieces {
		taken += len(p.b) / pageBytes
		all += cap(p.b) / pageBytes
	}
	checkArena(u.t, u.a, taken, all-taken)
}

// run takes and gives for so many steps, and passes in between.
func (u *arenaUser) run(steps int, most int) {
	for i := range steps {
		what := u.r.IntN(100)
		switch {
		case len(u.pieces) == 0 || what < 35:
			pages := 1 + u.r.IntN(most)
			if u.r.IntN(100) == 0 {
				pages *= 20
			}
			u.alloc(pages, u.r.IntN(2*pages))
		case what < 65:
			u.extend()
		default:
			u.release()
		}
		if what < 35 && u.a.limit > 0 && u.a.sum.backed > max(u.a.limit, u.a.sum.taken) {
			u.t.Fatalf("of %d pages at most there are %+v", u.a.limit, u.a.sum)
		}
		if i%16 == 0 {
			u.check()
		}
		if u.r.IntN(64) == 0 {
			u.a.giveBack()
			poison(u.a)
		}
	}
}

// Memory that was handed out is nobody else's, what is promised is there, and the arena counts
// right. With a limit no more is kept than it leaves. What is resident is backed.
func TestArena(t *testing.T) {
	for _, limit := range []int{0, 300, 1500, 3000} {
		a := &arena{limit: limit}
		defer a.close()
		u := &arenaUser{t: t, a: a, r: rand.New(rand.NewPCG(1, uint64(limit)))}
		for range often(10, 100) {
			u.run(200, 20)
			checkResident(t, a)
		}
		for len(u.pieces) > 0 {
			u.release()
		}
		for range 2 * idlePasses {
			a.giveBack()
		}
		u.check()
		checkResident(t, a)
		if len(a.chunks) != 1 || a.sum != (pages{}) {
			t.Errorf("with all released there are %d chunks, and %+v", len(a.chunks), a.sum)
		}
		if c := a.chunks[0]; limit == 0 && c.huge && slices.Contains(c.splits, true) {
			t.Error("a block that nobody uses is not whole again")
		}
		if b := a.alloc(2*chunkPages*pageBytes, 0, 0); len(b) != 2*chunkPages*pageBytes {
			t.Errorf("more than a chunk: got %d bytes", len(b))
		}
	}
}

// What is freed is kept for some passes, and then goes, up to what was needed in between. Who takes
// and frees makes no page go.
func TestIdlePagesAreGivenBack(t *testing.T) {
	a := new(arena)
	defer a.close()
	const big, small = 10 * blockPages, 3
	passes := func(n int, each func()) {
		for range n {
			each()
			before := a.sum.backed
			a.giveBack()
			if a.sum.backed != before && a.passes != 0 {
				t.Fatal("memory was given back between the passes that do")
			}
		}
	}
	var keep [][]byte
	for range 1000 {
		keep = append(keep, a.alloc(small*pageBytes, 0, 0), a.alloc(small*pageBytes, 0, 0))
	}
	use := func() {
		before := a.sum.backed
		b := a.alloc(big*pageBytes, 0, 0)
		if before > 0 && before > a.sum.backed {
			t.Fatal("memory was given back by who takes it")
		}
		before = a.sum.backed
		a.release(b)
		if a.sum.backed != before {
			t.Fatal("memory was given back by who frees it")
		}
	}
	use()
	n := 0
	passes(3*idlePasses, func() {
		if n++; n%4 == 0 {
			use()
		}
	})
	if a.sum.kept < big {
		t.Errorf("with a use of %d pages in every fourth pass, %d are kept", big, a.sum.kept)
	}
	for i := 0; i < len(keep); i += 2 {
		a.release(keep[i]) // every other, so that no block is free
	}
	passes(2*idlePasses, func() {})
	if a.sum.kept > 1000*small/keptShare {
		t.Errorf("nobody needed any for long, and there are %+v", a.sum)
	}
	checkArena(t, a, 1000*small, 0)
	if after := 2 * idlePasses * DefaultSweepEvery; after > time.Minute {
		t.Errorf("what is freed is back after %v", after)
	}
}

// Pages that are taken back twice are a bug that is found at once.
func TestArenaReleasesOnce(t *testing.T) {
	a := new(arena)
	defer a.close()
	b := a.alloc(3*pageBytes, 0, 0)
	a.release(b)
	defer func() {
		if recover() == nil {
			t.Error("a second release went unnoticed")
		}
	}()
	a.release(b)
}

// Where much is held and all of it is full of holes, looking for pages is bounded
// all the same: a few chunks are searched in vain, and not again. A chunk more is
// made only when the newest is full.
func TestAllocSearchesFewChunks(t *testing.T) {
	a := new(arena)
	defer a.close()
	const held, pages = 10, 25
	for range held {
		a.alloc(chunkPages*pageBytes, 0, 0)
	}
	for _, c := range a.chunks {
		for page := 0; page < chunkPages; page += 2 {
			a.release(slices.Clip(c.bytes(page, 1)))
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
		a.alloc(pages*pageBytes, 0, 0)
		if n := searched() - before; n > 5 {
			t.Fatalf("%d chunks were searched in vain", n)
		}
		if len(a.chunks) > held+1 {
			t.Fatalf("there are %d chunks after %d small runs", len(a.chunks)-held, i)
		}
	}
}
