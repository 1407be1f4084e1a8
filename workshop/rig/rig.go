// Package rig starts the processes that a measurement is made of, all on
// 127.0.0.1, waits until they answer, and ends them: with Close and, on Linux, when
// the measuring program dies without it. Beside that it has what measurements
// share: how they run (main.go), loads (load.go, redis.go), what processes spend (effort.go),
// ratios (figures.go), tables of goals (table.go) and pages (page.go).
//
// A Rig belongs to the main goroutine of its program, and is not safe for
// concurrent use.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/ports"
)

// A process is told to die with the thread that started it. The main goroutine
// therefore stays on its thread, which is there to the end; others end before,
// those of the load generator's loops for one.
func init() { runtime.LockOSThread() }

// Rig is the processes of a measurement.
type Rig struct {
	Dir      string    // for files; gone after Close
	Progress io.Writer // for what is being measured; os.Stderr
	WithRESP bool      // nodes speak the protocol of Redis too, those whose binaries can

	ctx       context.Context
	processes []*process
	resp      map[string]string // where nodes speak it, by address
	speakers  map[string]bool   // whether they can, by binary
}

type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	done   chan struct{}
}

// startTimeout is how long a process may take until it answers.
const startTimeout = 20 * time.Second

// New makes a rig of no processes, whose waiting ends with ctx.
func New(ctx context.Context) (*Rig, error) {
	dir, err := os.MkdirTemp("", "httpdhs-rig-")
	if err != nil {
		return nil, err
	}
	return &Rig{Dir: dir, Progress: os.Stderr, ctx: ctx, resp: map[string]string{}, speakers: map[string]bool{}}, nil
}

// Close ends all processes and removes the directory.
func (r *Rig) Close() {
	for _, p := range r.processes {
		p.kill()
	}
	os.RemoveAll(r.Dir)
}

// Start starts a program that runs until Close.
func (r *Rig) Start(name string, args ...string) error {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	r.processes = append(r.processes, p)
	return nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Run runs a program to its end and returns what it printed.
func (r *Rig) Run(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(r.ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

var versionPattern = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// VersionIn finds the version in what a program says about itself.
func VersionIn(said string) string {
	if v := versionPattern.FindString(said); v != "" {
		return v
	}
	return "unknown version"
}

// Node starts a node of httpdhs that is alone, and holds one copy of each key.
func (r *Rig) Node(binary string, args ...string) (addr string, err error) {
	if addr, err = FreeAddr(); err != nil {
		return "", err
	}
	return addr, r.startNode(binary, addr, append([]string{"--replicas", "1"}, args...)...)
}

// Cluster starts n nodes with two replicas.
func (r *Rig) Cluster(binary string, n int) (addrs []string, err error) {
	return r.ClusterWith(binary, n, func(string) []string { return nil })
}

// ClusterWith is Cluster of nodes that have further flags, by their address.
func (r *Rig) ClusterWith(binary string, n int, flags func(addr string) []string) (addrs []string, err error) {
	conf, err := os.CreateTemp(r.Dir, "nodes-*.conf")
	if err != nil {
		return nil, err
	}
	for range n {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
		fmt.Fprintln(conf, addr)
	}
	if err := conf.Close(); err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if err := r.startNode(binary, addr, append(flags(addr), "--replicas", "2", "--conf", conf.Name())...); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// startNode starts a node at addr.
func (r *Rig) startNode(binary, addr string, args ...string) error {
	args = append([]string{"server", "--port", Port(addr), "--log-level", "error"}, args...)
	if r.WithRESP && r.speaksRESP(binary) {
		resp, err := FreeAddr()
		if err != nil {
			return err
		}
		r.resp[addr] = resp
		args = append(args, respFlag, Port(resp))
	}
	return r.Start(binary, args...)
}

// Kill ends the servers at addrs as kill -9 does.
func (r *Rig) Kill(addrs ...string) {
	for _, addr := range addrs {
		if p := r.at(addr); p != nil {
			p.kill()
		}
	}
}

// PID is the process that was started with the port of addr; 0: none was.
func (r *Rig) PID(addr string) int {
	if p := r.at(addr); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// at is the last process that was started with the port of addr.
func (r *Rig) at(addr string) *process {
	for _, p := range slices.Backward(r.processes) {
		for _, flag := range []string{" --port ", " " + respFlag + " "} {
			if strings.Contains(strings.Join(p.cmd.Args, " ")+" ", flag+Port(addr)+" ") {
				return p
			}
		}
	}
	return nil
}

// WaitReady waits until each node takes requests.
func (r *Rig) WaitReady(addrs ...string) error {
	for _, addr := range addrs {
		if err := r.WaitHTTP(addr, "/readyz"); err != nil {
			return err
		}
	}
	return nil
}

// WaitHTTP waits until path is answered with 200.
func (r *Rig) WaitHTTP(addr, path string) error {
	return r.Wait(addr, func() error {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// WaitOpen waits until something listens at addr.
func (r *Rig) WaitOpen(addr string) error {
	return r.Wait(addr, func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Wait waits until ok returns nil. What never does is told with what the
// processes have printed.
func (r *Rig) Wait(what string, ok func() error) error {
	end := time.Now().Add(startTimeout)
	err := poll.While(func() bool { return r.ctx.Err() == nil && time.Now().Before(end) }, ok)
	switch {
	case err == nil:
		return nil
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	}
	return fmt.Errorf("%s is not ready: %w\n%s", what, err, r.endings())
}

// endings ends all processes and returns what they printed: their output may
// be read only then.
func (r *Rig) endings() string {
	var said strings.Builder
	for _, p := range r.processes {
		p.kill()
		said.Write(p.output.Bytes())
	}
	return said.String()
}

// FreeAddr is an address on 127.0.0.1 that nothing listens on, and that nobody else is given.
func FreeAddr() (string, error) {
	port, err := ports.Take(1)
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

// Port is that of addr.
func Port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
