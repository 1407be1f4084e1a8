package node_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/replicate"
)

// A peer that was restarted has closed all connections that a node has to it. The first message on one fails, and the next goes over a new one:
// one failure is tried again, and two would be a peer that is down.
func TestOneBrokenConnectionSpoilsAll(t *testing.T) {
	const pooled = 5
	var arrived atomic.Int32
	all := make(chan struct{})
	peer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == pooled {
			close(all)
		}
		select { // each has a connection of its own
		case <-all:
		case <-r.Context().Done():
		}
	}))
	defer peer.Close()
	transport := replicate.NewHTTPTransport(strings.TrimPrefix(peer.URL, "http://"), "", nil, 1<<20)
	defer transport.Abort()
	send := func() error {
		_, err := transport.RoundTrip(nil, []byte("message"), time.Now().Add(time.Minute))
		return err
	}
	var first sync.WaitGroup
	for range pooled {
		first.Go(func() {
			if err := send(); err != nil {
				t.Error(err)
			}
		})
	}
	first.Wait()

	peer.CloseClientConnections()
	if err := send(); err == nil {
		t.Fatal("no connection was broken")
	}
	if err := send(); err != nil {
		t.Errorf("the second message fails too: %v", err)
	}
}
