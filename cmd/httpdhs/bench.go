package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"
	"unicode"

	"httpdhs/bench"
	"httpdhs/client"
)

// benchCmd makes load and measures what becomes of it.
type benchCmd struct {
	Run     benchRunCmd     `cmd:"" default:"withargs" help:"Put load on the nodes and measure."`
	Sweep   benchSweepCmd   `cmd:"" help:"Measure latency against throughput: open loops at 10 % to 100 % of the highest rate."`
	Compare benchCompareCmd `cmd:"" help:"Show the ratio of two runs (files of --json)."`
}

// loadFlags are those of a run and of a sweep.
type loadFlags struct {
	To            []string `default:"localhost:1234" help:"Nodes to ask; connections are dealt out to them."`
	AuthTokenFile string   `aliases:"token-file" placeholder:"FILE" help:"File with the token that the nodes want."`
	Protocol      string   `default:"http" enum:"http,resp" help:"How to ask: ${enum} (that of Redis, at the addresses that speak it)."`

	Workload    string  `default:"mixed" enum:"put,get,mixed,incr,load,batch" help:"What to ask: ${enum}; over resp neither load nor batch."`
	ReadRatio   float64 `default:"0.95" help:"Share of gets in mixed and batch."`
	DeleteRatio float64 `default:"0" help:"Share of deletes among the writes of put and mixed (0.05 with --verify)."`
	Batch       int     `default:"0" placeholder:"N" help:"Operations in a request of load (default 1000) and batch (100)."`
	Format      string  `default:"records" enum:"records,text" help:"Form of load and batch: ${enum} (TSV, NDJSON)."`

	Keys      int      `default:"100000" help:"How many keys there are."`
	KeySize   int      `default:"16" help:"Bytes of a key."`
	ValueSize byteSize `default:"100" help:"Bytes of a value."`
	Dist      string   `default:"uniform" enum:"uniform,zipf" help:"Which keys: ${enum} (0.99)."`
	Seed      uint64   `default:"1" help:"Same seed, same keys."`
	Route     string   `default:"any" enum:"any,owner" help:"Which node is asked: ${enum} (the primary of the key)."`

	Conns    int           `default:"64" help:"Connections, over all nodes."`
	Pipeline int           `default:"1" help:"Requests outstanding on a connection, at most."`
	Threads  int           `default:"1" help:"Threads that make the load."`
	Duration time.Duration `default:"10s" help:"How long to measure, each time."`
	Requests int64         `default:"0" placeholder:"N" help:"Measure so many requests instead."`
	Warmup   time.Duration `default:"1s" help:"How long to run before, each time."`
	Timeout  time.Duration `default:"10s" help:"How long a request may take."`

	JSON string `name:"json" placeholder:"FILE" help:"Write the figures there; - is standard output."`
	HTML string `name:"html" placeholder:"FILE" help:"Write a page with plots there."`
}

// config is what the flags say.
func (f *loadFlags) config() (bench.Config, error) {
	token, err := readSecret("--auth-token-file", f.AuthTokenFile)
	if err != nil {
		return bench.Config{}, &usageError{err}
	}
	return bench.Config{
		To: f.To, Token: token, Protocol: bench.Protocol(f.Protocol), Workload: bench.Workload(f.Workload), Route: bench.Route(f.Route),
		Format: bench.Format(f.Format), Dist: bench.Dist(f.Dist), Seed: f.Seed,
		ReadRatio: f.ReadRatio, DeleteRatio: f.DeleteRatio,
		Conns: f.Conns, Pipeline: f.Pipeline, Batch: f.Batch, Threads: f.Threads,
		Duration: f.Duration, Requests: f.Requests, Warmup: f.Warmup, Timeout: f.Timeout, Rounds: 1,
		Keys: f.Keys, KeySize: f.KeySize, ValueSize: int(f.ValueSize),
	}, nil
}

// measurement is what a run or a sweep came to.
type measurement interface {
	WriteText(io.Writer) error
	WriteHTML(io.Writer) error
}

// write writes it to where the flags want it.
func (f *loadFlags) write(out *terminal, m measurement) error {
	var errs []error
	if f.JSON != "-" {
		errs = append(errs, m.WriteText(out.out))
	}
	if f.JSON != "" {
		errs = append(errs, toFile(f.JSON, out.out, func(w io.Writer) error { return printJSON(w, m) }))
	}
	if f.HTML != "" {
		errs = append(errs, toFile(f.HTML, out.out, m.WriteHTML))
	}
	return errors.Join(errs...)
}

// toFile has write write a file, or to stdout if its name is -.
func toFile(name string, stdout io.Writer, write func(io.Writer) error) error {
	if name == "-" {
		return write(stdout)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// benchRunCmd is bench itself.
type benchRunCmd struct {
	Rate   float64       `default:"0" placeholder:"N" help:"Open loop: requests due in a second, latency from when they were due. 0: closed loop."`
	Rounds int           `default:"1" help:"Measure so often; the figures are medians."`
	Verify bool          `help:"Read every acknowledged write back from every node at the end; exit 1 on any fault."`
	Settle time.Duration `default:"0s" help:"Wait so long before reading back."`

	loadFlags
}

func (cmd *benchRunCmd) Run(ctx context.Context, out *terminal) error {
	config, err := cmd.config()
	if err != nil {
		return err
	}
	config.Rate, config.Rounds, config.Verify, config.Settle = cmd.Rate, cmd.Rounds, cmd.Verify, cmd.Settle
	watch := watchBench(out.err, &config)
	report, err := bench.Run(ctx, config)
	watch.stop()
	if report == nil {
		return benchError(err)
	}
	var served int64
	for _, r := range report.Rounds {
		served += r.Operations
	}
	err = errors.Join(benchError(err), cmd.write(out, report))
	switch {
	case err != nil:
		return err
	case report.Verify != nil && !report.Verify.OK():
		return errors.New("the nodes do not hold what they acknowledged")
	case served == 0:
		return errors.New("no request succeeded")
	}
	return nil
}

// benchSweepCmd is bench sweep.
type benchSweepCmd struct {
	loadFlags
}

func (cmd *benchSweepCmd) Run(ctx context.Context, out *terminal) error {
	config, err := cmd.config()
	if err != nil {
		return err
	}
	watch := watchBench(out.err, &config)
	sweep, err := bench.RunSweep(ctx, config)
	watch.stop()
	if sweep == nil {
		return benchError(err)
	}
	return errors.Join(benchError(err), cmd.write(out, sweep))
}

// benchError says how a run ended that did not come to its end.
func benchError(err error) error {
	switch {
	case errors.Is(err, bench.ErrConfig):
		return &usageError{err}
	case errors.Is(err, client.ErrWantsTLS):
		return usagef("--to: bench speaks no TLS, and these nodes do: give it nodes without")
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return err
}

// benchCompareCmd is bench compare.
type benchCompareCmd struct {
	A string `arg:"" help:"File of a run."`
	B string `arg:"" help:"File of the other."`
	outputFlags
}

func (cmd *benchCompareCmd) Run(out *terminal) error {
	a, err := readRun(cmd.A)
	if err != nil {
		return err
	}
	b, err := readRun(cmd.B)
	if err != nil {
		return err
	}
	c := bench.Compare(cmd.A, cmd.B, a, b)
	if cmd.Output == "json" {
		return printJSON(out.out, c)
	}
	return c.WriteText(out.out)
}

func readRun(name string) (*bench.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &usageError{err}
	}
	defer f.Close()
	r, err := bench.ReadReport(f)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, usagef("%s: no JSON at byte %d: %w", name, syntax.Offset, err)
	case err != nil:
		return nil, usagef("%s: %w", name, err)
	}
	return r, nil
}

// watchBench shows how a run of c stands.
func watchBench(w io.Writer, c *bench.Config) *progress {
	var last atomic.Pointer[bench.Progress]
	c.Progress = func(p bench.Progress) { last.Store(&p) }
	return startProgress(w, 0, func() (int64, string) {
		if p := last.Load(); p != nil {
			return p.Done, p.String()
		}
		return 0, ""
	})
}

// Help lists the flags of a run below those of bench. A run is what bench does by default.
func (benchCmd) Help() string {
	var b strings.Builder
	b.WriteString("Without a command it is run:\n\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	var list func(of reflect.Type)
	list = func(of reflect.Type) {
		for field := range of.Fields() {
			if field.Anonymous {
				list(field.Type)
				continue
			}
			name := field.Tag.Get("name")
			if name == "" {
				name = flagName(field.Name)
			}
			help := strings.ReplaceAll(field.Tag.Get("help"), "${enum}", field.Tag.Get("enum"))
			if value := field.Tag.Get("default"); value != "" && value != "0" && value != "0s" {
				help += " (" + value + ")"
			}
			fmt.Fprintf(t, "    --%s\t%s\n", name, help)
		}
	}
	list(reflect.TypeFor[benchRunCmd]())
	_ = t.Flush() // of a string
	return b.String()
}

// flagName is kong's name of a flag: ValueSize is value-size.
func flagName(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
