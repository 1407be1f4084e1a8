package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Backup asks the node that was given and no other. It waits where the node is busy, and passes on
// what the node sends.
func TestBackupAsksOneNode(t *testing.T) {
	busy := 2
	cluster := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if busy--; busy >= 0 {
			w.Header().Set("Retry-After", "1")
			reply(w, 503, `{"error":"this node is being backed up"}`)
			return
		}
		reply(w, 200, "the tar")
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[1].addr, cluster.nodes[0].addr}})
	body, err := c.Backup(background)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil || string(data) != "the tar" {
		t.Errorf("got %q, %v", data, err)
	}
	if asked, other := cluster.nodes[1].about("/cluster/backup"), cluster.nodes[0].about("/cluster/backup"); len(asked) != 3 || len(other) != 0 {
		t.Errorf("asked %q, and the other %q", asked, other)
	}
}

// What a node refuses is a StatusError, in the node's words. Who is not there is unavailable.
func TestBackupIsRefused(t *testing.T) {
	status, body := 409, `{"error":"nothing on a disk"}`
	cluster := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, status, body) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	_, err := c.Backup(background)
	var refusal *StatusError
	if !errors.As(err, &refusal) || refusal.Status != 409 || !strings.Contains(refusal.Message, "nothing on a disk") {
		t.Errorf("got %v", err)
	}
	status, body = 401, `{"error":"a token is needed"}`
	if _, err = c.Backup(background); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("without a token: %v", err)
	}
	cluster.nodes[0].Close()
	if _, err = c.Backup(background); !errors.Is(err, ErrUnavailable) {
		t.Errorf("out of reach: %v", err)
	}
	c.Close()
	if _, err = c.Backup(background); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A backup that breaks off, or that stands still for longer than the timeout, is an error, and so
// is one that is cancelled. How long it takes in all does not matter.
func TestABackupThatDoesNotArrive(t *testing.T) {
	hold := make(chan struct{})
	var stands atomic.Bool
	cluster := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Dht-Node", "a:1")
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "12345")
		w.(http.Flusher).Flush()
		if stands.Load() {
			<-hold
		}
	})
	defer close(hold)
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: 50 * time.Millisecond})
	read := func(ctx context.Context, first func()) error {
		body, err := c.Backup(ctx)
		if err != nil {
			return err
		}
		defer body.Close()
		if _, err := io.ReadFull(body, make([]byte, 5)); err != nil {
			return err
		}
		first()
		_, err = io.ReadAll(body)
		return err
	}
	if err := read(background, func() {}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("it breaks off: %v", err)
	}
	stands.Store(true)
	if err := read(background, func() {}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it stands still: %v", err)
	}
	c, _ = newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}, Timeout: time.Hour})
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	if err := read(ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
