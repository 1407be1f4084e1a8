package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// sampleReport is a run made up, with something of everything.
func sampleReport() *Report {
	round := func(rate float64) Round {
		return Round{
			Seconds: 2, Requests: int64(rate * 2), Operations: int64(rate * 2), RequestRate: rate, OperationRate: rate,
			InRate: rate * 200, OutRate: rate * 80, Errors: map[string]int64{"status 503": 3, kindTimeout: 1},
			Latency:      Latency{Mean: 120, P50: 100, P90: 200, P99: 900, P999: 1500, Max: 2500},
			CPU:          CPU{SelfShare: 0.3, SelfPerOp: 7, ServersShare: 1.1, ServersPerOp: 20, Servers: []Process{{PID: 42, Name: "httpdhs"}}},
			Distribution: []Quantile{{0, 40}, {0.5, 100}, {0.75, 150}, {0.99, 900}, {1, 2500}},
			Series:       []Point{{1, rate, 90, 800, 2000, 2}, {2, rate, 110, 950, 2500, 2}},
		}
	}
	c := DefaultConfig()
	c.Duration, c.Rounds, c.Verify = 2*time.Second, 3, true
	return &Report{
		Kind: "run", Started: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Settings: settingsOf(&c),
		Machine: Machine{OS: "linux", Arch: "amd64", CPU: "<a processor>", Cores: 2, Kernel: "6.1", Go: "go1.26", Tool: "httpdhs v1"},
		Servers: []ServerInfo{{Address: "localhost:1234", Version: "v1"}}, Prefill: &Prefill{Keys: 100_000, Seconds: 1.5},
		Rounds: []Round{round(1000), round(1300), round(1100)},
		Verify: &Verification{Acknowledged: 9, Reads: 27, Nodes: []string{"localhost:1234"}, Lost: 1,
			Examples: []FaultAt{{Key: "<k>", Node: "localhost:1234", Fault: Lost}}},
	}
}

// The file of --json is an interface: a change of it is made on purpose.
func TestJSONIsAsItWas(t *testing.T) {
	got, err := json.MarshalIndent(sampleReport(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const name = "testdata/report.json"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the JSON is not that of %s (go test -update writes it):\n%s", name, got)
	}
	back, err := ReadReport(bytes.NewReader(want))
	if err != nil || back.Rounds[1].OperationRate != 1300 || back.Settings != sampleReport().Settings {
		t.Errorf("it does not read back: %v", err)
	}
}

// A page needs nothing from anywhere, and shows no text as markup.
func TestPagesAreSelfContained(t *testing.T) {
	r := sampleReport()
	sweep := &Sweep{Kind: "sweep", Settings: r.Settings, Machine: r.Machine, Servers: r.Servers, Highest: r.Rounds[0]}
	for i := range 10 {
		sweep.Steps = append(sweep.Steps, Step{Share: float64(i+1) / 10, Rate: 100, Round: r.Rounds[0]})
	}
	var run, swept, empty bytes.Buffer
	if err := r.WriteHTML(&run); err != nil {
		t.Fatal(err)
	}
	if err := sweep.WriteHTML(&swept); err != nil {
		t.Fatal(err)
	}
	if err := (&Report{}).WriteHTML(&empty); err != nil {
		t.Fatal(err)
	}
	outside := regexp.MustCompile(`(?i)https?:|src=|href=|url\(|@import|<script|<link|//[a-z]`)
	for name, page := range map[string]string{"run": run.String(), "sweep": swept.String(), "empty": empty.String()} {
		if found := outside.FindString(page); found != "" {
			t.Errorf("%s: the page has %q", name, found)
		}
		if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") || strings.Contains(page, "<a processor>") {
			t.Errorf("%s: the page has a number that is none, or text as markup", name)
		}
	}
	for _, want := range []string{"Latency distribution", "Throughput over time", "FAULTS", "&lt;k&gt;", "go1.26", "operations/s", "time, s"} {
		if !strings.Contains(run.String(), want) {
			t.Errorf("the page of a run lacks %q", want)
		}
	}
	if !strings.Contains(swept.String(), "throughput, requests/s") {
		t.Error("the page of a sweep has no curve")
	}
}

// The table has medians, spread, latencies, errors and what was not found again.
func TestTextSaysWhatMatters(t *testing.T) {
	var out bytes.Buffer
	if err := sampleReport().WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"median of 3 rounds", "1,100", "1,000", "1,300", "p99.9", "20.00 µs", "30 %",
		"9 status 503, 3 timeout", "FAULTS", "lost 1", "100,000 keys were stored before"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

// A spread is the median, the least and the most, of any number of rounds.
func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}}, {[]float64{3}, Spread{3, 3, 3}}, {[]float64{5, 1, 2}, Spread{2, 1, 5}}, {[]float64{4, 1, 2, 9}, Spread{3, 1, 9}},
	} {
		if got := spreadOf(test.values); got != test.want {
			t.Errorf("%v: %v, want %v", test.values, got, test.want)
		}
	}
	if m := sampleReport().Median(); m.OperationRate != 1100 {
		t.Errorf("the median round is that of %g/s", m.OperationRate)
	}
}

// A difference is called one only where the rounds of both do not overlap.
func TestCompare(t *testing.T) {
	rates := func(rates ...float64) *Report {
		r := &Report{Kind: "run"}
		for _, rate := range rates {
			r.Rounds = append(r.Rounds, Round{OperationRate: rate, Latency: Latency{P99: 1e6 / rate}})
		}
		return r
	}
	tests := []struct {
		name          string
		a, b          *Report
		ratio, lo, hi float64
		rate, p99     string
	}{
		{"twice as fast", rates(100, 110, 90), rates(200, 190, 220), 2, 190.0 / 110, 220.0 / 90, "better", "better"},
		{"slower", rates(100, 110, 90), rates(50, 55, 60), 0.55, 50.0 / 110, 60.0 / 90, "worse", "worse"},
		{"they overlap", rates(100, 110, 90), rates(105, 120, 100), 1.05, 100.0 / 110, 120.0 / 90, "", ""},
		{"one round shows nothing", rates(100), rates(300), 3, 3, 3, "", ""},
	}
	for _, test := range tests {
		c := Compare("a", "b", test.a, test.b)
		find := func(name string) Ratio {
			for _, l := range c.Lines {
				if l.Figure == name {
					return l
				}
			}
			t.Fatalf("%s: no %s", test.name, name)
			return Ratio{}
		}
		rate, p99 := find("operations/s"), find("latency p99")
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
		if !near(rate.Ratio, test.ratio) || !near(rate.Min, test.lo) || !near(rate.Max, test.hi) {
			t.Errorf("%s: %g (%g to %g), want %g (%g to %g)", test.name, rate.Ratio, rate.Min, rate.Max, test.ratio, test.lo, test.hi)
		}
		if rate.Verdict != test.rate || p99.Verdict != test.p99 {
			t.Errorf("%s: %q and %q, want %q and %q", test.name, rate.Verdict, p99.Verdict, test.rate, test.p99)
		}
	}
}

// Runs that are not alike are compared with a word on it, and what is no run is refused.
func TestCompareNamesSettingsThatDiffer(t *testing.T) {
	a, b := sampleReport(), sampleReport()
	b.Settings.Conns = 128
	c := Compare("a.json", "b.json", a, b)
	if len(c.Different) != 1 || c.Different[0] != "conns: 64, 128" {
		t.Errorf("different: %q", c.Different)
	}
	var out bytes.Buffer
	if err := c.WriteText(&out); err != nil || !strings.Contains(out.String(), "the settings differ in conns: 64, 128") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	for _, bad := range []string{"", "{", `{"kind":"sweep"}`, `{"kind":"run"}`} {
		if _, err := ReadReport(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read as a run", bad)
		}
	}
}

// A slot's figures are the same whether it is still open or was sealed.
func TestSeriesOverTime(t *testing.T) {
	s := newSeries(0, time.Millisecond)
	rec := newRecorder(0, 1<<62, s)
	for i := range int64(100) {
		rec.done(i*ms, i*ms+ms/2, 1, 10, 5)
	}
	rec.fail(99*ms, 99*ms+ms/2, kindClosed, 2)
	rec.flush()
	r := s.round(100 * ms)
	if len(r.Series) != 100 || r.Requests != 100 || r.Seconds != 0.1 || r.InRate != 10_000 {
		t.Fatalf("%d points, %d requests in %g s, %g bytes/s", len(r.Series), r.Requests, r.Seconds, r.InRate)
	}
	for i, p := range r.Series {
		if p.Rate != 1000 || math.Abs(p.P99-500) > 10 || (p.Errors == 2) != (i == 99) {
			t.Fatalf("point %d: %+v", i, p)
		}
	}
}

// A file from before RESP is of HTTP.
func TestAnOlderFileIsOfHTTP(t *testing.T) {
	r, err := ReadReport(strings.NewReader(`{"kind":"run","settings":{"workload":"put"},"rounds":[{}]}`))
	if err != nil || r.Settings.Protocol != HTTP {
		t.Errorf("it is of %q, %v", r.Settings.Protocol, err)
	}
}
