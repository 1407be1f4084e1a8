package shard

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"httpdhs/kv"
)

// zipf draws from 0..n-1, i with a probability in proportion to 1/(i+1)^theta.
type zipf struct {
	sums []float64
	r    *rand.Rand
}

func newZipf(n int, theta float64, seed uint64) *zipf {
	z := &zipf{sums: make([]float64, n), r: rand.New(rand.NewPCG(seed, 0))}
	sum := 0.0
	for i := range z.sums {
		sum += math.Pow(float64(i+1), -theta)
		z.sums[i] = sum
	}
	return z
}

func (z *zipf) draw() int {
	i, _ := slices.BinarySearch(z.sums, z.r.Float64()*z.sums[len(z.sums)-1])
	return min(i, len(z.sums)-1)
}

// lru is an exact LRU of entries that all cost the same.
type lru struct {
	most  int
	nodes map[int]*lruNode
	ends  lruNode // next is the latest, prev the oldest
}

type lruNode struct {
	key        int
	prev, next *lruNode
}

func newLRU(most int) *lru {
	l := &lru{most: most, nodes: make(map[int]*lruNode)}
	l.ends.prev, l.ends.next = &l.ends, &l.ends
	return l
}

// use says whether the key is there, and makes it the latest.
func (l *lru) use(key int) (hit bool) {
	n, hit := l.nodes[key]
	if !hit {
		n = &lruNode{key: key}
		if len(l.nodes) == l.most {
			last := l.ends.prev
			last.unlink()
			delete(l.nodes, last.key)
		}
		l.nodes[key] = n
	} else {
		n.unlink()
	}
	n.prev, n.next = &l.ends, l.ends.next
	n.prev.next, n.next.prev = n, n
	return hit
}

func (n *lruNode) unlink() { n.prev.next, n.next.prev = n.next, n.prev }

// The store has memory for a fifth of the data, and zipfian reads write what they miss. It finds at
// least what an exact LRU of the same bytes does. That LRU's records and slots are taken to be as
// large as the store's, and its list to take nothing. Or it takes nothing for more than keys and
// values (bare).
func TestHitRatio(t *testing.T) {
	const (
		keys, keyBytes = 50_000, 16
		draws          = 400_000
	)
	for _, c := range []struct {
		partitions, valueBytes int
		theta                  float64
		bare                   bool
	}{{1, 100, 0.99, true}, {8, 100, 0.99, false}, {8, 1000, 0.99, true}, {8, 100, 0.8, false}} {
		bound := int64(keys * (keyBytes + c.valueBytes) / 5)
		clock := newFakeClock()
		s := openEvicting(t, clock, c.partitions, bound)
		s.pace.cores = 1e9 // nothing depends on the clock
		rec := kv.Record{Key: make([]byte, keyBytes), Entry: kv.Entry{Version: 1, Value: make([]byte, c.valueBytes)}}
		cost := recordSize(&rec) + slotBytes
		if c.bare {
			cost = keyBytes + c.valueBytes
		}
		l := newLRU(int(bound) / cost)
		z := newZipf(keys, c.theta, 1)
		var dst []byte
		hits, lruHits := 0, 0
		for range draws {
			i := z.draw()
			if l.use(i) {
				lruHits++
			}
			binary.BigEndian.PutUint64(rec.Key, uint64(i))
			hash := kv.Hash(rec.Key)
			var ok bool
			if _, dst, ok = s.Get(dst[:0], hash, rec.Key); ok {
				hits++
			} else {
				mustApply(t, s, hash, rec)
			}
		}
		t.Logf("%+v: hits %.4f, LRU %.4f; %d of %d keys", c, float64(hits)/draws, float64(lruHits)/draws, s.Stats().Keys, l.most)
		if hits < lruHits {
			t.Errorf("%+v: %d hits, and LRU has %d", c, hits, lruHits)
		}
	}
}
