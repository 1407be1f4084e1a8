package main

import (
	"slices"
	"strings"
	"testing"

	"httpdhs/workshop/rig"
)

// A run of wrk counts by its rate, and only if nothing went wrong in it.
func TestWrkRate(t *testing.T) {
	const good = "Running 1s test @ http://127.0.0.1:1\n  1 threads and 64 connections\n" +
		"  94630 requests in 1.10s, 11.10MB read\nRequests/sec:  86046.77\nTransfer/sec:     10.09MB\n"
	if got, err := wrkRate(good); got != 86046.77 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for name, out := range map[string]string{
		"statuses": "  Non-2xx or 3xx responses: 1\n" + good,
		"sockets":  "  Socket errors: connect 0, read 0, write 0, timeout 3\n" + good,
		"nothing":  "unable to connect to 127.0.0.1:1 Connection refused\n",
	} {
		if got, err := wrkRate(out); err == nil {
			t.Errorf("%s: a rate of %v", name, got)
		}
	}
}

// What a row shows is measured by a subject, and where a binary of before is asked for, of both.
func TestRowsAreMeasured(t *testing.T) {
	suffixes := []string{"", " p50 µs", " p99/p50", " none", cpu}
	for _, r := range rows {
		for _, name := range []string{r.Figure, r.Beside, r.Limit, r.LimitBeside} {
			measured := func(s subject) bool {
				suffix, ok := strings.CutPrefix(name, s.figure)
				return ok && slices.Contains(suffixes, suffix) && (name != r.Figure || s.ours)
			}
			if name != "" && !slices.ContainsFunc(subjects, measured) {
				t.Errorf("row %s, %s: nothing measures %q", r.Number, r.What, name)
			}
		}
	}
}

// A row that is asked for has its subjects, and clusters of other sizes are measured only then.
func TestSubjectsAreAskedFor(t *testing.T) {
	for only, want := range map[string]int{"": len(subjects) - 13, "nodes": 7, "disk": 7, "12": 3, "1,12": 7, "resp": 13, "13": 0} {
		n := 0
		for _, s := range subjects {
			if s.wanted(only) {
				n++
			}
		}
		if n != want {
			t.Errorf("%q: %d subjects, want %d", only, n, want)
		}
	}
}

// The tables have the limit, the costs of an operation and, where it was measured, what was before.
func TestTables(t *testing.T) {
	s := rig.Samples{"put any": {50}, "put E": {100}, "limit put": {60}, "put any" + cpu: {40}, "put any" + faults: {0.5}}
	text := func() string {
		var b strings.Builder
		if err := printTables(&b, s); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	got := text()
	for _, want := range []string{"0.50", "missed   0.60", "no perf", "40"} {
		if !strings.Contains(got, want) {
			t.Errorf("the tables lack %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "now/before") || strings.Contains(got, "not measured") {
		t.Errorf("the tables have what was not asked for:\n%s", got)
	}
	s[before+"put any"] = []float64{40}
	if got := text(); !strings.Contains(got, "0.40  0.50        1.25") {
		t.Errorf("the tables lack the gain:\n%s", got)
	}
}
