package shard

import (
	"runtime"
	"sync/atomic"
	"time"
)

// DefaultCompactShare is the share of all processors that compaction may take
// when Options does not say.
const DefaultCompactShare = 0.5

// paceBurst is how much compaction may be ahead of its share, in processor
// time.
const paceBurst = 20 * time.Millisecond

// pace holds compaction to a share of the processors, over all shards: a
// leaky bucket (GCRA) of the time that steps took. What is put off is done
// with later changes or by the sweeper, and dead bytes grow meanwhile.
type pace struct {
	cores float64      // share · processors
	until atomic.Int64 // when the bucket is empty, nanoseconds since began
	began time.Time
}

func newPace(share float64) *pace {
	return &pace{cores: share * float64(runtime.GOMAXPROCS(0)), began: time.Now()}
}

func (p *pace) now() int64 { return int64(time.Since(p.began)) }

// delay is how long to wait for the next step, and the time now.
func (p *pace) delay() (wait time.Duration, now int64) {
	now = p.now()
	burst := int64(float64(paceBurst) / p.cores)
	return time.Duration(max(p.until.Load()-burst-now, 0)), now
}

// spend accounts for a step that began then.
func (p *pace) spend(began int64) {
	now := p.now()
	took := int64(float64(now-began) / p.cores)
	for {
		until := p.until.Load()
		if p.until.CompareAndSwap(until, max(until, began)+took) {
			return
		}
	}
}
