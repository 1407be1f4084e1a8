package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"httpdhs/client"
	"httpdhs/internal/format"
)

// loadCmd loads a file.
type loadCmd struct {
	File   string `arg:"" optional:"" help:"The file, or - for standard input."`
	Sample bool   `help:"Load the names of all Unicode characters, some 35,000 pairs, instead of a file."`
	Format string `enum:"auto,tsv,csv,ndjson,records" default:"auto" help:"Format of the file: ${enum}. auto goes by the ending of its name and by how it begins, and is tsv where neither says anything. What is packed with gzip or zstd is unpacked."`
	W      string `placeholder:"LEVEL" help:"Replicas that have to store each record: one, quorum, all, live or a number."`
	TTL    ttl    `name:"ttl" help:"How long to keep the records: 90s, 12h, 7d, 2w or whole seconds; 0 is for ever."`

	MaxKeyBytes   byteSize `default:"4096" least:"16" meant:"KiB" help:"Longest key, as at the nodes."`
	MaxValueBytes byteSize `default:"8MiB" least:"1KiB" meant:"MiB" help:"Largest value, as at the nodes."`

	clientFlags
}

var formats = map[string]format.Format{
	"tsv": format.TSV, "csv": format.CSV, "ndjson": format.NDJSON, "records": format.Binary,
}

func (cmd *loadCmd) Validate() error {
	switch {
	case cmd.Sample && cmd.File != "":
		return errors.New("--sample takes no file")
	case !cmd.Sample && cmd.File == "":
		return errors.New("what to load: a file, - for standard input, or --sample")
	}
	store := storeFlags{MaxKeyBytes: cmd.MaxKeyBytes, MaxValueBytes: cmd.MaxValueBytes, TombstoneGrace: 1}
	return store.check()
}

func (cmd *loadCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	in, err := cmd.open(term)
	if err != nil {
		return err
	}
	defer in.close()

	loader := c.NewLoader(&client.LoadOptions{W: client.Level(cmd.W), TTL: time.Duration(cmd.TTL)})
	start := time.Now()
	watch := startProgress(term.err, in.total, func() (int64, string) {
		report := loader.Report()
		return in.done(&report), describe(&report, time.Since(start))
	})
	report, err := loader.Load(ctx, in.records)
	watch.stop()

	for _, e := range report.Errors {
		fmt.Fprintln(term.err, e)
	}
	if more := report.Failed - int64(len(report.Errors)); more > 0 && len(report.Errors) > 0 {
		fmt.Fprintf(term.err, "and %s\n", counted(int(more), "more record"))
	}
	took := time.Since(start)
	fmt.Fprintf(term.out, "loaded %s, %d failed, in %s (%.0f records/s)\n",
		counted(int(report.Loaded), "record"), report.Failed, took.Round(time.Millisecond), perSecond(report.Loaded, took))
	switch {
	case errors.Is(err, client.ErrIncomplete):
		return fmt.Errorf("not loaded: %d of %s", report.Failed, counted(int(report.Loaded+report.Failed), "record"))
	case err != nil:
		return fmt.Errorf("gave up: %w", err)
	}
	return nil
}

func perSecond(n int64, d time.Duration) float64 {
	return float64(n) / max(d, time.Microsecond).Seconds()
}
