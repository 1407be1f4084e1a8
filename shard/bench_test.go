package shard

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"httpdhs/kv"
)

// The store of the benchmarks: 1024 partitions, 16-byte keys, 100-byte values.
const (
	benchKeys  = 1 << 20
	benchValue = 100
)

func benchStore(b *testing.B, keys int) *Store {
	s, err := Open(Options{Partitions: 1024, SweepEvery: -1})
	if err != nil {
		b.Fatal(err)
	}
	r := benchRecord()
	for i := range keys {
		benchPut(s, &r, uint64(i), 1)
	}
	return s
}

func benchRecord() kv.Record {
	return kv.Record{Key: make([]byte, 16), Entry: kv.Entry{Value: make([]byte, benchValue)}}
}

func benchPut(s *Store, r *kv.Record, i uint64, v kv.Version) {
	binary.BigEndian.PutUint64(r.Key, i)
	r.Version = v
	_, _ = s.Apply(kv.Hash(r.Key), r)
}

func BenchmarkInsert(b *testing.B) {
	b.ReportAllocs()
	s, r := benchStore(b, 0), benchRecord()
	for i := 0; b.Loop(); i++ {
		if i%benchKeys == 0 {
			b.StopTimer()
			s = benchStore(b, 0)
			b.StartTimer()
		}
		benchPut(s, &r, uint64(i), 1)
	}
}

func BenchmarkOverwrite(b *testing.B) {
	s, r := benchStore(b, benchKeys), benchRecord()
	b.ReportAllocs()
	for v := kv.Version(2); b.Loop(); v++ {
		benchPut(s, &r, rand.Uint64N(benchKeys), v)
	}
}

func BenchmarkGet(b *testing.B) {
	s, r := benchStore(b, benchKeys), benchRecord()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		binary.BigEndian.PutUint64(r.Key, rand.Uint64N(benchKeys))
		_, dst, _ = s.Get(dst[:0], kv.Hash(r.Key), r.Key)
	}
}

// BenchmarkParallel is one write to nine reads, from every core.
func BenchmarkParallel(b *testing.B) {
	s := benchStore(b, benchKeys)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		r := benchRecord()
		var dst []byte
		for v := kv.Version(2); pb.Next(); v++ {
			i := rand.Uint64N(benchKeys)
			if v%10 == 0 {
				benchPut(s, &r, i, v)
				continue
			}
			binary.BigEndian.PutUint64(r.Key, i)
			_, dst, _ = s.Get(dst[:0], kv.Hash(r.Key), r.Key)
		}
	})
}

// BenchmarkScanFirst is the first page of a shard of 10,000 keys, which sorts
// it; BenchmarkScanNext is any other.
func BenchmarkScanFirst(b *testing.B) { benchmarkScan(b, true) }
func BenchmarkScanNext(b *testing.B)  { benchmarkScan(b, false) }

func benchmarkScan(b *testing.B, first bool) {
	engine, r := NewMapEngine().(*mapEngine), benchRecord()
	for range 10_000 {
		engine.Put(rand.Uint64(), &r)
	}
	unsorted := append([]uint64(nil), engine.order...)
	for b.Loop() {
		if first {
			copy(engine.order, unsorted)
			engine.sorted = 0
		}
		n := 0
		engine.Scan(rand.Uint64(), func(uint64, *kv.Record) bool { n++; return n < 100 })
	}
}

// BenchmarkMemory is what an entry costs beyond its key and value, which
// EntryOverheadBytes stands for.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := benchStore(b, benchKeys)
		runtime.GC()
		runtime.ReadMemStats(&after)
		st := s.Stats()
		b.ReportMetric(float64(int64(after.HeapAlloc-before.HeapAlloc)-st.Bytes)/float64(st.Keys), "overhead-B/key")
	}
}
