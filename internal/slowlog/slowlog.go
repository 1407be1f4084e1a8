// Package slowlog logs operations that took long, a bounded number a second. One Log is that of a
// node: what speaks HTTP and what speaks the protocol of Redis share it, and its bound. Safe for
// concurrent use.
//
// A nil Log is off. Who times an operation asks On first, so that nobody looks at the clock for
// nothing.
package slowlog

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

const (
	// linesPerSecond bounds what is logged over time, and at once. All else is counted, and said
	// with the next line.
	linesPerSecond = 10

	// shownBytesMax is how much of a key, or of the target of a request, is logged.
	shownBytesMax = 200
)

// Log has the operations that took longer than a time.
type Log struct {
	log   *slog.Logger
	least time.Duration
	lines *rate.Limiter
	held  atomic.Int64 // that were slow, and are in no line
}

// New logs what takes least or longer; nil: least is 0, and nothing is logged.
func New(log *slog.Logger, least time.Duration) *Log {
	if least <= 0 {
		return nil
	}
	return &Log{log: log, least: least, lines: rate.NewLimiter(linesPerSecond, linesPerSecond)}
}

// On says whether operations are to be timed.
func (l *Log) On() bool { return l != nil }

// Slow says whether an operation, which has taken so long and ends now, is to be logged.
func (l *Log) Slow(took time.Duration, now time.Time) bool {
	if l == nil || took < l.least {
		return false
	}
	if !l.lines.AllowN(now, 1) {
		l.held.Add(1)
		return false
	}
	return true
}

// Say logs one that Slow has let through.
func (l *Log) Say(msg string, attrs ...slog.Attr) {
	if held := l.held.Swap(0); held > 0 {
		attrs = append(attrs, slog.Int64("more_since_last", held))
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
}

// Short is a key or a target as it is logged: cut where it is long, and in quotes where it is no
// text.
func Short(b []byte) string {
	more := ""
	if len(b) > shownBytesMax {
		b, more = bytes.TrimRightFunc(b[:shownBytesMax], isBroken), "…"
	}
	if !utf8.Valid(b) {
		return strconv.Quote(string(b)) + more
	}
	return string(b) + more
}

// isBroken says whether a rune is one that was cut.
func isBroken(r rune) bool { return r == utf8.RuneError }
