// Package test runs the real binary as a user does: three processes with a
// conf file, requests over sockets and from curl, signals, and the tools that
// speak to a cluster.
//
// What can be asked of a cluster without harming it is asked of one that all
// tests share; a test that kills, stops or fills nodes has its own. Nothing
// here sleeps in hope or asserts how long something takes: what is waited for
// is a condition with a deadline. Processes are killed at the end of their
// test, and what they wrote is part of the output of a test that failed.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/browser"
	"httpdhs/internal/poll"
	"httpdhs/internal/syncbuf"
	"httpdhs/internal/testbinary"
)

// versionBuilt is what the binary under test calls itself.
const versionBuilt = "v0.0.0-e2e"

var (
	binary   string // the path of it
	shared   sharedCluster
	chromium browser.Shared
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "httpdhs-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if binary, err = testbinary.Build(dir, shippedFlags...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer chromium.Close()
		return m.Run()
	}())
}

// process is a run of the binary.
type process struct {
	args   []string
	cmd    *exec.Cmd
	out    syncbuf.Buffer // stdout
	err    syncbuf.Buffer // stderr
	exited chan struct{}
}

// launch starts the binary in dir with these variables beside those of the
// test itself.
func launch(dir string, env []string, args ...string) (*process, error) {
	return launchUnder(nil, dir, env, args...)
}

// launchUnder is launch by another command, which has to become the binary.
func launchUnder(under []string, dir string, env []string, args ...string) (*process, error) {
	if err := testbinary.LookAtSources(); err != nil {
		return nil, err
	}
	return launchCommand(slices.Concat(under, []string{binary}, args), dir, env)
}

// launchCommand is launch of a command that may be another binary.
func launchCommand(command []string, dir string, env []string) (*process, error) {
	p := &process{args: command[1:], cmd: exec.Command(command[0], command[1:]...), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(withoutOurs(os.Environ()), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	endWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState says it all
		close(p.exited)
	}()
	return p, nil
}

// withoutOurs is the environment without what would set flags, or how often garbage is collected,
// and without who started the test.
func withoutOurs(env []string) (rest []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, "HTTPDHS_") && !strings.HasPrefix(v, "GOGC=") && !strings.HasPrefix(v, "GOMEMLIMIT=") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") {
			rest = append(rest, v)
		}
	}
	return rest
}

// run runs the binary to its end.
func run(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p, err := launch(t.TempDir(), env, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	status, err = p.wait()
	if err != nil {
		t.Fatal(err)
	}
	return status, p.out.String(), p.err.String()
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// wait waits for the end and returns the exit status.
func (p *process) wait() (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(poll.Patience):
		return -1, fmt.Errorf("httpdhs %s does not end; so far it wrote\n%s%s", strings.Join(p.args, " "), &p.out, &p.err)
	}
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}
