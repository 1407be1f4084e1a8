package disk

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"httpdhs/kv"
)

// tellEvery is the time between two lines of the log that say how far the load is.
const tellEvery = 5 * time.Second

// readAhead is how many segments are in memory while the log is loaded.
const readAhead = 2

// segmentData is a segment that was read.
type segmentData struct {
	index int // in the plan
	data  []byte
	err   error
}

// all reads the segments in their order. What follows in the log is read meanwhile.
func (r *replay) all() error {
	p := &r.loaded.plan
	r.loaded.noted, r.loaded.lost = make(map[position]bool), make([]bool, r.opt.Identity.Partitions)
	if p.missing != nil {
		r.lose(allStripes, p.missing)
	}
	for _, n := range p.numbers {
		r.loaded.all.Add(r.sizeOf(n))
	}
	free, read := make(chan []byte, readAhead), make(chan segmentData, readAhead)
	for range readAhead {
		free <- nil
	}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { r.readAll(free, read, stop) })
	defer reading.Wait()
	defer close(stop)
	told := time.Now()
	for range p.numbers {
		var s segmentData
		select {
		case s = <-read:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
		before := r.loaded.done.Load()
		torn, err := r.segment(&s)
		if err != nil {
			return err
		}
		r.loaded.done.Store(before + int64(len(s.data)))
		if time.Since(told) >= tellEvery {
			told = time.Now()
			r.opt.Log.Info("loading", "bytes", r.loaded.done.Load(), "of", r.loaded.all.Load())
		}
		if torn {
			p.useless, p.numbers = append(p.useless, p.numbers[s.index+1:]...), p.numbers[:s.index+1]
			return nil
		}
		free <- s.data
	}
	return nil
}

func (r *replay) sizeOf(number uint32) int64 {
	file, err := r.opt.FS.Open(r.files.path(number))
	if err != nil {
		return 0 // whoever reads it finds out
	}
	size, err := file.Size()
	if errors.Join(err, file.Close()) != nil {
		return 0
	}
	return size
}

func (r *replay) readAll(free <-chan []byte, read chan<- segmentData, stop <-chan struct{}) {
	for i, n := range r.loaded.plan.numbers {
		s := segmentData{index: i}
		select {
		case s.data = <-free:
		case <-stop:
			return
		}
		s.data, s.err = r.files.read(n, s.data)
		read <- s // it has room for all that are free
	}
}

// segment merges what counts of a segment. torn: nothing behind it counts.
func (r *replay) segment(s *segmentData) (torn bool, err error) {
	p := &r.loaded.plan
	number, limit := p.numbers[s.index], p.limits[s.index]
	if s.err != nil {
		r.lose(allStripes, fmt.Errorf("cannot read segment %d: %w", number, s.err))
	}
	blocks, end, torn := r.blocks(s.data, number, limit)
	workers := min(runtime.GOMAXPROCS(0), stripes)
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			for i := range blocks {
				if blocks[i].stripe%workers != w {
					continue
				}
				err := r.merge(&blocks[i])
				r.loaded.done.Add(int64(headBytes + len(blocks[i].payload)))
				if err != nil {
					r.mu.Lock()
					r.failed = err
					r.mu.Unlock()
					return
				}
			}
		})
	}
	working.Wait()
	r.files.found(number, end)
	return torn, r.failed
}

// blocks are the blocks of a segment that count, and where they end. What is damaged is noted.
// torn: a power cut, or a crash, has torn what was being written there, and nothing behind it
// counts.
func (r *replay) blocks(data []byte, number uint32, limit int64) (blocks []block, end int64, torn bool) {
	short := limit >= 0 && int64(len(data)) < limit
	if limit >= 0 && !short {
		data = data[:limit]
	}
	for w := (walk{segment: data, number: number}); w.next(); {
		switch {
		case w.lost == 0:
			blocks, end = append(blocks, w.block), w.block.end()
		case at(number, w.lostAt) >= r.loaded.plan.synced:
			return blocks, end, true
		default:
			r.loaded.noted[at(number, w.lostAt)] = true
			r.lose(w.lost, fmt.Errorf("segment %d is damaged at %d", number, w.lostAt))
			end = w.offset
		}
	}
	if short && at(number, end) < r.loaded.plan.synced {
		r.lose(allStripes, fmt.Errorf("segment %d ends at %d, and should have %d bytes", number, len(data), limit))
		short = false
	}
	return blocks, end, short
}

// lose notes damage.
func (r *replay) lose(which uint32, damage error) {
	r.counters.Damaged.Add(1)
	r.opt.Log.Error("a part of the log is damaged", "dir", r.opt.Dir, "error", damage)
	if r.loaded.damage == nil {
		r.loaded.damage = damage
	}
	for partition := range r.loaded.lost {
		if which&(1<<(partition%stripes)) != 0 {
			r.loaded.lost[partition] = true
		}
	}
}

// mergeAtOnce is how many records are offered to the store together.
const mergeAtOnce = 64

// merge merges a block into the store.
func (r *replay) merge(b *block) error {
	var offers [mergeAtOnce]kv.Offer
	var records [mergeAtOnce]kv.Record
	n, newest := 0, kv.Version(0)
	defer func() { r.sawVersion(newest) }()
	flush := func() error {
		r.store.Restore(offers[:n])
		r.loaded.records.Add(int64(n))
		for i := range offers[:n] {
			if err := offers[i].Err; err != nil {
				return fmt.Errorf("the store does not take what it held: %w", err)
			}
		}
		n = 0
		return nil
	}
	for rest := b.payload; len(rest) > 0; {
		it, more, err := nextItem(rest)
		if err != nil {
			return err
		}
		if rest = more; it.kind == 0 {
			records[n], newest = it.record, max(newest, it.record.Version)
			offers[n] = kv.Offer{Hash: kv.Hash(it.record.Key), Record: &records[n]}
			if n++; n < mergeAtOnce {
				continue
			}
		}
		if err := flush(); err != nil {
			return err
		}
		if it.partition >= r.opt.Identity.Partitions {
			return fmt.Errorf("%w: partition %d", ErrFormat, it.partition)
		}
		switch it.kind {
		case itemDrop:
			r.store.Drop(it.partition)
		case itemMark:
			r.store.RaiseMark(it.partition, kv.Version(it.value))
		}
	}
	return flush()
}

// sawVersion notes a version that is in the log.
func (r *replay) sawVersion(v kv.Version) {
	newest := &r.loaded.newest
	for last := newest.Load(); uint64(v) > last && !newest.CompareAndSwap(last, uint64(v)); {
		last = newest.Load()
	}
}
