package bench

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Sweep is latency against throughput: what a run of each of several rates
// came to. As JSON it is the file of --json.
type Sweep struct {
	Kind     string       `json:"kind"` // "sweep"
	Started  time.Time    `json:"started"`
	Machine  Machine      `json:"machine"`
	Servers  []ServerInfo `json:"servers"`
	Settings Settings     `json:"settings"`
	Highest  Round        `json:"highest"` // the closed loop, which finds the highest rate
	Steps    []Step       `json:"steps"`

	Interrupted bool `json:"interrupted,omitempty"`
}

// Step is the run at one rate, in an open loop.
type Step struct {
	Share float64 `json:"share"` // of the highest rate
	Rate  float64 `json:"rate"`  // requests/s that were due
	Round
}

// sweepSteps is how many rates a sweep has: each tenth of the highest.
const sweepSteps = 10

// RunSweep finds the highest rate in a closed loop, and then measures in open
// loops at 10 % to 100 % of it. An error comes with what there is if ctx was
// done before the end.
func RunSweep(ctx context.Context, c Config) (*Sweep, error) {
	c.Rate, c.Rounds, c.Verify = 0, 1, false
	r, err := newRunner(ctx, c)
	if err != nil {
		return nil, err
	}
	if err = r.prefill(ctx); err != nil {
		return nil, err
	}
	sweep := &Sweep{
		Kind: "sweep", Started: r.report.Started, Machine: r.report.Machine, Servers: r.report.Servers,
		Settings: r.report.Settings,
	}
	highest, err := r.round(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	sweep.Highest = *highest
	if highest.RequestRate == 0 {
		return nil, fmt.Errorf("no request succeeded: %s", errorText(highest.Errors))
	}
	for i := range sweepSteps {
		share := float64(i+1) / sweepSteps
		rate := share * highest.RequestRate
		round, err := r.round(ctx, i+1, rate)
		if err != nil {
			sweep.Interrupted = ctx.Err() != nil
			return sweep, err
		}
		sweep.Steps = append(sweep.Steps, Step{Share: share, Rate: rate, Round: *round})
	}
	return sweep, nil
}

// WriteText writes the sweep as a table.
func (s *Sweep) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", s.Settings.describe())
	fmt.Fprintf(w, "highest rate: %s requests/s; then open loops at parts of it\n\n", grouped(s.Highest.RequestRate))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "part\tdue/s\tdone/s\tp50\tp90\tp99\tp99.9\tmax\terrors\t")
	for _, step := range s.Steps {
		l := &step.Latency
		fmt.Fprintf(t, "%.0f %%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", 100*step.Share, grouped(step.Rate), grouped(step.RequestRate),
			duration(l.P50), duration(l.P90), duration(l.P99), duration(l.P999), duration(l.Max), sumOf(step.Errors))
	}
	return t.Flush()
}
