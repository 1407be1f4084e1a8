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

// fault is something that may be wrong with any node. It is logged for a node when the reason
// changes. It is logged once a second at most, since a stranger may make up names and reasons.
type fault struct {
	log     *slog.Logger
	level   slog.Level
	message string

	mu   sync.Mutex        // guards all below
	told map[string]uint64 // by node: the hash of the reason that was last logged
	pace *rate.Limiter
	held int // lines since the last, which are only counted
}

func newFault(log *slog.Logger, level slog.Level, message string) *fault {
	return &fault{log: log, level: level, message: message, told: make(map[string]uint64), pace: rate.NewLimiter(rate.Every(time.Second), 1)}
}

// note says why the fault is a node's. What is held back is said when it is noted again.
func (f *fault) note(node, reason string) {
	if held, ok := f.isNews(node, xxh3.HashString(reason)); ok {
		f.log.Log(context.Background(), f.level, f.message, "node", node, "reason", wire.Brief(reason), "more_since_last", held)
	}
}

// isNews says whether to log a reason, and how many lines were held back before.
func (f *fault) isNews(node string, reason uint64) (held int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, known := f.told[node]; known && last == reason {
		return 0, false
	}
	if !f.pace.Allow() {
		f.held++
		return 0, false
	}
	if len(f.told) >= toldMax {
		clear(f.told)
	}
	f.told[node] = reason
	held, f.held = f.held, 0
	return held, true
}

// over says that the node does not have the fault.
func (f *fault) over(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.told, node)
}
