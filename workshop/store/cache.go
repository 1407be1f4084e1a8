package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	boundShare   = 0.2     // of the data
	boundMin     = 1 << 20 // bytes: a node takes no less for meant
	updateShare  = 0.05
	cacheBatch   = 100
	zipfExponent = 0.99 // as in YCSB
	sampleEvery  = 20 * time.Millisecond
)

// evictionFlag is what the server has to have to be a cache.
const evictionFlag = "--eviction"

// lacksEviction says why a node cannot be measured as a cache.
func lacksEviction(h *house) string {
	help, err := h.Run(h.binary, "server", "--help")
	switch {
	case err != nil:
		return err.Error()
	case !strings.Contains(help, evictionFlag):
		return "this httpdhs server has no " + evictionFlag
	}
	return ""
}

// partitionsFor is the default number of partitions, or fewer where the bound leaves each less than
// the 64 KiB that are good for one.
func partitionsFor(bound int64) int {
	partitions := 1024
	for partitions > 1 && bound < int64(partitions)*(64<<10) {
		partitions /= 2
	}
	return partitions
}

// cache measures servers that are bounded to a part of the data: each key is
// read, and stored if it was not there.
func cache(h *house) error {
	bound := max(int64(boundShare*float64(dataOf(1, 0, h.keys))), boundMin)
	text := strconv.FormatInt(bound, 10)
	args := serverArgs{
		node:  []string{"--max-memory", text + "B", evictionFlag, "s3-fifo", "--partitions", strconv.Itoa(partitionsFor(bound))},
		redis: []string{"--maxmemory", text, "--maxmemory-policy", "allkeys-lru"},
	}
	return h.each(args, func(s server) error { return h.cacheOf(s, h.keys, bound) })
}

// cacheOf warms the server up with as many operations as there are keys, and
// measures with as many more.
func (h *house) cacheOf(s server, keys int, bound int64) error {
	empty, err := h.resident(s)
	if err != nil {
		return err
	}
	reader := newReader(keys)
	watched := h.watchMemory(s)
	var warm, measured tally
	start := time.Now()
	for _, part := range []struct {
		name string
		*tally
	}{{"warming", &warm}, {"measuring", &measured}} {
		h.Now("cache: %s, %s", s.name(), part.name)
		if err = reader.run(h.ctx, s, keys, part.tally); err != nil {
			break
		}
	}
	took := time.Since(start)
	peak, watchErr := watched()
	if err == nil {
		err = watchErr
	}
	if err != nil {
		return err
	}
	h.samples.Add(figures{
		s.prefix() + "hit %":             100 * float64(measured.hits) / float64(max(measured.reads, 1)),
		s.prefix() + "taken of bound":    float64(peak.taken) / float64(bound),
		s.prefix() + "resident of bound": float64(peak.resident-empty) / float64(bound),
		s.prefix() + "refused":           float64(warm.refused + measured.refused),
		s.prefix() + "cache operations":  float64(2*keys) / took.Seconds(),
	})
	return nil
}

// tally is what came of operations.
type tally struct{ reads, hits, refused int }

// reader asks for keys, some far more often than others. The same keys are
// asked for in each run.
type reader struct {
	rand   *rand.Rand
	order  scatter   // ranks to keys
	weight []float64 // of a rank and all before it
}

// newReader makes a reader of n keys: rank r comes up in proportion to
// 1/(r+1)^zipfExponent. math/rand's Zipf wants an exponent above 1, so ranks
// are looked up among the sums of weights.
func newReader(n int) *reader {
	r := &reader{rand: rand.New(rand.NewPCG(1, 1)), order: newScatter(n), weight: make([]float64, n)}
	sum := 0.0
	for i := range r.weight {
		sum += math.Pow(float64(i+1), -zipfExponent)
		r.weight[i] = sum
	}
	return r
}

func (r *reader) key() int {
	u := r.rand.Float64() * r.weight[len(r.weight)-1]
	return r.order.at(min(sort.SearchFloat64s(r.weight, u), len(r.weight)-1))
}

// run makes n operations, cacheBatch at a time.
func (r *reader) run(ctx context.Context, s server, n int, t *tally) error {
	var reads, updates []sized
	for done := 0; done < n; done += cacheBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		reads, updates = reads[:0], updates[:0]
		for range cacheBatch {
			k := r.key()
			if r.rand.Float64() < updateShare {
				updates = append(updates, sized{k, sizeIn(2, k+done)})
				continue
			}
			reads = append(reads, sized{k, sizeIn(1, k)})
		}
		hits, refused, err := s.readThrough(reads, updates)
		if err != nil {
			return err
		}
		t.reads += len(reads)
		t.hits += hits
		t.refused += refused
	}
	return nil
}

// peak is the most memory that was seen, in bytes.
type peak struct{ resident, taken int64 }

// watchMemory looks at a server's memory until the function that it returns is
// called.
func (h *house) watchMemory(s server) (stop func() (peak, error)) {
	ctx, cancel := context.WithCancel(h.ctx)
	var most peak
	var err error
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for err == nil {
			err = most.see(s)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() (peak, error) {
		cancel()
		done.Wait()
		if err == nil {
			err = most.see(s) // as it ends, however long ago the last look was
		}
		return most, err
	}
}

func (p *peak) see(s server) error {
	// statm is cheap; its error is a few pages for each processor.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid()))
	if err != nil {
		return err
	}
	pages, err := statmResident(string(text))
	if err != nil {
		return err
	}
	held, err := s.held()
	p.resident = max(p.resident, pages*int64(os.Getpagesize()))
	p.taken = max(p.taken, held.taken)
	return err
}

func statmResident(text string) (pages int64, err error) {
	f := strings.Fields(text)
	if len(f) < 2 {
		return 0, fmt.Errorf("statm: %q", text)
	}
	return strconv.ParseInt(f[1], 10, 64)
}
