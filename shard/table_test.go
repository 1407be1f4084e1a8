package shard

import (
	"math/rand/v2"
	"testing"
)

// A slot's tag and its place give back what the tag was cut from, in tables of
// every size, however full.
func TestTablePrefix(t *testing.T) {
	for _, n := range []int{1, 400, 1000, 50_000, 60_000, 200_000, 1_000_000} {
		a := new(arena)
		table := newTable(a, n)
		table.open(a, len(table.slots))
		r := rand.New(rand.NewPCG(uint64(n), 1))
		want := make(map[uint64]uint64)
		for i := range n * 1125 / 1000 {
			x := r.Uint64()
			if table.insert(x, uint64(i+1)) {
				want[uint64(i+1)] = table.cut(x)
			} else if i < n {
				t.Errorf("%d slots: no place for the %d-th", n, i)
			}
		}
		seen := 0
		for p, w := range table.slots {
			if w == 0 {
				continue
			}
			seen++
			if got := table.prefix(p); got != want[w&locationMask] {
				t.Fatalf("%d slots: prefix at %d is %x, want %x", n, p, got, want[w&locationMask])
			}
		}
		if seen != len(want) {
			t.Errorf("%d slots, want %d", seen, len(want))
		}
		a.close()
	}
}

// However many hashes lie close together, no slot gets out of reach of its home:
// the table says no instead. What it took is there.
func TestTableReach(t *testing.T) {
	for _, n := range []int{400, 100_000} {
		a := new(arena)
		defer a.close()
		table := newTable(a, n)
		table.open(a, len(table.slots))
		r := rand.New(rand.NewPCG(uint64(n), 2))
		width := ^uint64(0) / table.homes * 300 // 300 homes
		want := make(map[uint64]uint64)
		refused := 0
		for i := range uint64(600) {
			x := 1<<63 + r.Uint64N(width)
			if table.insert(x, i+1) {
				want[i+1] = table.cut(x)
			} else {
				refused++
			}
			if i%7 == 0 {
				for p, w := range table.slots {
					if w != 0 && r.IntN(50) == 0 {
						delete(want, w&locationMask)
						table.remove(p)
						break
					}
				}
			}
		}
		if refused == 0 {
			t.Error("nothing was refused")
		}
		seen := 0
		for p, w := range table.slots {
			if w == 0 {
				continue
			}
			seen++
			cut := want[w&locationMask]
			if got := table.prefix(p); got != cut || p-table.home(cut) > reachMax || p < table.home(cut) {
				t.Fatalf("slot at %d: prefix %x, want %x, whose home is %d", p, got, cut, table.home(cut))
			}
		}
		if seen != len(want) {
			t.Errorf("%d slots, want %d", seen, len(want))
		}
	}
}

// A ghost remembers nothing before it is told to, whatever its memory held, and nothing in the
// part that is not in use yet.
func TestGhostBeginsEmpty(t *testing.T) {
	a := new(arena)
	defer a.close()
	const keys, parts = 100_000, 8
	a.release(a.alloc(ghostBytes(keys), 0, 0))
	for i := range a.chunks[0].data {
		a.chunks[0].data[i] = 1 // of the marks of many keys
	}
	var g ghost
	g.resize(a, keys)
	r := rand.New(rand.NewPCG(1, 1))
	for part := range parts + 1 {
		g.open(part, parts)
		x := uint64(1<<61)*uint64(part) + 0x01010000
		if g.has(x-1<<32) || g.has(x) {
			t.Fatalf("with %d of %d parts in use it remembers what was never added", part, parts)
		}
		for range 1000 {
			g.add(r.Uint64() &^ 0xffff0000) // marked 1
		}
	}
}
