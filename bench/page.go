package bench

import (
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = htmltemplate.Must(htmltemplate.New("page").Parse(pageText))

// page is a report as one looks at it: self-contained, no script.
type page struct {
	Title   string
	Summary string
	Good    bool // Verdict is good news
	Verdict string
	Cards   []card
	Plots   []plot
	Tables  []table
}

type card struct{ Name, Value, Note string }

type plot struct {
	Title, Note string
	Chart       htmltemplate.HTML
}

type table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// WriteHTML writes the report as a page.
func (r *Report) WriteHTML(w io.Writer) error {
	m := r.Median()
	p := page{
		Title: "bench " + string(r.Settings.Workload), Summary: r.Settings.describe(),
		Cards: cardsOf(m, len(r.Rounds)),
		Plots: []plot{distributionPlot(m), ratePlot(m), latencyPlot(m)},
	}
	if v := r.Verify; v != nil {
		p.Verdict, p.Good = v.String(), v.OK()
	}
	if len(r.Rounds) > 1 {
		p.Tables = append(p.Tables, roundsTable(r))
	}
	if errs := r.Errors(); len(errs) > 0 {
		p.Tables = append(p.Tables, errorsTable(errs))
	}
	if r.Verify != nil && len(r.Verify.Examples) > 0 {
		t := table{Title: "Faults", Head: []string{"key", "node", "fault"}}
		for _, f := range r.Verify.Examples {
			t.Rows = append(t.Rows, []string{f.Key, f.Node, string(f.Fault)})
		}
		p.Tables = append(p.Tables, t)
	}
	p.Tables = append(p.Tables, settingsTable(&r.Settings), machineTable(&r.Machine, r.Servers, r.Started))
	return pageTemplate.Execute(w, &p)
}

// WriteHTML writes the sweep as a page.
func (s *Sweep) WriteHTML(w io.Writer) error {
	p := page{
		Title: "bench sweep " + string(s.Settings.Workload), Summary: s.Settings.describe() +
			"; then open loops at 10 % to 100 % of the highest rate",
		Cards: cardsOf(&s.Highest, 1),
		Plots: []plot{sweepPlot(s)},
	}
	t := table{Title: "Steps", Head: []string{"part", "due/s", "done/s", "p50", "p90", "p99", "p99.9", "max", "errors"}}
	for _, step := range s.Steps {
		l := &step.Latency
		t.Rows = append(t.Rows, []string{percent(100 * step.Share), grouped(step.Rate), grouped(step.RequestRate),
			duration(l.P50), duration(l.P90), duration(l.P99), duration(l.P999), duration(l.Max), grouped(float64(sumOf(step.Errors)))})
	}
	p.Tables = []table{t, settingsTable(&s.Settings), machineTable(&s.Machine, s.Servers, s.Started)}
	return pageTemplate.Execute(w, &p)
}

func cardsOf(m *Round, rounds int) []card {
	note := ""
	if rounds > 1 {
		note = fmt.Sprintf("the median of %d rounds", rounds)
	}
	cards := []card{{"operations/s", grouped(m.OperationRate), note}}
	if m.Requests != m.Operations {
		cards = append(cards, card{"requests/s", grouped(m.RequestRate), ""})
	}
	cards = append(cards,
		card{"p50", duration(m.Latency.P50), ""},
		card{"p99", duration(m.Latency.P99), ""},
		card{"p99.9", duration(m.Latency.P999), ""},
		card{"max", duration(m.Latency.Max), ""},
		card{"errors", grouped(float64(sumOf(m.Errors))), ""})
	if m.CPU.ServersPerOp > 0 {
		cards = append(cards, card{"servers’ CPU", cpuTime(m.CPU.ServersPerOp), "an operation"})
	}
	return append(cards, card{"own CPU", cpuTime(m.CPU.SelfPerOp), fmt.Sprintf("an operation; %s of a core", percent(100*m.CPU.SelfShare))})
}

// distributionPlot shows how many requests took how long. Its horizontal axis is the share of
// slower requests. Each tick is a tenth of the one before it, so the tail has as much room as the
// rest (as HdrHistogram plots it).
func distributionPlot(m *Round) plot {
	c := chart{title: "latency by percentile", x: axis{label: "percentile of requests", log: true, lo: 1, hi: 10}}
	l := line{name: "latency", class: "c1"}
	lo, hi := math.Inf(1), 0.0
	last := 0.0
	for _, q := range m.Distribution {
		x := 2 * last // q is 1: half of what is above the one before
		if q.Quantile < 1 {
			x = 1 / (1 - q.Quantile)
		}
		last = x
		note := fmt.Sprintf("%s %%: %s", strings.TrimSuffix(trimmed(100*q.Quantile), "."), duration(q.Micros))
		l.points = append(l.points, xy{x, max(q.Micros, 1), note})
		lo, hi = min(lo, max(q.Micros, 1)), max(hi, q.Micros)
		c.x.hi = max(c.x.hi, x)
	}
	names := []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999", "99.99999"}
	for i, name := range names {
		if at := math.Pow(10, float64(i)); at <= c.x.hi*1.001 {
			c.x.ticks = append(c.x.ticks, tickMark{at, name})
		}
	}
	c.y = logarithmic("latency (log)", lo, hi, shortDuration)
	c.lines = []line{l}
	if len(l.points) == 0 {
		c.lines = nil
	}
	return plot{"Latency distribution", "How long a request took, by percentile: 99 is what one in a hundred exceeded.", c.draw()}
}

func trimmed(v float64) string {
	text := fmt.Sprintf("%.5f", v)
	return strings.TrimRight(text, "0")
}

func ratePlot(m *Round) plot {
	l := line{name: "operations/s", class: "c1"}
	most, end := 0.0, 0.0
	for _, p := range m.Series {
		l.points = append(l.points, xy{p.Second, p.Rate, fmt.Sprintf("%g s: %s operations/s", p.Second, grouped(p.Rate))})
		most, end = max(most, p.Rate), max(end, p.Second)
	}
	c := chart{
		title: "throughput over time", x: linear("time, s", end, plain), y: linear("operations/s", most, short), lines: []line{l},
	}
	return plot{"Throughput over time", "Operations that succeeded, from the end of the warm-up.", c.draw()}
}

func latencyPlot(m *Round) plot {
	p50, p99 := line{name: "p50", class: "c1"}, line{name: "p99", class: "c2"}
	lo, hi, end := math.Inf(1), 0.0, 0.0
	for _, p := range m.Series {
		if end = max(end, p.Second); p.P99 <= 0 {
			continue
		}
		at := fmt.Sprintf("%g s", p.Second)
		p50.points = append(p50.points, xy{p.Second, max(p.P50, 1), at + ": p50 " + duration(p.P50)})
		p99.points = append(p99.points, xy{p.Second, max(p.P99, 1), at + ": p99 " + duration(p.P99)})
		lo, hi = min(lo, max(p.P50, 1)), max(hi, p.P99)
	}
	c := chart{
		title: "latency over time", x: linear("time, s", end, plain), y: logarithmic("latency (log)", lo, hi, shortDuration),
		lines: []line{p50, p99},
	}
	return plot{"Latency over time", "A pause of a server shows here as a peak.", c.draw()}
}

func sweepPlot(s *Sweep) plot {
	lines := []line{{name: "p50", class: "c1", dots: true}, {name: "p99", class: "c2", dots: true}, {name: "p99.9", class: "c3", dots: true}}
	lo, hi, most := math.Inf(1), 0.0, 0.0
	for _, step := range s.Steps {
		for i, v := range []float64{step.Latency.P50, step.Latency.P99, step.Latency.P999} {
			v = max(v, 1)
			note := fmt.Sprintf("%s requests/s (%s due): %s %s", grouped(step.RequestRate), grouped(step.Rate), lines[i].name, duration(v))
			lines[i].points = append(lines[i].points, xy{step.RequestRate, v, note})
			lo, hi = min(lo, v), max(hi, v)
		}
		most = max(most, step.RequestRate)
	}
	c := chart{
		title: "latency against throughput", x: linear("throughput, requests/s", most, short),
		y: logarithmic("latency (log)", lo, hi, shortDuration), lines: lines,
	}
	return plot{"Latency against throughput", "Each point is an open loop at a fixed rate; where the curve turns up, requests wait for each other.", c.draw()}
}

func roundsTable(r *Report) table {
	t := table{Title: "Rounds", Head: []string{"figure", "median", "min", "max"}}
	for _, f := range figures {
		if s := r.Over(f.of); s.Max > 0 {
			t.Rows = append(t.Rows, []string{f.name, f.format(s.Median), f.format(s.Min), f.format(s.Max)})
		}
	}
	return t
}

func errorsTable(errs map[string]int64) table {
	t := table{Title: "Errors", Head: []string{"kind", "operations"}}
	for _, kind := range kindsOf(errs) {
		t.Rows = append(t.Rows, []string{kind, grouped(float64(errs[kind]))})
	}
	return t
}

func settingsTable(s *Settings) table {
	t := table{Title: "Settings"}
	for _, f := range fieldsOf(s) {
		if f.value == "" || f.value == "0" {
			continue // not of this workload, or none
		}
		t.Rows = append(t.Rows, []string{strings.ReplaceAll(f.name, "_", " "), f.value})
	}
	return t
}

func machineTable(m *Machine, servers []ServerInfo, at time.Time) table {
	t := table{Title: "Machine", Rows: [][]string{
		{"started", at.Format(time.RFC3339)}, {"system", m.OS + " " + m.Kernel + " " + m.Arch},
		{"processor", fmt.Sprintf("%s, %s", m.CPU, plural(m.Cores, "core"))}, {"tool", m.Tool + ", " + m.Go},
	}}
	for _, s := range servers {
		version := s.Version
		if version == "" {
			version = "version not known"
		}
		t.Rows = append(t.Rows, []string{s.Address, version})
	}
	return t
}

func plain(v float64) string { return fmt.Sprintf("%g", v) }

// short writes a number for an axis.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}

// shortDuration writes microseconds for an axis.
func shortDuration(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%g ms", us/1e3)
	}
	return fmt.Sprintf("%g µs", us)
}
