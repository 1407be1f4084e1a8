package test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/described"
	"httpdhs/internal/poll"
	"httpdhs/internal/ports"
)

// cluster is three processes of the binary that share a conf file.
type cluster struct {
	dir   string
	flags []string // beside port, replicas and conf; {node} stands for a node's number
	ports []int

	mu    sync.Mutex // guards nodes
	nodes []*process // nil: was never started
	past  []string   // what earlier processes wrote
}

// startCluster runs a cluster of its own for a test, and waits until it is
// ready.
func startCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c, err := newCluster(t.TempDir(), flags...)
	if c != nil {
		t.Cleanup(func() {
			c.close()
			c.showIfFailed(t)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newCluster(dir string, flags ...string) (*cluster, error) {
	c := &cluster{dir: dir, flags: flags, nodes: make([]*process, 3)}
	conf := "# three nodes of one machine\n\n"
	for range c.nodes {
		port, err := ports.Take(1)
		if err != nil {
			return nil, err
		}
		c.ports = append(c.ports, port)
		conf += fmt.Sprintf("localhost:%d # a node\n", port)
	}
	if err := os.WriteFile(filepath.Join(dir, "httpdhs.conf"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	for i := range c.nodes {
		if err := c.launch(i); err != nil {
			return c, err
		}
	}
	return c, c.awaitReady()
}

// sharedCluster is the one cluster of all tests that do no harm. It runs from the first of those
// that run at the same time to the last. So a test that is repeated meets nothing of what it left
// before.
type sharedCluster struct {
	mu    sync.Mutex // guards all
	users int
	c     *cluster
}

func (s *sharedCluster) get(t *testing.T) *cluster {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		dir, err := os.MkdirTemp("", "httpdhs-test-")
		if err != nil {
			t.Fatal(err)
		}
		if s.c, err = newCluster(dir); err != nil {
			if s.c != nil {
				s.c.close()
				t.Error(err)
				s.c.showIfFailed(t)
			}
			t.Fatal(err)
		}
	}
	s.users++
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.c.showIfFailed(t)
		if s.users--; s.users == 0 {
			s.c.close()
			_ = os.RemoveAll(s.c.dir)
		}
	})
	return s.c
}

func (c *cluster) launch(i int) error {
	args := append([]string{"server", fmt.Sprintf("--port=%d", c.ports[i]), "--replicas=2", "--conf=httpdhs.conf"}, c.flags...)
	for n := range args {
		args[n] = strings.ReplaceAll(args[n], "{node}", strconv.Itoa(i))
	}
	p, err := launch(c.dir, nil, args...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.nodes[i]; old != nil {
		c.past = append(c.past, fmt.Sprintf("node %d, earlier:\n%s%s", i, &old.out, &old.err))
	}
	c.nodes[i] = p
	return nil
}

func (c *cluster) node(i int) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

func (c *cluster) close() {
	for i := range c.nodes {
		if p := c.node(i); p != nil {
			p.kill()
		}
	}
}

func (c *cluster) showIfFailed(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, text := range c.past {
		t.Log(text)
	}
	for i := range c.nodes {
		if p := c.node(i); p != nil {
			t.Logf("node %d, httpdhs %s:\n%s%s", i, strings.Join(p.args, " "), &p.out, &p.err)
		}
	}
}

// addr is the host:port of node i, which is its name.
func (c *cluster) addr(i int) string { return fmt.Sprintf("localhost:%d", c.ports[i]) }

func (c *cluster) url(i int) string {
	for _, flag := range c.flags {
		if strings.HasPrefix(flag, "--tls-cert") {
			return "https://" + c.addr(i)
		}
	}
	return "http://" + c.addr(i)
}

// to is the --to of the tools.
func (c *cluster) to() string { return "--to=" + c.addr(0) + "," + c.addr(1) + "," + c.addr(2) }

// kill9 ends a node without a word of warning.
func (c *cluster) kill9(i int) { c.node(i).kill() }

// terminate sends SIGTERM and returns the exit status.
func (c *cluster) terminate(t *testing.T, i int) int {
	t.Helper()
	p := c.node(i)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	status, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// restart starts a node again, and waits until all that run have met.
func (c *cluster) restart(t *testing.T, i int) {
	t.Helper()
	if err := c.launch(i); err != nil {
		t.Fatal(err)
	}
	poll.Until(t, "the nodes have met", func() error {
		return c.each(func(state string) bool { return state != api.StateDown })
	})
}

func (c *cluster) awaitReady() error {
	return poll.Within(poll.Patience, func() error {
		for i := range c.nodes {
			if p := c.node(i); !p.running() {
				return fmt.Errorf("node %d has ended: %s%s", i, &p.out, &p.err)
			}
			resp, err := client.Get(c.url(i) + "/readyz")
			if err != nil {
				return err
			}
			body, err := io.ReadAll(resp.Body)
			if _ = resp.Body.Close(); err != nil || resp.StatusCode != 200 {
				return fmt.Errorf("node %d is not ready: %s %v", i, body, err)
			}
		}
		return c.each(func(state string) bool { return state == api.StateActive })
	})
}

// each asks every node that runs how every one that runs is.
func (c *cluster) each(ok func(state string) bool) error {
	for i := range c.nodes {
		if !c.node(i).running() {
			continue
		}
		doc, err := c.view(i)
		if err != nil {
			return err
		}
		for j := range c.nodes {
			for _, n := range doc.Nodes {
				if n.Name == c.addr(j) && c.node(j).running() && !ok(n.State) {
					return fmt.Errorf("%s says that %s is %s: %s", doc.Node, n.Name, n.State, n.Reason)
				}
			}
		}
	}
	return nil
}

// awaitDown waits until each of the nodes knows that node j is down.
func (c *cluster) awaitDown(t *testing.T, j int, at ...int) {
	t.Helper()
	poll.Until(t, fmt.Sprintf("node %d is down", j), func() error { return isDown(c.addr(j), c.view, at) })
}

// view is the cluster as node i sees it.
func (c *cluster) view(i int) (doc api.Cluster, err error) {
	resp, err := client.Get(c.url(i) + "/cluster")
	if err != nil {
		return doc, err
	}
	defer resp.Body.Close()
	return doc, json.NewDecoder(resp.Body).Decode(&doc)
}

// client is for what is not about the wire (raw_test.go is), nor about trust.
var client = &http.Client{Timeout: poll.Patience, Transport: &http.Transport{
	DisableCompression: true, MaxIdleConnsPerHost: 64,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
}}

// do sends a request to node i and reads the answer. What goes wrong on the way is status 0, and in
// the body: callers that expect it look there. So is an answer that the OpenAPI document does not
// have.
func (c *cluster) do(i int, method, path, body string, header ...string) answer {
	req, err := http.NewRequest(method, c.url(i)+path, strings.NewReader(body))
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	for h := 0; h+1 < len(header); h += 2 {
		req.Header.Set(header[h], header[h+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	e := described.Exchange{
		Method: method, Target: path, Asked: req.Header, Sent: body,
		Status: resp.StatusCode, Answered: resp.Header, Got: string(got),
	}
	if err := e.Fault(); err != nil {
		return answer{body: fmt.Appendf(nil, "the OpenAPI document says something else of %s %s: %v", method, path, err)}
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: got}
}

// metric is the value of a metric, with its labels as they are written.
func (c *cluster) metric(i int, name string) (float64, error) {
	if v, ok := metricsIn(c.do(i, "GET", "/metrics", "").body)[name]; ok {
		return v, nil
	}
	return 0, errors.New("no metric " + name)
}

// deadline is what sockets of tests get.
func deadline() time.Time { return time.Now().Add(poll.Patience) }
