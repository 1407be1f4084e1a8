package simnet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// logLines bounds the events that are kept to be printed.
const logLines = 4000

// eventLog has what happened, apart from what clients did.
type eventLog struct {
	start   time.Time
	verbose bool // messages too

	mu    sync.Mutex // guards lines
	lines []line
}

type line struct {
	at   time.Duration
	text string
}

func (l *eventLog) now() time.Duration { return time.Since(l.start) }

func (l *eventLog) add(format string, args ...any) {
	at := l.now()
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == logLines && !l.verbose {
		l.lines = append(l.lines[:0], l.lines[logLines/2:]...)
	}
	l.lines = append(l.lines, line{at, text})
}

// all is what was added so far.
func (l *eventLog) all() []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// nodeLog is the log of a node, as part of the event log.
type nodeLog struct {
	log   *eventLog
	node  string
	attrs string
	slow  func() // nil: nothing of what follows. Lines of debugging take so long, and are not kept
}

func (h *nodeLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.slow != nil
}

func (h *nodeLog) WithGroup(string) slog.Handler { return h }

func (h *nodeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.attrs += " " + a.String()
	}
	return &with
}

func (h *nodeLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		h.slow()
		return nil
	}
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteByte(' ')
		b.WriteString(a.String())
		return true
	})
	h.log.add("%s: %s", h.node, b.String())
	return nil
}

// Print writes the history in the order of time: the last events of it, at most so many; 0 is all.
func (h *History) Print(w io.Writer, most int) {
	lines := make([]line, 0, len(h.log)+2*len(h.Ops))
	lines = append(lines, h.log...)
	for i := range h.Ops {
		o := &h.Ops[i]
		lines = append(lines, line{o.Begin, o.begun()})
		if o.End != Never {
			lines = append(lines, line{o.End, o.ended()})
		}
	}
	for i := range h.Events {
		e := &h.Events[i]
		lines = append(lines, line{e.At, e.String()})
	}
	sortLines(lines)
	if most > 0 && len(lines) > most {
		fmt.Fprintf(w, "(%d events before these)\n", len(lines)-most)
		lines = lines[len(lines)-most:]
	}
	for _, l := range lines {
		fmt.Fprintf(w, "%12.6f %s\n", l.at.Seconds(), l.text)
	}
}
