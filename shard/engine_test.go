package shard

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"httpdhs/kv"

	"pgregory.net/rapid"
)

// engines are all that a Store may be opened with. Each passes testEngine, and
// a Store on each passes the model test.
//
// They are made for keys with the given hashes.
var engines = map[string]func(t testing.TB, hash func(key []byte) uint64) engine{
	"map": func(testing.TB, func([]byte) uint64) engine { return newMapEngine() },
	"packed": func(t testing.TB, hash func([]byte) uint64) engine {
		a := new(arena)
		t.Cleanup(a.close)
		return newPackedEngine(a, newPace(1), 0, hash)
	},
	"evicting": func(t testing.TB, hash func([]byte) uint64) engine {
		a := new(arena)
		t.Cleanup(a.close)
		return newEvictingEngine(a, newPace(1), 0, hash)
	},
}

// engineMaker is an engine's name and what makes one for keys of such hashes.
type engineMaker func(hash func(key []byte) uint64) engine

func forEachEngine(t *testing.T, test func(t *testing.T, newEngine engineMaker)) {
	for name, newEngine := range engines {
		t.Run(name, func(t *testing.T) {
			test(t, func(hash func([]byte) uint64) engine { return newEngine(t, hash) })
		})
	}
}

// forEachStore runs a test with the options of a store on each engine.
func forEachStore(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("map", func(t *testing.T) { test(t, Options{newEngine: newMapEngine}) })
	t.Run("packed", func(t *testing.T) { test(t, Options{}) })
	t.Run("evicting", func(t *testing.T) { test(t, Options{Eviction: EvictS3FIFO, MaxBytes: 1 << 40}) })
}

// Every engine passes the conformance suite.
func TestEngine(t *testing.T) { forEachEngine(t, testEngine) }

// testEngine is the conformance suite of an engine.
func testEngine(t *testing.T, newEngine engineMaker) {
	t.Run("model", func(t *testing.T) { testEngineModel(t, newEngine) })
	t.Run("copies", func(t *testing.T) { testEngineCopies(t, newEngine) })
	t.Run("resize", func(t *testing.T) { testEngineResize(t, newEngine) })
	t.Run("churn", func(t *testing.T) { testEngineChurn(t, newEngine) })
	t.Run("memory", func(t *testing.T) { testEngineMemory(t, newEngine) })
}

// An engine is a map from hash and key to the last entry that was put. Its scans are sorted by
// both, from any hash on and until fn ends them.
func testEngineModel(t *testing.T, newEngine engineMaker) {
	now := newFakeClock().Now()
	rapid.Check(t, func(t *rapid.T) {
		engine := newEngine(fewHashes)
		model := make(map[string]held)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				key, hash := drawKey(t)
				r := kv.Record{Key: key, Entry: drawEntry(t, now)}
				engine.Put(hash, &r)
				model[string(key)] = held{hash, clone(&r)}
			},
			"delete": func(t *rapid.T) {
				key, hash := drawKey(t)
				_, want := model[string(key)]
				if got := engine.Delete(hash, key); got != want {
					t.Fatalf("Delete(%q) = %v, want %v", key, got, want)
				}
				delete(model, string(key))
			},
			"get": func(t *rapid.T) {
				key, hash := drawKey(t)
				got, ok := engine.Get(hash, key)
				want, wantOK := model[string(key)]
				if ok != wantOK || !sameRecord(&kv.Record{Entry: got}, &kv.Record{Entry: want.rec.Entry}) {
					t.Fatalf("Get(%q) = %v, %v, want %v, %v", key, got, ok, want.rec.Entry, wantOK)
				}
			},
			"scan": func(t *rapid.T) {
				from, limit := hashes.Draw(t, "from"), rapid.IntRange(1, 20).Draw(t, "limit")
				sameHeld(t, "scan", scanEngine(engine, from, limit), scanModel(model, from, limit))
			},
			"": func(t *rapid.T) {
				if got := engine.Len(); got != len(model) {
					t.Fatalf("Len() = %d, want %d", got, len(model))
				}
			},
		})
	})
}

func scanEngine(engine engine, from uint64, limit int) (page []held) {
	engine.Scan(from, func(hash uint64, r *kv.Record) bool {
		page = append(page, held{hash, clone(r)})
		return len(page) < limit
	})
	return page
}

func scanModel(model map[string]held, from uint64, limit int) (page []held) {
	for _, h := range model {
		if h.hash >= from {
			page = append(page, h)
		}
	}
	slices.SortFunc(page, compareHeld)
	return page[:min(limit, len(page))]
}

// An engine keeps nothing of what it was passed, and the keys of one hash do
// not disturb each other.
func testEngineCopies(t *testing.T, newEngine engineMaker) {
	const hash = 42
	engine := newEngine(constHash(hash))
	r := kv.Record{Key: []byte("kk"), Entry: kv.Entry{Version: 7, Expires: 9, Meta: []byte("tt"), Value: []byte("vv")}}
	want := clone(&r)
	engine.Put(hash, &r)
	for _, b := range [][]byte{r.Key, r.Meta, r.Value} {
		copy(b, "xx")
	}
	engine.Put(hash, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1}})
	engine.Put(hash, &kv.Record{Key: []byte("kkk"), Entry: kv.Entry{Version: 2}})
	engine.Delete(hash, []byte("k"))
	engine.Delete(hash, []byte("kkk"))
	if got := scanEngine(engine, 0, 9); len(got) != 1 || !sameRecord(&got[0].rec, &want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if _, ok := engine.Get(hash, []byte("kkk")); ok {
		t.Fatal("found a key that was deleted")
	}
}

// A key reads back whole after overwrites of any size, tombstones among them,
// in any succession.
func testEngineResize(t *testing.T, newEngine engineMaker) {
	engine := newEngine(constHash(1))
	sizes := []int{0, 1, 63, 64, 65, 1000, 999, 700, 100, 0, 70_000, 2, 300}
	for i, size := range sizes {
		r := kv.Record{Key: []byte("key"), Entry: kv.Entry{Version: kv.Version(i + 1)}}
		r.Value = bytes.Repeat([]byte{byte('a' + i)}, size)
		r.Meta = bytes.Repeat([]byte{'t'}, i*kv.MaxMetaBytes/len(sizes))
		engine.Put(1, &r)
		if got := scanEngine(engine, 0, 9); len(got) != 1 || !sameRecord(&got[0].rec, &r) {
			t.Fatalf("size %d does not read back", size)
		}
		r.Tombstone = i%2 == 0
		engine.Put(1, &r)
		if got, ok := engine.Get(1, r.Key); !ok || got.Tombstone != r.Tombstone || r.Tombstone && len(got.Value)+len(got.Meta) != 0 {
			t.Fatalf("tombstone after size %d reads as %v", size, got)
		}
	}
}

// Where keys come and go by the thousand, scans stay sorted and complete,
// whether they are made often or seldom.
func testEngineChurn(t *testing.T, newEngine engineMaker) {
	for _, every := range []int{1, 7, 50} {
		engine := newEngine(kv.Hash)
		model := make(map[string]held)
		for i := range 200 {
			for j := range 30 {
				name := []byte{byte(i), byte(j)}
				r := kv.Record{Key: name, Entry: kv.Entry{Version: kv.Version(i + 1)}}
				hash := kv.Hash(name)
				engine.Put(hash, &r)
				model[string(name)] = held{hash, r}
				// All but a few go after three rounds; some of these come back.
				old := []byte{byte(i - 3), byte(j)}
				if i >= 3 && j != 0 {
					engine.Delete(kv.Hash(old), old)
					delete(model, string(old))
				}
				if i >= 3 && j == 5 {
					r.Key = old
					engine.Put(kv.Hash(old), &r)
					model[string(old)] = held{kv.Hash(old), r}
				}
			}
			if i%every == 0 {
				sameHeld(t, "scan", scanEngine(engine, 0, 1<<20), scanModel(model, 0, 1<<20))
			}
		}
	}
}

// What an engine says that a Put will take, it takes at most, and one that is
// empty takes nothing.
func testEngineMemory(t *testing.T, newEngine engineMaker) {
	engine := newEngine(kv.Hash)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(3000) { // nothing dies, nothing is compacted
		key := binary.BigEndian.AppendUint64(nil, i)
		record := kv.Record{Key: key, Entry: kv.Entry{Version: 1, Value: make([]byte, i%100)}}
		growth, before := engine.Growth(kv.Hash(key), &record), engine.Memory()
		engine.Put(kv.Hash(key), &record)
		if after := engine.Memory(); after.Total()-before.Total() > growth {
			t.Fatalf("Growth() = %d, and the total went from %+v to %+v", growth, before, after)
		}
	}
	for i := range 20_000 {
		key := binary.BigEndian.AppendUint64(nil, r.Uint64N(3000))
		size := r.IntN(200)
		if r.IntN(500) == 0 {
			size = r.IntN(100_000)
		}
		record := kv.Record{Key: key, Entry: kv.Entry{Version: kv.Version(i + 1), Value: make([]byte, size)}}
		growth, before := engine.Growth(kv.Hash(key), &record), engine.Memory()
		engine.Put(kv.Hash(key), &record)
		// Compaction of a segment takes memory before it gives some back.
		after, slack := engine.Memory(), before.Segments/8+aloneBytes
		if took := after.Total() - before.Total(); took > growth+slack {
			t.Fatalf("Growth() = %d, and the total went from %+v to %+v", growth, before, after)
		}
	}
	for i := range uint64(3000) {
		key := binary.BigEndian.AppendUint64(nil, i)
		engine.Delete(kv.Hash(key), key)
	}
	if m := engine.Memory(); engine.Len() != 0 || m != (Memory{}) {
		t.Fatalf("empty, and takes %+v", m)
	}
}

// The map engine's order of hashes is bounded by what it holds, however many
// keys came and went.
func TestMapEngineOrderIsBounded(t *testing.T) {
	engine := newMapEngine().(*mapEngine)
	for i := range uint64(100_000) {
		engine.Put(i*0x9e3779b97f4a7c15, &kv.Record{Key: []byte("k")})
		engine.Delete((i-10)*0x9e3779b97f4a7c15, []byte("k"))
	}
	if len(engine.order) > 2*engine.Len()+64+1 || cap(engine.order) > 1024 {
		t.Fatalf("%d hashes listed (room for %d), %d held", len(engine.order), cap(engine.order), engine.Len())
	}
}

// A map engine's item that shrinks gives its memory back; one that changes
// little keeps it.
func TestReuse(t *testing.T) {
	big := make([]byte, 1000)
	for _, c := range []struct {
		n    int
		kept bool
	}{{1001, false}, {1000, true}, {750, true}, {749, false}, {0, false}} {
		got := reuse(big, c.n)
		if kept := cap(got) == 1000; len(got) != 0 || cap(got) < c.n || kept != c.kept {
			t.Errorf("reuse(1000 bytes, %d) has room for %d, want it kept: %v", c.n, cap(got), c.kept)
		}
	}
	if small := make([]byte, 64); cap(reuse(small, 3)) != 64 {
		t.Error("a small buffer was not kept")
	}
}
