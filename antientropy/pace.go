package antientropy

import (
	"time"

	"golang.org/x/time/rate"

	"httpdhs/kv"
)

// pace bounds what is fetched and handed over.
type pace struct {
	limiter *rate.Limiter
	quit    <-chan struct{}
}

// newPace is the pace of so many bytes a second; 0: there is no bound.
func newPace(bytes int, quit <-chan struct{}) pace {
	if bytes <= 0 {
		return pace{rate.NewLimiter(rate.Inf, 0), quit}
	}
	// What may come at once is what comes in a few milliseconds: requests share the processors with
	// it.
	return pace{rate.NewLimiter(rate.Limit(bytes), max(bytes/200, pullBytes)), quit}
}

// pay waits until so many bytes are within the pace. The error is kv.ErrStopping.
func (p *pace) pay(bytes int) error {
	for burst := p.limiter.Burst(); bytes > 0 && p.limiter.Limit() != rate.Inf; bytes -= burst {
		wait := p.limiter.ReserveN(time.Now(), min(bytes, burst)).Delay()
		select {
		case <-time.After(wait):
		case <-p.quit:
			return kv.ErrStopping
		}
	}
	return nil
}
