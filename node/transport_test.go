package node_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/replicate"
)

// A peer that was restarted has closed all connections that a node has to it. The first message on one fails, and the next goes over a new one:
// one failure is tried again, and two would be a peer that is down.
func TestOneBrokenConnectionSpoilsAll(t *testing.T) {
	const pooled = 5
	var first sync.WaitGroup
	first.Add(pooled)
	peer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		first.Done()
		first.Wait() // each on a connection of its own
	}))
	defer peer.Close()
	transport := replicate.NewHTTPTransport(strings.TrimPrefix(peer.URL, "http://"), "", nil, 1<<20)
	defer transport.Abort()
	send := func() error {
		_, err := transport.RoundTrip(nil, []byte("message"), time.Now().Add(time.Minute))
		return err
	}
	var all sync.WaitGroup
	for range pooled {
		all.Go(func() {
			if err := send(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()

	peer.CloseClientConnections()
	first.Add(1)
	if err := send(); err == nil {
		t.Fatal("no connection was broken")
	}
	if err := send(); err != nil {
		t.Errorf("the second message fails too: %v", err)
	}
}
