package server

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/slowlog"
	"httpdhs/internal/syncbuf"
	"httpdhs/kv"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

// A traceparent is read as its standard says; what is malformed is ignored.
func TestTraceparent(t *testing.T) {
	for _, good := range []string{"00-" + traceID + "-" + spanID + "-01", "00-" + traceID + "-" + spanID + "-ff", "01-" + traceID + "-" + spanID + "-00", "cc-" + traceID + "-" + spanID + "-01-what-the-future"} {
		if trace, span, ok := parseTraceparent([]byte(good)); !ok || string(trace) != traceID || string(span) != spanID {
			t.Errorf("%s: %s %s %v", good, trace, span, ok)
		}
	}
	for _, bad := range []string{"", "00", "00-" + traceID + "-" + spanID, "00-" + traceID + "-" + spanID + "-01-more", "ff-" + traceID + "-" + spanID + "-01", "cc-" + traceID + "-" + spanID + "-01more",
		"00-" + strings.ToUpper(traceID) + "-" + spanID + "-01", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01",
		"0x-" + traceID + "-" + spanID + "-01", "00-" + traceID + "-" + spanID + "-0g", "00-" + traceID[1:] + "g-" + spanID + "-01", "00_" + traceID + "_" + spanID + "_01", " 00-" + traceID + "-" + spanID + "-01"} {
		if trace, span, ok := parseTraceparent([]byte(bad)); ok {
			t.Errorf("%s: %s %s", bad, trace, span)
		}
	}
}

var traceparentForm = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-(?s:.*))?$`)

// A traceparent is taken if, and only if, it has the form that the standard gives.
func FuzzTraceparent(f *testing.F) {
	f.Add([]byte("00-" + traceID + "-" + spanID + "-01"))
	f.Add([]byte("01-" + traceID + "-" + spanID + "-01-x"))
	f.Fuzz(func(t *testing.T, field []byte) {
		m := traceparentForm.FindSubmatch(field)
		want := m != nil && string(m[1]) != "ff" && (string(m[1]) != "00" || len(m[4]) == 0) && strings.Trim(string(m[2]), "0") != "" && strings.Trim(string(m[3]), "0") != ""
		trace, span, ok := parseTraceparent(field)
		if ok != want || ok && (!bytes.Equal(trace, m[2]) || !bytes.Equal(span, m[3])) {
			t.Errorf("%q: %s %s %v, want %v", field, trace, span, ok, want)
		}
	})
}

// logged are the lines of a log in JSON that have a message.
func logged(t *testing.T, log *syncbuf.Buffer, msg string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == msg {
			found = append(found, m)
		}
	}
	return found
}

// A request that takes the node longer than is said is logged, with what it was, what came of it
// and the trace that it is of. So is it in the access log, where that is on. Others are not.
func TestSlowRequests(t *testing.T) {
	var log syncbuf.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	f := start(t, Options{Log: logger, AccessLog: true, SlowLog: slowlog.New(logger, time.Hour)})
	f.send("PUT", "/db/quick", "v").want(t, 201)
	if got := logged(t, &log, "slow request"); len(got) != 0 {
		t.Errorf("a quick request was logged: %v", got)
	}
	f = start(t, Options{Log: logger, AccessLog: true, SlowLog: slowlog.New(logger, time.Nanosecond)})
	f.send("PUT", "/db/slow?w=all", "value", "traceparent: 00-"+traceID+"-"+spanID+"-01").want(t, 201)
	f.send("GET", "/db/"+strings.Repeat("k", 4000), "", "traceparent: 00-"+traceID+"-"+spanID+"-01", "Traceparent: 00-"+traceID+"-"+spanID+"-01").want(t, 404)
	slow, all := logged(t, &log, "slow request"), logged(t, &log, "request")
	if len(slow) != 2 || len(all) != 3 {
		t.Fatalf("%s", log.String())
	}
	for name, want := range map[string]any{"level": "WARN", "method": "PUT", "target": "/db/slow?w=all", "status": 201.0, "bytes": 0.0, "received": 5.0, "acks": "2/2", "trace": traceID, "span": spanID} {
		if slow[0][name] != want {
			t.Errorf("%s is %v, want %v, in %v", name, slow[0][name], want, slow[0])
		}
	}
	if took, ok := slow[0]["took"].(float64); !ok || took <= 0 || !strings.HasPrefix(slow[0]["remote"].(string), "127.0.0.1:") {
		t.Errorf("%v", slow[0])
	}
	if slow[1]["trace"] != nil || slow[1]["acks"] != nil || len(slow[1]["target"].(string)) > 300 {
		t.Errorf("two traces, and no replicas: %v", slow[1])
	}
	if all[1]["trace"] != traceID || all[0]["trace"] != nil {
		t.Errorf("the access log: %v %v", all[1], all[0])
	}
}

// The access log has a line for each request that is answered, also for what could not be read:
// that has no method and no target, and says why.
func TestAccessLogHasWhatIsMalformed(t *testing.T) {
	var log syncbuf.Buffer
	f := start(t, Options{Log: slog.New(slog.NewJSONHandler(&log, nil)), AccessLog: true})
	big := strings.Repeat("a", 1<<20)
	for i, in := range []struct {
		raw    string
		status float64
	}{
		{"GET /db/k HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		{"GET /db/" + big + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
		{"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + big + "\r\n\r\n", 431},
	} {
		f.raw(in.raw)
		got := logged(t, &log, "request")
		if len(got) != i+1 {
			t.Fatalf("%v: %d lines, want %d", in.status, len(got), i+1)
		}
		if line := got[i]; line["status"] != in.status || line["method"] != "-" || line["target"] != "-" || line["reason"] == "" || line["remote"] == "" {
			t.Errorf("%v: %v", in.status, line)
		}
	}
}

// The time for which a client lets the node wait for its body is not the node's.
func TestSlowClientsAreNoSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncbuf.Buffer
		logger := slog.New(slog.NewJSONHandler(&log, nil))
		store := newFakeStore()
		s := New(Options{Name: "n1:1234", Log: logger, SlowLog: slowlog.New(logger, time.Second)}, store, &fakeCluster{}, fakePeers{})
		s.sweepEvery, s.clock.now = 0, s.clock.Load
		for _, stores := range []time.Duration{0, 2 * time.Second} {
			store.do = func(*kv.Call) { time.Sleep(stores) } // of the bubble, as all that follow
			ours, theirs := net.Pipe()
			s.accept(theirs)
			_, _ = io.WriteString(ours, "PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nva")
			time.Sleep(time.Minute) // nothing is waited for: the client takes its time
			_, _ = io.WriteString(ours, "lue")
			_, _ = io.ReadAll(ours)
			_ = ours.Close()
		}
		got := logged(t, &log, "slow request")
		if len(got) != 1 || got[0]["took"] != 62e9 || got[0]["waited_for_client"] != 60e9 {
			t.Errorf("logged are %v, want one that took 62 s, of which the client 60", got)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
