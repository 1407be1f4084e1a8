package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"httpdhs/bench"
)

// Ask runs the load generator. An operation without success is an error, so
// the report is of rounds in which everything was done.
func Ask(ctx context.Context, c bench.Config) (*bench.Report, error) {
	report, err := bench.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	for kind, n := range report.Errors() {
		return nil, fmt.Errorf("%d errors: %s", n, kind)
	}
	return report, nil
}

// WritePairs writes n pairs, 12-byte keys and 32-byte values, as TSV and as
// the requests that redis-cli --pipe takes.
func (r *Rig) WritePairs(n int) (tsv, resp string, err error) {
	var a, b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&a, "k%011d\t%032d\n", i, i)
		fmt.Fprintf(&b, "*3\r\n$3\r\nSET\r\n$12\r\nk%011d\r\n$32\r\n%032d\r\n", i, i)
	}
	tsv, resp = filepath.Join(r.Dir, "pairs.tsv"), filepath.Join(r.Dir, "pairs.resp")
	return tsv, resp, errors.Join(os.WriteFile(tsv, a.Bytes(), 0o600), os.WriteFile(resp, b.Bytes(), 0o600))
}

// LoadData loads a file of n pairs through the command line's loader, and
// returns pairs/s.
func (r *Rig) LoadData(binary, name string, n int, addrs ...string) (rate float64, err error) {
	return r.LoadBy(n, binary, "load-data", name, "--to", strings.Join(addrs, ","))
}

// LoadBy runs a loader of n pairs, and returns pairs/s.
func (r *Rig) LoadBy(n int, name string, args ...string) (rate float64, err error) {
	start := time.Now()
	out, err := r.Run(name, args...)
	took := time.Since(start)
	if err == nil && !strings.Contains(out, fmt.Sprintf("loaded %d records, 0 failed", n)) {
		err = fmt.Errorf("%s: not everything was loaded: %s", name, out)
	}
	return float64(n) / took.Seconds(), err
}

// RedisPipe loads a file of n requests through redis-cli, and returns
// requests/s.
func (r *Rig) RedisPipe(addr, name string, n int) (rate float64, err error) {
	in, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	cmd := exec.CommandContext(r.ctx, "redis-cli", "-p", Port(addr), "--pipe")
	cmd.Stdin = in
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if want := fmt.Sprintf("errors: 0, replies: %d", n); err == nil && !strings.Contains(string(out), want) {
		err = errors.New("not everything was loaded")
	}
	if err != nil {
		return 0, fmt.Errorf("redis-cli --pipe: %w: %s", err, out)
	}
	return float64(n) / took.Seconds(), nil
}
