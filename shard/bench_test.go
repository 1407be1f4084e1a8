package shard

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"httpdhs/kv"
)

// The store of the benchmarks: 1024 partitions, 16-byte keys, 100-byte values.
const (
	benchKeys  = 1 << 20
	benchValue = 100
)

// forEachEngineB runs a benchmark on each engine.
func forEachEngineB(b *testing.B, bench func(b *testing.B, o Options)) {
	for _, engine := range []string{"packed", "evicting", "map"} {
		o := Options{Partitions: 1024, SweepEvery: -1}
		switch engine {
		case "evicting":
			o.Eviction, o.MaxBytes = EvictS3FIFO, 1<<40
		case "map":
			o.newEngine = newMapEngine
		}
		b.Run(engine, func(b *testing.B) { bench(b, o) })
	}
}

func benchStore(b *testing.B, o Options, keys int) *Store {
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
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

func BenchmarkInsert(b *testing.B) { forEachEngineB(b, benchInsert) }

func benchInsert(b *testing.B, o Options) {
	b.ReportAllocs()
	s, r := benchStore(b, o, 0), benchRecord()
	defer reportCPU(b)()
	for i := 0; b.Loop(); i++ {
		if i%benchKeys == 0 {
			b.StopTimer()
			s.Close()
			s = benchStore(b, o, 0)
			b.StartTimer()
		}
		benchPut(s, &r, uint64(i), 1)
	}
}

func BenchmarkOverwrite(b *testing.B) { forEachEngineB(b, benchOverwrite) }

func benchOverwrite(b *testing.B, o Options) {
	s, r := benchStore(b, o, benchKeys), benchRecord()
	b.ReportAllocs()
	defer reportCPU(b)()
	for v := kv.Version(2); b.Loop(); v++ {
		benchPut(s, &r, rand.Uint64N(benchKeys), v)
	}
}

func BenchmarkGet(b *testing.B) { forEachEngineB(b, benchGet) }

func benchGet(b *testing.B, o Options) {
	s, r := benchStore(b, o, benchKeys), benchRecord()
	var dst []byte
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		binary.BigEndian.PutUint64(r.Key, rand.Uint64N(benchKeys))
		_, dst, _ = s.Get(dst[:0], kv.Hash(r.Key), r.Key)
	}
}

// BenchmarkParallel is one write to nine reads, from every core.
func BenchmarkParallel(b *testing.B) { forEachEngineB(b, benchParallel) }

func benchParallel(b *testing.B, o Options) {
	s := benchStore(b, o, benchKeys)
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

// BenchmarkOverwriteSizes overwrites with values of 50 to 150 bytes: what does
// not fit is appended, and compaction pays for it.
func BenchmarkOverwriteSizes(b *testing.B) { forEachEngineB(b, benchOverwriteSizes) }

func benchOverwriteSizes(b *testing.B, o Options) {
	s, r := benchStore(b, o, benchKeys), benchRecord()
	value := make([]byte, 150)
	b.ReportAllocs()
	defer reportCPU(b)()
	for v := kv.Version(2); b.Loop(); v++ {
		r.Value = value[:50+rand.IntN(101)]
		benchPut(s, &r, rand.Uint64N(benchKeys), v)
	}
}

// BenchmarkEvict is reads with a zipfian law that write what they miss, with
// memory for a fifth of the data.
func BenchmarkEvict(b *testing.B) {
	o := Options{Partitions: 256, SweepEvery: -1, Eviction: EvictS3FIFO, MaxBytes: benchKeys * (16 + benchValue) / 5}
	s, r, z := benchStore(b, o, benchKeys), benchRecord(), newZipf(benchKeys, 0.99, 1)
	draws := make([]uint32, 1<<22)
	for i := range draws {
		draws[i] = uint32(z.draw())
	}
	var dst []byte
	misses := 0
	b.ReportAllocs()
	defer reportCPU(b)()
	i := 0
	for b.Loop() {
		key := uint64(draws[i%len(draws)])
		i++
		binary.BigEndian.PutUint64(r.Key, key)
		var ok bool
		if _, dst, ok = s.Get(dst[:0], kv.Hash(r.Key), r.Key); !ok {
			misses++
			benchPut(s, &r, key, 1)
		}
	}
	b.ReportMetric(float64(misses)/float64(i), "misses/op")
}

// BenchmarkEvictInsert writes new keys to a store at its bound.
func BenchmarkEvictInsert(b *testing.B) {
	o := Options{Partitions: 256, SweepEvery: -1, Eviction: EvictS3FIFO, MaxBytes: benchKeys * (16 + benchValue)}
	s, r := benchStore(b, o, benchKeys), benchRecord()
	b.ReportAllocs()
	defer reportCPU(b)()
	i := uint64(benchKeys)
	for b.Loop() {
		benchPut(s, &r, i, 1)
		i++
	}
}

// BenchmarkGoMap is what the store is compared with: a map of slices with no
// lock, no version, no digest and no bound.
func BenchmarkGoMap(b *testing.B) {
	key := make([]byte, 16)
	b.Run("insert", func(b *testing.B) {
		m := make(map[string][]byte)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%benchKeys == 0 {
				m = make(map[string][]byte)
			}
			binary.BigEndian.PutUint64(key, uint64(i))
			m[string(key)] = make([]byte, benchValue)
		}
	})
	m := make(map[string][]byte)
	for i := range uint64(benchKeys) {
		binary.BigEndian.PutUint64(key, i)
		m[string(key)] = make([]byte, benchValue)
	}
	b.Run("get", func(b *testing.B) {
		var dst []byte
		for b.Loop() {
			binary.BigEndian.PutUint64(key, rand.Uint64N(benchKeys))
			dst = append(dst[:0], m[string(key)]...)
		}
	})
	b.Run("overwrite", func(b *testing.B) {
		value := make([]byte, benchValue)
		for b.Loop() {
			binary.BigEndian.PutUint64(key, rand.Uint64N(benchKeys))
			copy(m[string(key)], value)
		}
	})
}

// BenchmarkScan is a page of 100 records from a shard of 10,000.
func BenchmarkScan(b *testing.B) {
	for name, engine := range map[string]engine{"packed": newPackedEngine(new(arena), newPace(1), 0, kv.Hash), "map": newMapEngine()} {
		b.Run(name, func(b *testing.B) {
			r := benchRecord()
			for i := range uint64(10_000) {
				binary.BigEndian.PutUint64(r.Key, i)
				r.Version = 1
				engine.Put(kv.Hash(r.Key), &r)
			}
			defer reportCPU(b)()
			for b.Loop() {
				n := 0
				engine.Scan(rand.Uint64(), func(uint64, *kv.Record) bool { n++; return n < 100 })
			}
		})
	}
}

// BenchmarkScanCold is pages of 100 records of a store of a million, from
// anywhere: no cache holds them.
func BenchmarkScanCold(b *testing.B) {
	forEachEngineB(b, func(b *testing.B, o Options) {
		o.Partitions = 256 // of 4,096 records
		s := benchStore(b, o, benchKeys)
		sum := byte(0)
		defer reportCPU(b)()
		for b.Loop() {
			n, from := 0, rand.Uint64()
			s.Scan(s.place(from).partition, from, func(_ uint64, r *kv.Record) bool {
				sum += r.Value[0]
				n++
				return n < 100
			})
		}
		_ = sum
	})
}
