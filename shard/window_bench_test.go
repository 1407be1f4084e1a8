package shard

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"httpdhs/kv"
)

// BenchmarkBatch overwrites records of a million keys, which no cache holds, and
// of a thousand, in batches: one Apply after the other, and with ApplyAll; in the order
// of the partitions, as bulk calls have them, and in none. A figure is for one
// record.
func BenchmarkBatch(b *testing.B) {
	for _, keys := range []int{1 << 10, 100_000, benchKeys} {
		s := benchStore(b, Options{Partitions: 1024, SweepEvery: -1}, keys)
		version := kv.Version(2)
		for _, size := range []int{1, 16, 100, 2000} {
			for _, sorted := range []bool{false, true} {
				for _, all := range []bool{false, true} {
					name := fmt.Sprintf("keys=%d/batch=%d/sorted=%v/all=%v", keys, size, sorted, all)
					b.Run(name, func(b *testing.B) { benchBatch(b, s, &version, keys, size, sorted, all) })
				}
			}
		}
	}
}

func benchBatch(b *testing.B, s *Store, version *kv.Version, keys, size int, sorted, all bool) {
	batches := make([][]kv.Offer, 1+1<<17/size) // so many that a batch comes back when the cache has forgotten it
	for i := range batches {
		batches[i] = make([]kv.Offer, size)
		for j := range batches[i] {
			r := benchRecord()
			binary.BigEndian.PutUint64(r.Key, rand.Uint64N(uint64(keys)))
			batches[i][j] = kv.Offer{Hash: kv.Hash(r.Key), Record: &r}
		}
		if sorted {
			slices.SortFunc(batches[i], func(x, y kv.Offer) int { return int(x.Hash>>54) - int(y.Hash>>54) })
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b)()
	for n := 0; n < b.N; n += size {
		offers := batches[n/size%len(batches)]
		*version++
		for i := range offers {
			offers[i].Record.Version = *version
		}
		applyBatch(s, offers, all)
	}
}

// BenchmarkBatchInsert fills a store with a million new keys, 2000 at a time in the
// order of the partitions, as a bulk load does.
func BenchmarkBatchInsert(b *testing.B) {
	for _, all := range []bool{false, true} {
		b.Run(fmt.Sprintf("all=%v", all), func(b *testing.B) {
			const size = 2000
			batches := make([][]kv.Offer, benchKeys/size)
			for i := range batches {
				batches[i] = make([]kv.Offer, size)
				for j := range batches[i] {
					r := benchRecord()
					r.Version = 1
					binary.BigEndian.PutUint64(r.Key, uint64(i*size+j))
					batches[i][j] = kv.Offer{Hash: kv.Hash(r.Key), Record: &r}
				}
				slices.SortFunc(batches[i], func(x, y kv.Offer) int { return int(x.Hash>>54) - int(y.Hash>>54) })
			}
			s := benchStore(b, Options{Partitions: 1024, SweepEvery: -1}, 0)
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b)()
			for n := 0; n < b.N; n += size {
				if n > 0 && n/size%len(batches) == 0 {
					b.StopTimer()
					s.Close()
					s = benchStore(b, Options{Partitions: 1024, SweepEvery: -1}, 0)
					b.StartTimer()
				}
				applyBatch(s, batches[n/size%len(batches)], all)
			}
		})
	}
}

// BenchmarkBatchEvict writes new keys, 100 at a time in no order, to a store that
// evicts for them.
func BenchmarkBatchEvict(b *testing.B) {
	for _, all := range []bool{false, true} {
		b.Run(fmt.Sprintf("all=%v", all), func(b *testing.B) {
			const size = 100
			o := Options{Partitions: 1024, SweepEvery: -1, Eviction: EvictS3FIFO, MaxBytes: benchKeys * (16 + benchValue)}
			s := benchStore(b, o, benchKeys)
			offers, next := offersOf(size, benchValue, 1), uint64(benchKeys)
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b)()
			for n := 0; n < b.N; n += size {
				for i := range offers {
					binary.BigEndian.PutUint64(offers[i].Record.Key, next)
					offers[i].Hash = kv.Hash(offers[i].Record.Key)
					next++
				}
				applyBatch(s, offers, all)
			}
		})
	}
}

func applyBatch(s *Store, offers []kv.Offer, all bool) {
	if all {
		s.ApplyAll(offers)
		return
	}
	for i := range offers {
		offers[i].Applied, offers[i].Err = s.Apply(offers[i].Hash, offers[i].Record)
	}
}
