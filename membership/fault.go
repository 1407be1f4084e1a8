package membership

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/time/rate"

	"httpdhs/wire"
)

// toldMax bounds how many nodes have a known fault: names may be made up.
const toldMax = 2 * wire.MaxMembers

// startPatience is how long what is normal while a node starts is no error. Its name may be known
// late: a resolver remembers for up to 30 s that a name did not exist.
const startPatience = 30 * time.Second

// fault is something that may be wrong with any node. It is logged for a node when the reason
// changes. It is logged once a second at most, since a stranger may make up names and reasons.
//
// One that may be over by itself is a warning first. It is logged once more, at its level, when a
// node has had it for its patience. It is another one when it was not noted for as long.
type fault struct {
	log      *slog.Logger
	level    slog.Level
	message  string
	patience time.Duration // 0: none, it is not over by itself

	mu   sync.Mutex      // guards all below
	told map[string]tale // by node
	pace *rate.Limiter
	held int // lines since the last, which are only counted
}

// tale is what was logged of a node's fault.
type tale struct {
	since, last time.Time // when it was logged first, and noted last
	level       slog.Level
	reason      uint64 // a hash of what was logged last
}

func newFault(log *slog.Logger, level slog.Level, message string) *fault {
	return &fault{log: log, level: level, message: message, told: make(map[string]tale), pace: rate.NewLimiter(rate.Every(time.Second), 1)}
}

// newPassing is a fault that may be over by itself, and is an error if it is not.
func newPassing(log *slog.Logger, message string) *fault {
	f := newFault(log, slog.LevelError, message)
	f.patience = startPatience
	return f
}

// note says why the fault is a node's. What is held back is said when it is noted again.
func (f *fault) note(node, reason string) {
	if level, held, ok := f.isNews(node, xxh3.HashString(reason), time.Now()); ok {
		f.log.Log(context.Background(), level, f.message, "node", node, "reason", wire.Brief(reason), "more_since_last", held)
	}
}

// isNews says whether to log a reason, at which level, and how many lines were held back before.
func (f *fault) isNews(node string, reason uint64, now time.Time) (level slog.Level, held int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	is, known := f.told[node]
	if !known || f.patience > 0 && now.Sub(is.last) > f.patience {
		is, known = tale{since: now}, false
	}
	is.last, level = now, f.level
	if now.Sub(is.since) < f.patience {
		level = min(level, slog.LevelWarn)
	}
	if known && is.reason == reason && is.level == level {
		f.told[node] = is
		return 0, 0, false
	}
	if !f.pace.AllowN(now, 1) {
		f.held++
		return 0, 0, false
	}
	if len(f.told) >= toldMax {
		clear(f.told)
	}
	is.reason, is.level = reason, level
	f.told[node] = is
	held, f.held = f.held, 0
	return level, held, true
}

// over says that the node does not have the fault.
func (f *fault) over(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.told, node)
}
