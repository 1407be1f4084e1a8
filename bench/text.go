package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is a line of a table.
type figure struct {
	name   string
	of     func(*Round) float64
	format func(float64) string
	better int // 1: more is, -1: less is
}

// figures are what a run is told by, in the order in which one asks.
var figures = []figure{
	{"operations/s", func(r *Round) float64 { return r.OperationRate }, grouped, 1},
	{"requests/s", func(r *Round) float64 { return r.RequestRate }, grouped, 1},
	{"bytes/s in", func(r *Round) float64 { return r.InRate }, perSecond, 1},
	{"bytes/s out", func(r *Round) float64 { return r.OutRate }, perSecond, 1},
	{"latency mean", func(r *Round) float64 { return r.Latency.Mean }, duration, -1},
	{"latency p50", func(r *Round) float64 { return r.Latency.P50 }, duration, -1},
	{"latency p90", func(r *Round) float64 { return r.Latency.P90 }, duration, -1},
	{"latency p99", func(r *Round) float64 { return r.Latency.P99 }, duration, -1},
	{"latency p99.9", func(r *Round) float64 { return r.Latency.P999 }, duration, -1},
	{"latency max", func(r *Round) float64 { return r.Latency.Max }, duration, -1},
	{"errors", func(r *Round) float64 { return float64(sumOf(r.Errors)) }, grouped, -1},
	{"servers' CPU/operation", func(r *Round) float64 { return r.CPU.ServersPerOp }, cpuTime, -1},
	{"own CPU/operation", func(r *Round) float64 { return r.CPU.SelfPerOp }, cpuTime, -1},
	{"own CPU share", func(r *Round) float64 { return 100 * r.CPU.SelfShare }, percent, -1},
}

// WriteText writes the report as a table.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", r.Settings.describe())
	if p := r.Prefill; p != nil {
		fmt.Fprintf(w, "%s keys were stored before, in %.1f s, not measured\n", grouped(float64(p.Keys)), p.Seconds)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	many := len(r.Rounds) > 1
	if many {
		fmt.Fprintf(t, "median of %d rounds\t\tmin\tmax\n", len(r.Rounds))
	}
	for _, f := range figures {
		s := r.Over(f.of)
		if f.name == "servers' CPU/operation" && s.Max == 0 {
			continue // not on this machine
		}
		if !many {
			fmt.Fprintf(t, "%s\t%s\n", f.name, f.format(s.Median))
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.name, f.format(s.Median), f.format(s.Min), f.format(s.Max))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range r.remarks() {
		fmt.Fprintf(w, "%s\n", line)
	}
	return nil
}

// remarks are what a table cannot say.
func (r *Report) remarks() []string {
	var lines []string
	if errs := r.Errors(); len(errs) > 0 {
		lines = append(lines, "", "errors, not counted above: "+errorText(errs))
	}
	if r.Interrupted {
		lines = append(lines, "", "interrupted: the figures are of what was measured until then")
	}
	if v := r.Verify; v != nil {
		lines = append(lines, "", v.String())
		for _, f := range v.Examples {
			lines = append(lines, fmt.Sprintf("  %s at %s: %s", f.Key, f.Node, f.Fault))
		}
	}
	return lines
}

// String is the outcome of a verification in a sentence or two.
func (v *Verification) String() string {
	verdict := "verified"
	if !v.OK() {
		verdict = "FAULTS"
	}
	text := fmt.Sprintf("%s: %s keys with acknowledged writes, read back from %s: lost %d, stale %d, resurrected %d, corrupt %d",
		verdict, grouped(float64(v.Acknowledged)), plural(len(v.Nodes), "node"), v.Lost, v.Stale, v.Resurrected, v.Corrupt)
	if v.Unread > 0 {
		text += fmt.Sprintf(", %d reads without an answer", v.Unread)
	}
	if v.Unknown > 0 {
		text += fmt.Sprintf("; of %s the outcome of some write is unknown", plural(int(v.Unknown), "key"))
	}
	if len(v.Unreachable) > 0 {
		text += "; not reachable, so not read: " + strings.Join(v.Unreachable, ", ")
	}
	return text
}

// describe says in a line what was run.
func (s *Settings) describe() string {
	parts := []string{"workload " + string(s.Workload)}
	if s.Workload == Mixed || s.Workload == Batch {
		parts[0] += fmt.Sprintf(" (%g %% reads)", 100*s.ReadRatio)
	}
	if s.Protocol == RESP {
		parts[0] += " over RESP"
	}
	if s.Batch > 0 {
		parts = append(parts, fmt.Sprintf("%d operations a request (%s)", s.Batch, s.Format))
	}
	parts = append(parts,
		fmt.Sprintf("%s keys of %d bytes, %s", grouped(float64(s.Keys)), s.KeySize, s.Dist))
	if s.Workload != Incr {
		parts = append(parts, fmt.Sprintf("values of %d bytes", s.ValueSize))
	}
	parts = append(parts, plural(s.Conns, "connection"))
	if s.Pipeline > 1 {
		parts = append(parts, fmt.Sprintf("%d outstanding on each", s.Pipeline))
	}
	if s.Route == RouteOwner {
		parts = append(parts, "to owners")
	}
	if s.Rate > 0 {
		parts = append(parts, "open loop at "+grouped(s.Rate)+" requests/s")
	} else {
		parts = append(parts, "closed loop")
	}
	length := fmt.Sprintf("%g s", s.Seconds)
	if s.Requests > 0 {
		length = grouped(float64(s.Requests)) + " requests"
	}
	return strings.Join(append(parts, fmt.Sprintf("%s after %g s of warm-up", length, s.Warmup)), ", ")
}

func sumOf(errs map[string]int64) (n int64) {
	for _, v := range errs {
		n += v
	}
	return n
}

// kindsOf are the kinds of errors, the most frequent first.
func kindsOf(errs map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(errs), func(a, b string) int {
		return cmp.Or(cmp.Compare(errs[b], errs[a]), cmp.Compare(a, b))
	})
}

// errorText lists errors.
func errorText(errs map[string]int64) string {
	kinds := kindsOf(errs)
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%s %s", grouped(float64(errs[kind])), kind)
	}
	return strings.Join(kinds, ", ")
}

// grouped writes a number with its thousands apart.
func grouped(v float64) string {
	if v < 100 && v != float64(int64(v)) {
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// duration writes microseconds.
func duration(us float64) string {
	switch {
	case us < 1e3:
		return fmt.Sprintf("%.0f µs", us)
	case us < 1e4:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us < 1e6:
		return fmt.Sprintf("%.1f ms", us/1e3)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}

func cpuTime(us float64) string { return fmt.Sprintf("%.2f µs", us) }
func percent(v float64) string  { return fmt.Sprintf("%.0f %%", v) }

// perSecond writes a number of bytes a second.
func perSecond(v float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if v < 1000 || unit == "GB" {
			return fmt.Sprintf("%.1f %s/s", v, unit)
		}
		v /= 1000
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(float64(n)) + " " + what + "s"
}

// String is a line for those who watch.
func (p *Progress) String() string {
	text := fmt.Sprintf("%-12s %s", p.Phase, p.Elapsed.Round(100*time.Millisecond))
	if p.Total > 0 {
		text += fmt.Sprintf(" of %s", p.Total)
	}
	text += fmt.Sprintf("  %s/s", grouped(p.Rate))
	if p.P99 > 0 {
		text += "  p99 " + duration(micros(int64(p.P99)))
	}
	return text + fmt.Sprintf("  %s errors", grouped(float64(p.Errors)))
}
