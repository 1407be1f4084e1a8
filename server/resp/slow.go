package resp

import (
	"log/slog"
	"time"

	"httpdhs/internal/slowlog"
	"httpdhs/kv"
)

// tellSlow logs a call that ends now, if it took long. It may be of many commands, which came
// together: the first key stands for all.
func (s *session) tellSlow(call *kv.Call, now time.Time, took time.Duration) {
	if len(call.Ops) == 0 || !s.srv.opts.SlowLog.Slow(took, now) {
		return
	}
	gets, failed := 0, 0
	for i := range call.Ops {
		if call.Ops[i].Kind == kv.OpGet {
			gets++
		}
		if call.Ops[i].Err != nil && call.Ops[i].Err != kv.ErrNotFound {
			failed++
		}
	}
	s.srv.opts.SlowLog.Say("slow call of the Redis protocol",
		slog.String("remote", s.conn.RemoteAddr().String()), slog.String("key", slowlog.Short(call.Ops[0].Key)),
		slog.Int("operations", len(call.Ops)), slog.Int("gets", gets), slog.Int("failed", failed), slog.Duration("took", took))
}
