package rig

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Samples are what was measured, by name: a figure for each round.
type Samples map[string][]float64

// Add adds the figures of a round.
func (s Samples) Add(figures map[string]float64) {
	for name, v := range figures {
		s[name] = append(s[name], v)
	}
}

// Rounds is how many figures the longest series has.
func (s Samples) Rounds() (n int) {
	for _, series := range s {
		n = max(n, len(series))
	}
	return n
}

// Row is a line of a table: a figure, beside another, and the goal for it.
type Row struct {
	Number, What string
	Figure       string
	Beside       string  // of the same rounds; empty: nothing
	Goal         float64 // 0: none
	Most         bool    // the goal is a most, not a least
	Itself       bool    // the goal is for the figure, not for its ratio to what is beside it

	Limit       string // what the machine allows of the figure; empty: not known
	LimitBeside string // empty: as Beside
}

// series are the row's values by round: ratios, or the figures where nothing is beside them. The
// figures of an older binary have a prefix to their names, where they are measured.
func (r *Row) series(s Samples, prefix string) []float64 {
	if r.Beside == "" || r.Itself {
		return s[prefix+r.Figure]
	}
	b := s[prefix+r.Beside]
	if len(b) == 0 {
		b = s[r.Beside]
	}
	return ratios(s[prefix+r.Figure], b)
}

// limit is the value of the row that the machine allows; empty: not known.
func (r *Row) limit(s Samples) string {
	of := Row{Figure: r.Limit, Beside: cmp.Or(r.LimitBeside, r.Beside), Itself: r.Itself}
	if v := of.series(s, ""); len(v) > 0 {
		return fmt.Sprintf("%.2f", Median(v))
	}
	return ""
}

// line is a row in words; what was not measured is empty, and so are a ratio to
// nothing and the spread of a single round.
type line struct{ measured, beside, ratio, spread, goal, verdict string }

func (r *Row) line(s Samples) (l line) {
	a, b := s[r.Figure], s[r.Beside]
	if len(a) == 0 {
		l.measured = "not measured"
		return l
	}
	judged, judge := Median(a), r.Itself
	l.measured = Short(judged)
	if len(b) > 0 {
		l.beside = Short(Median(b))
	}
	if len(b) > 0 && !slices.Contains(b, 0) {
		ratio := RatioOf(a, b)
		l.ratio = fmt.Sprintf("%.2f", ratio.Median)
		if min(len(a), len(b)) > 1 {
			l.spread = fmt.Sprintf("%.2f-%.2f", ratio.Least, ratio.Most)
		}
		if !r.Itself {
			judged, judge = ratio.Median, true
		}
	}
	if r.Goal != 0 && judge {
		l.goal, l.verdict = fmt.Sprintf("%.2f", r.Goal), "missed"
		if judged >= r.Goal != r.Most || judged == r.Goal {
			l.verdict = "reached"
		}
	}
	return l
}

// WriteText writes a table for a terminal. A goal is for the ratio or, where
// the row says so, for the figure.
func WriteText(w io.Writer, rows []Row, s Samples) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	title := ""
	if slices.ContainsFunc(rows, func(r Row) bool { return r.Limit != "" }) {
		title = "limit"
	}
	fmt.Fprintf(t, "row\twhat\tmeasured\tbeside\tratio\t(least-most)\tgoal\t\t%s\t\n", title)
	for _, r := range rows {
		l := r.line(s)
		if l.spread != "" {
			l.spread = "(" + l.spread + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Number, r.What, l.measured, l.beside, l.ratio, l.spread, l.goal, l.verdict, r.limit(s))
	}
	return t.Flush()
}

// WriteComparison writes the values of the rows before and now, those measured both times. The
// figures of before have a prefix to their names.
func WriteComparison(w io.Writer, rows []Row, s Samples, prefix string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\twhat\tbefore\tnow\tnow/before\t(least-most)\t")
	for _, r := range rows {
		then, now := r.series(s, prefix), r.series(s, "")
		if len(then) == 0 || len(now) == 0 {
			continue
		}
		gain := RatioOf(now, then)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.2f\t(%.2f-%.2f)\t\n", r.Number, r.What, Short(Median(then)), Short(Median(now)), gain.Median, gain.Least, gain.Most)
	}
	return t.Flush()
}

// Markdown is the same table for a page, without the rows' numbers. beside
// names what the figures are compared with.
func Markdown(beside string, rows []Row, s Samples) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | httpdhs | %s | ratio | least–most | goal | |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |\n", beside)
	for _, r := range rows {
		l := r.line(s)
		if l.goal != "" {
			l.goal = map[bool]string{true: "≤ ", false: "≥ "}[r.Most] + l.goal
			if !r.Itself {
				l.goal = "ratio " + l.goal
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.What, l.measured, l.beside, l.ratio,
			strings.ReplaceAll(l.spread, "-", "–"), l.goal, l.verdict)
	}
	return b.String()
}
