package rig

import (
	"slices"
	"strings"
	"testing"
)

// A goal is judged by the ratio of the same rounds or, where the row says so,
// by the figure itself; a row without its peer has no verdict on a ratio, and
// what was not measured is said to be so.
func TestRowsAreJudged(t *testing.T) {
	s := Samples{}
	s.Add(map[string]float64{"ours": 30, "theirs": 20})
	s.Add(map[string]float64{"ours": 60, "theirs": 20})
	s.Add(map[string]float64{"ours": 10, "theirs": 20})
	s["once"], s["none"] = []float64{5}, []float64{0}
	for name, c := range map[string]struct {
		row  Row
		want line
	}{
		"least":      {Row{Figure: "ours", Beside: "theirs", Goal: 1.5}, line{"30.0", "20.0", "1.50", "0.50-3.00", "1.50", "reached"}},
		"missed":     {Row{Figure: "ours", Beside: "theirs", Goal: 1.6}, line{"30.0", "20.0", "1.50", "0.50-3.00", "1.60", "missed"}},
		"most":       {Row{Figure: "ours", Beside: "theirs", Goal: 1.4, Most: true}, line{"30.0", "20.0", "1.50", "0.50-3.00", "1.40", "missed"}},
		"itself":     {Row{Figure: "ours", Beside: "theirs", Goal: 20, Most: true, Itself: true}, line{"30.0", "20.0", "1.50", "0.50-3.00", "20.00", "missed"}},
		"peer left":  {Row{Figure: "ours", Beside: "nobody", Goal: 1}, line{measured: "30.0"}},
		"alone":      {Row{Figure: "ours", Goal: 29, Most: true, Itself: true}, line{measured: "30.0", goal: "29.00", verdict: "missed"}},
		"to none":    {Row{Figure: "none", Beside: "none", Goal: 1}, line{measured: "0.00", beside: "0.00"}},
		"one round":  {Row{Figure: "once", Beside: "once"}, line{measured: "5.00", beside: "5.00", ratio: "1.00"}},
		"no goal":    {Row{Figure: "ours", Beside: "theirs"}, line{measured: "30.0", beside: "20.0", ratio: "1.50", spread: "0.50-3.00"}},
		"unmeasured": {Row{Figure: "nothing", Beside: "theirs", Goal: 1}, line{measured: "not measured"}},
	} {
		if got := c.row.line(s); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	if s.Rounds() != 3 {
		t.Errorf("%d rounds", s.Rounds())
	}
}

// The page and the terminal have the same rows.
func TestTables(t *testing.T) {
	rows := []Row{{Number: "7", What: "bytes", Figure: "a", Beside: "b", Goal: 2, Most: true}, {What: "other", Figure: "c"}}
	s := Samples{"a": {3, 3, 3}, "b": {2, 2.5, 2}}
	want := "| bytes | 3.00 | 2.00 | 1.50 | 1.20–1.50 | ratio ≤ 2.00 | reached |\n| other | not measured |  |  |  |  |  |\n"
	if got := Markdown("redis", rows, s); !strings.HasSuffix(got, want) || !strings.Contains(got, "| redis |") {
		t.Errorf("got %q, want %q", got, want)
	}
	var b strings.Builder
	if err := WriteText(&b, rows, s); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"7", "bytes", "1.50", "(1.20-1.50)", "reached", "not measured"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("the text lacks %q:\n%s", part, b.String())
		}
	}
}

// A row's value before is that of the older binary, beside what both are compared with. The limit
// is compared with what the row is, unless it says otherwise.
func TestRowsHaveSeries(t *testing.T) {
	s := Samples{"a": {4, 6}, "b": {2, 2}, "before a": {2, 4}, "c": {1, 1}, "limit": {8, 8}}
	row := Row{Figure: "a", Beside: "b", Limit: "limit"}
	if got := row.series(s, "before "); !slices.Equal(got, []float64{1, 2}) {
		t.Errorf("before it was %v", got)
	}
	if got := row.limit(s); got != "4.00" {
		t.Errorf("the limit is %q", got)
	}
	row.LimitBeside = "c"
	if got := row.limit(s); got != "8.00" {
		t.Errorf("beside another the limit is %q", got)
	}
	if got := (&Row{Figure: "a", Beside: "b"}).limit(s); got != "" {
		t.Errorf("a row without a limit has %q", got)
	}
	var b strings.Builder
	if err := WriteComparison(&b, []Row{row, {What: "new", Figure: "c"}}, s, "before "); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "1.75   (1.50-2.00)") || strings.Contains(got, "new") {
		t.Errorf("got %q", got)
	}
}
