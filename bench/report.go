package bench

import (
	"math"
	"slices"
	"time"
)

// Report is what a run came to; as JSON it is the file of --json.
type Report struct {
	Kind     string        `json:"kind"` // "run"
	Started  time.Time     `json:"started"`
	Machine  Machine       `json:"machine"`
	Servers  []ServerInfo  `json:"servers"`
	Settings Settings      `json:"settings"`
	Prefill  *Prefill      `json:"prefill,omitempty"`
	Rounds   []Round       `json:"rounds"`
	Verify   *Verification `json:"verify,omitempty"`

	Interrupted bool `json:"interrupted,omitempty"`
}

// ServerInfo is a node that was asked.
type ServerInfo struct {
	Address string `json:"address"`
	Version string `json:"version,omitempty"` // if it says
}

// Settings are those of a Config that decide what is measured.
type Settings struct {
	Protocol    Protocol `json:"protocol"`
	Workload    Workload `json:"workload"`
	ReadRatio   float64  `json:"read_ratio"`
	DeleteRatio float64  `json:"delete_ratio"`
	Conns       int      `json:"conns"`
	Pipeline    int      `json:"pipeline"`
	Threads     int      `json:"threads"`
	Batch       int      `json:"batch,omitempty"` // operations in a request
	Format      Format   `json:"format,omitempty"`
	Rate        float64  `json:"rate,omitempty"` // requests/s; absent: closed loop
	Seconds     float64  `json:"seconds,omitempty"`
	Requests    int64    `json:"requests,omitempty"`
	Warmup      float64  `json:"warmup_seconds"`
	Keys        int      `json:"keys"`
	KeySize     int      `json:"key_bytes"`
	ValueSize   int      `json:"value_bytes"`
	Dist        Dist     `json:"dist"`
	Route       Route    `json:"route"`
	Seed        uint64   `json:"seed"`
	Verify      bool     `json:"verify"`
}

// Prefill is what was stored before anything was measured.
type Prefill struct {
	Keys    int64   `json:"keys"`
	Seconds float64 `json:"seconds"`
	Errors  int64   `json:"errors"`
}

// Round is one measured part. Rates are of what succeeded.
type Round struct {
	Seconds       float64 `json:"seconds"` // from the end of the warm-up to the last answer
	Requests      int64   `json:"requests"`
	Operations    int64   `json:"operations"` // differ from requests where one holds many
	RequestRate   float64 `json:"requests_per_second"`
	OperationRate float64 `json:"operations_per_second"`
	InRate        float64 `json:"bytes_in_per_second"`  // answers, heads included
	OutRate       float64 `json:"bytes_out_per_second"` // requests, heads included

	Errors  map[string]int64 `json:"errors,omitempty"` // operations, by kind
	Latency Latency          `json:"latency_us"`
	CPU     CPU              `json:"cpu"`

	Distribution []Quantile `json:"distribution"`
	Series       []Point    `json:"series"`
}

// Latency is of requests, in microseconds; in an open loop from when they were
// due.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// Quantile is a point of the distribution of latencies.
type Quantile struct {
	Quantile float64 `json:"q"` // share of requests that took as long or less
	Micros   float64 `json:"us"`
}

// Point is a point in time.
type Point struct {
	Second float64 `json:"t"` // its end, from the end of the warm-up
	Rate   float64 `json:"operations_per_second"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	Max    float64 `json:"max_us"`
	Errors int64   `json:"errors,omitempty"`
}

func settingsOf(c *Config) Settings {
	s := Settings{
		Protocol: c.Protocol, Workload: c.Workload, DeleteRatio: c.DeleteRatio, Conns: c.Conns, Pipeline: c.Pipeline,
		Threads: c.threads(), Rate: c.Rate, Requests: c.Requests, Warmup: c.Warmup.Seconds(), Keys: c.Keys, KeySize: c.KeySize,
		ValueSize: c.ValueSize, Dist: c.Dist, Route: c.Route, Seed: c.Seed, Verify: c.Verify,
	}
	if c.Requests == 0 {
		s.Seconds = c.Duration.Seconds()
	}
	switch c.Workload {
	case Get:
		s.ReadRatio = 1
	case Mixed, Batch:
		s.ReadRatio = c.ReadRatio
	}
	if c.Workload == Batch || c.Workload == Load {
		s.Batch, s.Format = c.batchSize(), c.Format
	}
	return s
}

// round sums a phase up.
func (s *series) round(end int64) Round {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.total.last // of a phase without a set end
	if end < math.MaxInt64 {
		until = max(until, end)
	}
	seconds := max(float64(until-s.from)/1e9, 1e-9)
	t := &s.total
	r := Round{
		Seconds: seconds, Requests: t.requests, Operations: t.operations,
		RequestRate: float64(t.requests) / seconds, OperationRate: float64(t.operations) / seconds,
		InRate: float64(t.in) / seconds, OutRate: float64(t.out) / seconds, Errors: t.errors,
	}
	us := func(q float64) float64 { return micros(s.hist.ValueAtQuantile(100 * q)) }
	r.Latency = Latency{Mean: s.hist.Mean() / 1e3, P50: us(.5), P90: us(.9), P99: us(.99), P999: us(.999), Max: micros(s.hist.Max())}
	for _, q := range quantiles(s.hist.TotalCount()) {
		r.Distribution = append(r.Distribution, Quantile{q, us(q)})
	}
	r.Series = s.plot(end)
	return r
}

func micros(nanos int64) float64 { return float64(nanos) / 1e3 }

// quantiles are those that n samples can tell apart, denser towards 1: what is
// above them halves from one to the next in eight steps.
func quantiles(n int64) []float64 {
	if n == 0 {
		return nil
	}
	var qs []float64
	for i := 0; ; i++ {
		q := 1 - math.Pow(2, -float64(i)/8)
		if (1-q)*float64(n) < 1 {
			return append(qs, 1)
		}
		qs = append(qs, q)
	}
}

// plot is the series up to end. A last slot that is cut short is left out; one
// in which nothing happened is not.
func (s *series) plot(end int64) []Point {
	if end == math.MaxInt64 {
		end = s.total.last
	}
	points := make([]Point, max(end-s.from, 0)/s.every)
	for i := range points {
		points[i].Second = float64(int64(i+1)*s.every) / 1e9
		if i >= len(s.points) {
			continue
		}
		p := &s.points[i]
		p50, p99, most := p.quantiles()
		points[i] = Point{
			Second: points[i].Second, Rate: float64(p.operations) * 1e9 / float64(s.every),
			P50: micros(p50), P99: micros(p99), Max: micros(most), Errors: p.errors,
		}
	}
	return points
}

// Spread is a figure over the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Over is the spread of a figure over the rounds.
func (r *Report) Over(figure func(*Round) float64) Spread {
	var values []float64
	for i := range r.Rounds {
		values = append(values, figure(&r.Rounds[i]))
	}
	return spreadOf(values)
}

func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	n := len(values)
	return Spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

// Median is the round whose operation rate is the median: the one to plot.
func (r *Report) Median() *Round {
	if len(r.Rounds) == 0 {
		return &Round{}
	}
	order := make([]int, len(r.Rounds))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return int(math.Copysign(1, r.Rounds[a].OperationRate-r.Rounds[b].OperationRate))
	})
	return &r.Rounds[order[(len(order)-1)/2]]
}

// Errors are those of all rounds, by kind.
func (r *Report) Errors() map[string]int64 {
	sum := map[string]int64{}
	for _, round := range r.Rounds {
		for kind, n := range round.Errors {
			sum[kind] += n
		}
	}
	return sum
}
