package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"sync/atomic"
	"time"

	"httpdhs/backup"
	"httpdhs/client"
	"httpdhs/kv"
)

// restoreCmd puts a backup into a cluster.
type restoreCmd struct {
	From      string   `required:"" placeholder:"DIR|FILE" help:"What httpdhs backup has written, or a --data-dir of a node that does not run."`
	Force     bool     `help:"Restore into a cluster that has keys. Keys that are in the backup too are written over, even where the cluster has newer values. Others stay."`
	Partial   bool     `help:"Restore what there is of a backup that is damaged, or was made without some node. Keys may be missing, and deleted ones may be back."`
	W         string   `placeholder:"LEVEL" help:"Replicas that have to store each key: one, quorum, all, live or a number."`
	MaxMemory byteSize `default:"1GiB" least:"64MiB" meant:"GiB" help:"Memory that this command takes. With less than the keys need, it reads the backup several times."`
	clientFlags
}

// Help is what "httpdhs restore --help" says in addition.
func (restoreCmd) Help() string {
	return "The cluster has to be empty, or --force is given. It may have other nodes than the backup, more or fewer, and other settings. Of each key the newest value in the backup counts. " +
		"Values come back with their content types, and expire when they would have. What was deleted or has expired stays away.\n\n" +
		"A backup that is damaged, or was made without some node, is refused before anything is written."
}

func (cmd *restoreCmd) Run(ctx context.Context, term *terminal) error {
	src, err := backup.Open(cmd.From)
	if err != nil {
		return err
	}
	defer src.Close()
	merger, err := backup.NewMerger(src, backup.MergeOptions{MaxMemory: int64(cmd.MaxMemory), Partial: cmd.Partial})
	if err != nil {
		return cmd.advise(err)
	}
	debug.SetMemoryLimit(src.Overhead() / 4 * 3) // entries, and what is freed of them, are not of it
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if !cmd.Force {
		if err := mustBeEmpty(ctx, c); err != nil {
			return err
		}
	}
	run := restoreRun{cmd: cmd, c: c, term: term, start: time.Now()}
	watch := startProgress(term.err, 0, run.progress)
	err = run.shares(ctx, merger)
	watch.stop()
	for _, e := range run.report.Errors {
		fmt.Fprintln(term.err, e.Err)
	}
	if cmd.Partial {
		sayPartial(term.err, src, merger)
	}
	if err != nil && run.report.Loaded+run.report.Failed == 0 {
		return cmd.advise(err)
	}
	took := time.Since(run.start)
	fmt.Fprintf(term.out, "restored %s, %d failed, in %s (%.0f keys/s)\n", counted(int(run.report.Loaded), "key"), run.report.Failed,
		took.Round(time.Millisecond), perSecond(run.report.Loaded, took))
	switch {
	case err != nil:
		return cmd.advise(fmt.Errorf("gave up: %w", err))
	case run.report.Failed > 0:
		return fmt.Errorf("not restored: %d of %s", run.report.Failed, counted(int(run.report.Loaded+run.report.Failed), "key"))
	}
	return nil
}

// advise says what to do about an error.
func (cmd *restoreCmd) advise(err error) error {
	switch {
	case errors.Is(err, backup.ErrTooLittle):
		return fmt.Errorf("%w: raise --max-memory", err)
	case errors.Is(err, backup.ErrDamaged):
		return fmt.Errorf("%w; httpdhs check %s says more, and --partial restores what there is", err, cmd.From)
	}
	return err
}

// mustBeEmpty makes sure that there is nothing to write over.
func mustBeEmpty(ctx context.Context, c *client.Client) error {
	for _, err := range c.Keys(ctx, &client.KeysOptions{Page: 1}) {
		if err != nil {
			return err
		}
		return errHasKeys
	}
	return nil
}

// sayPartial says what was not there to be restored.
func sayPartial(out io.Writer, src *backup.Source, merger *backup.Merger) {
	for _, m := range src.Missing {
		fmt.Fprintf(out, "without %s: %s\n", m.Node, m.Why)
	}
	reports := merger.Reports()
	for i := range reports {
		if fault := reports[i].Fault(); fault != nil {
			fmt.Fprintf(out, "without a part of %s: %s\n", reports[i].Node(), oneLine(fault))
		}
	}
}

// restoreRun is how far a restore is.
type restoreRun struct {
	cmd    *restoreCmd
	c      *client.Client
	term   *terminal
	start  time.Time
	report client.LoadReport // of the shares before
	loader atomic.Pointer[client.Loader]
	before atomic.Int64 // keys of the shares before
}

// progress says how far it is.
func (r *restoreRun) progress() (int64, string) {
	loader := r.loader.Load()
	if loader == nil {
		return 0, "reading the backup"
	}
	report := loader.Report()
	report.Loaded += r.before.Load()
	return report.Loaded, describe(&report, time.Since(r.start))
}

// shares restores one share of the keys after the other.
func (r *restoreRun) shares(ctx context.Context, merger *backup.Merger) error {
	for {
		share, err := merger.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		loader := r.c.NewLoader(&client.LoadOptions{W: client.Level(r.cmd.W)})
		r.loader.Store(loader)
		report, err := loader.Load(ctx, recordsOf(share))
		r.before.Add(report.Loaded)
		r.report.Loaded += report.Loaded
		r.report.Failed += report.Failed
		r.report.Errors = append(r.report.Errors, report.Errors...)
		if errors.Is(err, client.ErrIncomplete) {
			err = nil // the report counts them
		}
		if err = errors.Join(err, share.Close()); err != nil {
			return err
		}
	}
}

// recordsOf are the values of a share, as a load takes them.
func recordsOf(share *backup.Share) iter.Seq2[client.Record, error] {
	return func(yield func(client.Record, error) bool) {
		for r := range share.Values(time.Now) {
			if !yield(recordOf(r), nil) {
				return
			}
		}
	}
}

func recordOf(r *kv.Record) client.Record {
	rec := client.Record{Key: string(r.Key), Value: r.Value}
	if len(r.Meta) > 0 {
		f := r.Meta.Fields()
		rec.ContentType, rec.CacheControl, rec.ContentEncoding = string(f.ContentType), string(f.CacheControl), string(f.ContentEncoding)
	}
	if r.Expires != 0 {
		rec.Expires = kv.ExpiryTime(r.Expires)
	}
	return rec
}
