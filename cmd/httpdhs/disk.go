package main

import (
	"errors"
	"fmt"
	"time"

	"httpdhs/node"
)

// diskFlags say whether and how a node keeps what it holds on a disk.
type diskFlags struct {
	DataDir      string         `placeholder:"DIR" help:"Keep what the node holds on disk too, in this directory, which is its own. It is read at the next start."`
	Sync         string         `default:"interval" enum:"interval,always,never" help:"When writes are synced to the disk of --data-dir: once in --sync-interval, always before they are acknowledged, or never. ${enum}."`
	SyncInterval *time.Duration `placeholder:"1s" meant:"s" help:"Time between two syncs with --sync=interval: what a power cut may cost. 1s by default."`
	MaxDisk      byteSize       `default:"0" least:"64MiB" meant:"GiB" help:"Most that --data-dir takes, such as 20GiB: at least 32 times --max-value-bytes; 0 is no bound."`
}

const (
	// diskLeast is the least bound on a data directory: less has no room for its segments.
	diskLeast = 64 << 20

	// diskValues is how many of the largest values the bound has room for, at least. Then a segment
	// has room for one, and the directory keeps to the bound.
	diskValues = 32
)

// check is told how large a value may be.
func (f *diskFlags) check(maxValue byteSize) error {
	switch every := f.SyncInterval; {
	case f.DataDir == "" && (f.Sync != "interval" || every != nil || f.MaxDisk != 0):
		return errors.New("--sync, --sync-interval and --max-disk need --data-dir: without it nothing is on disk")
	case f.Sync != "interval" && every != nil:
		return fmt.Errorf("--sync-interval is for --sync=interval, and --sync=%s is given: leave out one of them", f.Sync)
	case every != nil && *every < time.Millisecond:
		return fmt.Errorf("--sync-interval is %s, want 1ms or more, or --sync=always", *every)
	case f.MaxDisk > 0 && f.MaxDisk < diskLeast:
		return fmt.Errorf("--max-disk is %s, want at least %s, or 0 for no bound", humanBytes(int64(f.MaxDisk)), humanBytes(diskLeast))
	case f.MaxDisk > 0 && f.MaxDisk < diskValues*maxValue:
		return fmt.Errorf("--max-disk is %s, want at least %s, which is %d times --max-value-bytes, or 0 for no bound",
			humanBytes(int64(f.MaxDisk)), humanBytes(int64(diskValues*maxValue)), diskValues)
	}
	return nil
}

// apply says it to the node.
func (f *diskFlags) apply(cfg *node.Config) {
	cfg.Data = node.DataConfig{Dir: f.DataDir, Sync: f.Sync, MaxBytes: int64(f.MaxDisk)}
	if f.SyncInterval != nil {
		cfg.Data.SyncEvery = *f.SyncInterval
	}
}
