package node_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/testcluster"
	"httpdhs/kv"
	"httpdhs/replicate"
)

// A panic of the HTTP client is an error of the round trip, like any other: senders and probers
// have nobody who would recover it.
func TestAPanicOfTheClientIsAnError(t *testing.T) {
	tr := replicate.NewHTTPTransport("127.0.0.1:1", "", nil, 1<<20)
	tr.Dial = func(string, time.Duration) (net.Conn, error) { panic("a fault") }
	if _, err := tr.RoundTrip(nil, []byte("message"), time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "a fault") {
		t.Errorf("error %v", err)
	}
}

// A client may set any expiry, in the binary format. One that no date can say is shown as the
// last that can, wherever it is shown.
func TestAnExpiryBeyondAllDates(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 1})
	body := kv.AppendRecord(nil, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Expires: 1 << 62, Value: []byte("v")}})
	wantStatus(t, c.Do(0, "POST", "/load-data", string(body), "Content-Type", "application/vnd.httpdhs.records"), 200)
	for target, want := range map[string]string{
		"/cluster/key/k": "9999-12-31T23:59:59.999Z",
		"/db?values=1":   "9999-12-31T23:59:59.999Z",
	} {
		if r := c.Do(0, "GET", target, ""); r.Status != 200 || !strings.Contains(r.Body, want) {
			t.Errorf("%s: %d %s", target, r.Status, r.Body)
		}
	}
	if r := c.Get(0, "k"); r.Header.Get("Expires") != "Fri, 31 Dec 9999 23:59:59 GMT" {
		t.Errorf("Expires: %s", r.Header.Get("Expires"))
	}
}
