package test

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/syncbuf"
)

// refreshEvery is how often clients are told to ask who is there, where they have to be told.
const refreshEvery = time.Second

// language is a library of another language, and the script in testdata/clients that uses it.
type language struct {
	name    string
	probe   []string // exits with 0 if the machine has the library
	command []string
}

var languages = []language{
	{
		"redis-py", []string{"/usr/bin/python3", "-c", "import redis"},
		[]string{"/usr/bin/python3", "testdata/clients/client.py"},
	},
	{
		"phpredis", []string{"php", "-r", `exit(extension_loaded("redis") ? 0 : 1);`},
		[]string{"php", "testdata/clients/client.php"},
	},
	{
		"redis-rb", []string{"ruby", "-e", `require "redis"`},
		[]string{"ruby", "testdata/clients/client.rb"},
	},
}

// missing says why the script cannot run on this machine.
func (l *language) missing() error {
	if out, err := exec.Command(l.probe[0], l.probe[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w %s", strings.Join(l.probe, " "), err, out)
	}
	return nil
}

// scriptEnv tells scripts where the nodes are.
func (f *redisFleet) scriptEnv() []string {
	return []string{"PORTS=" + strings.Join(f.ports(), " "), "PASSWORD=" + f.token}
}

// Libraries of other languages do with nodes what they do with Redis, with a password: a client of
// one node as well as that of a cluster. Locks are the library's own where it has one. What the
// machine lacks is left out.
func TestClientsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	f := newRedisFleet(t, clientsToken)
	for _, lang := range languages {
		for _, mode := range []string{"node", "cluster"} {
			t.Run(lang.name+","+mode, func(t *testing.T) {
				t.Parallel()
				if err := lang.missing(); err != nil {
					t.Skip(err)
				}
				c := startCommand(t, append(f.scriptEnv(), "MODE="+mode), lang.command...)
				if err := errors.Join(c.wait(), c.saidOK()); err != nil {
					t.Errorf("%v\n%s%s", err, &c.out, &c.err)
				}
			})
		}
	}
}

// Redis's own tools work with nodes: redis-cli in both versions of the protocol, mass insertion,
// listings, and redis-benchmark at a node and at a cluster.
func TestToolsOfRedis(t *testing.T) {
	t.Parallel()
	f := newRedisFleet(t, clientsToken)
	cli := func(stdin string, args ...string) string {
		t.Helper()
		return runTool(t, stdin, append([]string{"redis-cli", "-p", f.ports()[0], "-a", f.token, "--no-auth-warning"}, args...)...)
	}
	for _, name := range []string{"redis-cli", "redis-benchmark"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	for _, version := range []string{"-2", "-3"} {
		want := map[string]string{
			"set k " + version: "OK\n", "get k": version + "\n", "get none": "\n", "del k none": "1\n", "ping": "PONG\n",
		}
		for _, cmd := range []string{"set k " + version, "get k", "get none", "del k none", "ping"} {
			if got := cli("", append([]string{version}, strings.Fields(cmd)...)...); got != want[cmd] {
				t.Errorf("%s %s: %q, want %q", version, cmd, got, want[cmd])
			}
		}
	}
	if got := cli(noisy(), "-x", "set", "binary"); got != "OK\n" {
		t.Errorf("set of stdin: %q", got)
	}
	if got := cli("", "get", "binary"); got != noisy()+"\n" {
		t.Errorf("a binary value comes back as %q", got)
	}
	insert := ""
	for i := range 500 {
		insert += fmt.Sprintf("*3\r\n$3\r\nSET\r\n$7\r\npipe%03d\r\n$1\r\nv\r\n", i)
	}
	if got := cli(insert, "--pipe"); !strings.Contains(got, "errors: 0, replies: 500") {
		t.Errorf("--pipe: %s", got)
	}
	if got := cli("", "--scan", "--pattern", "pipe*"); strings.Count(got, "pipe") != 500 {
		t.Errorf("--scan finds %d keys", strings.Count(got, "pipe"))
	}
	if got := cli("", "-c", "get", "pipe007"); got != "v\n" {
		t.Errorf("-c: %q", got)
	}
	if got := cli("", "--bigkeys"); !strings.Contains(got, "strings with") {
		t.Errorf("--bigkeys: %s", got)
	}
	for _, args := range [][]string{{"-P", "16"}, {"-3"}, {"--cluster"}} {
		out := runTool(t, "", append([]string{"redis-benchmark", "-p", f.ports()[1], "-a", f.token, "-n", "2000", "-r", "100",
			"-t", "ping,set,get,incr,mset", "--csv"}, args...)...)
		for _, test := range []string{"PING_INLINE", "SET", "GET", "INCR", "MSET"} {
			if !strings.Contains(out, "\n\""+test) {
				t.Errorf("redis-benchmark %v says nothing of %s: %s", args, test, out)
			}
		}
	}
}

// command is a program beside the binary: a client.
type command struct {
	cmd      *exec.Cmd
	out, err syncbuf.Buffer
	exited   chan struct{}
}

func startCommand(t *testing.T, env []string, args ...string) *command {
	t.Helper()
	c := &command{cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	endWithParent(c.cmd)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // ProcessState says it all
		close(c.exited)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.exited
	})
	return c
}

// wait waits for the end, which has to be a good one.
func (c *command) wait() error {
	select {
	case <-c.exited:
	case <-time.After(poll.Patience):
		return errors.New("it does not end")
	}
	if status := c.cmd.ProcessState.ExitCode(); status != 0 {
		return fmt.Errorf("it ends with status %d", status)
	}
	return nil
}

// saidOK says whether the last that a script wrote is that all was well.
func (c *command) saidOK() error {
	if !strings.HasSuffix(c.out.String(), "ok\n") {
		return errors.New("it does not say ok")
	}
	return nil
}

// runTool runs a program to its end, and returns what it wrote.
func runTool(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	endWithParent(cmd)
	end := time.AfterFunc(poll.Patience, func() { _ = cmd.Process.Kill() })
	defer end.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// linesOf are the whole lines of a text.
func linesOf(text string) iter.Seq[string] {
	end := strings.LastIndexByte(text, '\n') + 1
	return strings.Lines(text[:end])
}
