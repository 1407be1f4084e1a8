package node_test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/testcluster"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// A panic of a transport is an error of the round trip, like any other: senders and probers
// have nobody who would recover it.
func TestAPanicOfATransportIsAnError(t *testing.T) {
	tr := peer.NewFrameTransport("127.0.0.1:1", "", nil, 1<<20)
	tr.Dial = func(string, time.Duration) (net.Conn, error) { panic("a fault") }
	if _, err := tr.RoundTrip(nil, []byte("message"), time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "a fault") {
		t.Errorf("error %v", err)
	}
}

// A client can store no expiry that no date can say. A node that runs an earlier build may hold
// one, and send it: it is shown as the last that there is, wherever it is shown, and what is dumped
// can be loaded again.
func TestAnExpiryBeyondAllDates(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, testcluster.Options{Nodes: 1})
	late := kv.Record{Key: []byte("k"), Entry: kv.Entry{Expires: 1 << 62, Value: []byte("v")}}
	load := func(contentType, body, want string) {
		t.Helper()
		if r := c.Do(0, "POST", "/load-data", body, "Content-Type", contentType); r.Status != 200 || !strings.Contains(r.Body, want) {
			t.Errorf("load: %d %s, want %s", r.Status, r.Body, want)
		}
	}
	refused := `{"loaded":0,"failed":1,"errors":[{"line":1,"error":"` + kv.ErrExpiresTooLate.Error()
	load("application/vnd.httpdhs.records", string(kv.AppendRecord(nil, &late)), refused)
	load("application/x-ndjson", `{"key":"k","value":"v","expires":"9999-12-31T23:59:59-00:01"}`, refused)
	wantStatus(t, c.Get(0, "k"), 404)

	late.Version = kv.VersionAt(time.Now())
	message := append(wire.AppendHello(nil, nil)[:1], 1) // a batch, in the format of messages
	message = append(binary.LittleEndian.AppendUint64(message, uint64(late.Version)), 'a')
	message = kv.AppendRecord(message, &late)
	tr := peer.NewFrameTransport(c.Name(0), "", nil, 1<<20)
	defer tr.Abort()
	if _, err := tr.RoundTrip(nil, message, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	const last = "9999-12-31T23:59:59.999Z"
	for what, r := range map[string]testcluster.Response{
		"/cluster/key/k": c.Do(0, "GET", "/cluster/key/k", ""),
		"/db?values=1":   c.Do(0, "GET", "/db?values=1", ""),
		"/batch":         c.Do(0, "POST", "/batch", `{"op":"get","key":"k"}`),
	} {
		if r.Status != 200 || !strings.Contains(r.Body, last) {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	if r := c.Get(0, "k"); r.Header.Get("Expires") != "Fri, 31 Dec 9999 23:59:59 GMT" {
		t.Errorf("Expires: %s", r.Header.Get("Expires"))
	}
	load("application/x-ndjson", c.Do(0, "GET", "/db?values=1", "", "Accept", "application/x-ndjson").Body, `{"loaded":1,`)
	if r := c.Do(0, "GET", "/cluster/key/k", ""); !strings.Contains(r.Body, last) || c.Get(0, "k").Body != "v" {
		t.Errorf("after its dump was loaded: %s", r.Body)
	}
}
