package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// house is all that runs: the baseline, a node alone, a cluster of three and,
// where it is installed, redis.
type house struct {
	*options
	ctx context.Context
	dir string

	e, alone string   // addresses
	cluster  []string // addresses
	redis    string   // address; empty: not installed
	tsv      string   // file of the bulk load
	resp     string   // the same for redis-cli --pipe

	processes []*process
}

type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	done   chan struct{}
}

const startTimeout = 20 * time.Second

func (h *house) open() (err error) {
	if h.e, err = freeAddr(); err != nil {
		return err
	}
	if _, err = h.start(h.baseline, "--port", port(h.e)); err != nil {
		return err
	}
	if h.alone, err = freeAddr(); err != nil {
		return err
	}
	if _, err = h.start(h.binary, "server", "--port", port(h.alone), "--replicas", "1", "--log-level", "error"); err != nil {
		return err
	}
	if h.cluster, err = h.startCluster(); err != nil {
		return err
	}
	if _, err := exec.LookPath("redis-server"); err == nil {
		if err := h.startRedis(); err != nil {
			return err
		}
	}
	ready := append([]string{h.alone}, h.cluster...)
	for _, addr := range ready {
		if err := h.waitReady(addr); err != nil {
			return err
		}
	}
	return h.writePairs()
}

// startCluster starts three nodes with two replicas.
func (h *house) startCluster() (addrs []string, err error) {
	conf, err := os.CreateTemp(h.dir, "nodes-*.conf")
	if err != nil {
		return nil, err
	}
	for range 3 {
		addr, err := freeAddr()
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
		if _, err := h.start(h.binary, "server", "--port", port(addr), "--replicas", "2", "--conf", conf.Name(), "--log-level", "error"); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// freshCluster is a cluster for one subject, and what ends it.
func (h *house) freshCluster() (addrs []string, stop func(), err error) {
	if addrs, err = h.startCluster(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		for _, addr := range addrs {
			h.kill(addr)
		}
	}
	for _, addr := range addrs {
		if err := h.waitReady(addr); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return addrs, stop, nil
}

func (h *house) startRedis() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	if _, err := h.start("redis-server", "--port", port(addr), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"); err != nil {
		return err
	}
	h.redis = addr
	return h.wait("redis", func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (h *house) start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	h.processes = append(h.processes, p)
	return p, nil
}

func (h *house) close() {
	for _, p := range h.processes {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends the node at addr as kill -9 does.
func (h *house) kill(addr string) {
	for _, p := range h.processes {
		if strings.Contains(strings.Join(p.cmd.Args, " "), "--port "+port(addr)) {
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}

func (h *house) waitReady(addr string) error {
	return h.wait(addr, func() error {
		resp, err := http.Get("http://" + addr + "/readyz")
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

func (h *house) wait(what string, ok func() error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			var said strings.Builder
			for _, p := range h.processes {
				said.Write(p.output.Bytes())
			}
			return fmt.Errorf("%s is not ready: %w\n%s", what, err, said.String())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
	}
}

// writePairs writes the pairs of the bulk load: 12-byte keys, 32-byte values.
func (h *house) writePairs() error {
	var tsv, resp bytes.Buffer
	for i := range h.pairs {
		fmt.Fprintf(&tsv, "k%011d\t%032d\n", i, i)
		if h.redis != "" {
			fmt.Fprintf(&resp, "*3\r\n$3\r\nSET\r\n$12\r\nk%011d\r\n$32\r\n%032d\r\n", i, i)
		}
	}
	h.tsv, h.resp = filepath.Join(h.dir, "pairs.tsv"), filepath.Join(h.dir, "pairs.resp")
	return errors.Join(os.WriteFile(h.tsv, tsv.Bytes(), 0o600), os.WriteFile(h.resp, resp.Bytes(), 0o600))
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
