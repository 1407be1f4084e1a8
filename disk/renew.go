package disk

import (
	"httpdhs/kv"
)

const (
	// pageBytes is how much is copied under one hold of a shard's lock, past the first record.
	pageBytes = 32 << 10

	allStripes = 1<<(stripes+1) - 1
)

// renew writes all that memory holds again, after a sync has failed: what was written since the
// last that succeeded is not believed.
func (c *cleaner) renew() error {
	c.opt.Log.Warn("all that is held is written again")
	if err := c.rewrite(allStripes); err != nil {
		return err
	}
	written := c.appended()
	if err := c.awaitWritten(written); err != nil {
		return err
	}
	if err := c.syncFiles(); err != nil {
		c.pause() // all is written each time: a disk that syncs nothing would soon be full
		return err
	}
	if c.faults.renewed() {
		c.progress.lasts(written)
	}
	return nil
}

// rewrite puts into the log all that memory holds of some stripes, a bit each. A partition that
// holds nothing is dropped in the log: it may have been dropped in what is not believed.
func (c *cleaner) rewrite(which uint32) error {
	for partition := range c.opt.Identity.Partitions {
		if which&(1<<(partition%stripes)) == 0 {
			continue
		}
		if v := c.store.Mark(partition); v != 0 {
			c.append(partition%stripes, func(dst []byte) []byte { return appendMark(dst, partition, v) })
		}
		if err := c.rewritePartition(partition); err != nil {
			return err
		}
	}
	return nil
}

func (c *cleaner) rewritePartition(partition int) error {
	empty := true
	for from, more := uint64(0), true; more; {
		more = false
		bytes, last := 0, uint64(0)
		c.store.Scan(partition, from, func(hash uint64, r *kv.Record) bool {
			if bytes > pageBytes && hash != last {
				from, more = hash, true
				return false
			}
			c.Put(partition, r)
			empty, last = false, hash
			bytes += len(r.Key) + len(r.Value)
			c.counters.Copied.Add(1)
			return true
		})
		if empty {
			c.Drop(partition)
		}
		c.counters.Recopied.Add(int64(bytes))
		if err := c.rest(bytes); err != nil {
			return err
		}
	}
	return nil
}
