package metrics

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"
)

// full has every source, each value different.
func full() Sources {
	return Sources{
		Version: "v1.2.3",
		Ready:   func() bool { return true },
		Store: func() Store {
			return Store{Keys: 11, Tombstones: 12, Bytes: 13, AccountedBytes: 14, MaxBytes: 15, LiveBytes: 5, DeadBytes: 2, SegmentBytes: 10, IndexBytes: 4, Evicted: 6, EvictedBytes: 7, Passed: 8, Steps: []StoreSteps{
				{Kind: "compact", Count: 9, Total: 3 * time.Millisecond, Longest: 2 * time.Millisecond, AtMost: map[float64]uint64{0.001: 5, 0.002: 8}},
				{Kind: "grow", Count: 1, Total: time.Millisecond, Longest: time.Millisecond, AtMost: map[float64]uint64{0.001: 0, 0.002: 1}},
			}}
		},
		HTTP: func() HTTP {
			return HTTP{
				Requests: []RequestCount{
					{Method: "get", Code: "2xx", Count: 21},
					{Method: "get", Code: "4xx", Count: 22},
					{Method: "put", Code: "2xx", Count: 23},
				},
				Malformed: 24, Overloaded: 25, Panics: 26,
				Conns: 27, RejectedConns: 28, SlowConns: 29,
				InFlightBytes: 30, PeerInFlightBytes: 31,
				EvictedConns: 32, AnswerBytes: 33,
				RefusedMessages: map[string]int64{"changed": 34, "secret": 35},
			}
		},
		Coordinator: func() Coordinator {
			return Coordinator{
				Reads: 41, Hedges: 5, Writes: 42, ReadRepairs: 43, Restamps: 44, Unavailable: 45, Timeouts: 46, Overloads: 47,
				Synced: 48, Refused: 49, HandedOver: 50,
			}
		},
		Peers: func() []Peer {
			return []Peer{
				{Name: "b:1235", State: "up", Synced: true, SentRecords: 51, SentBatches: 52},
				{
					Name: "c:1236", State: "down", QueueBytes: 53, SentRecords: 54, SentBatches: 55,
					SendErrors: 56, DroppedRecords: 57,
				},
			}
		},
		Ring: func() Ring {
			return Ring{
				Fingerprint: "00c0ffee00c0ffee", PrimaryPartitions: 61, ReplicaPartitions: 62,
				Changing: true, FetchLeft: 63, FetchBytesLeft: 64, HandOver: 65,
			}
		},
		Members: func() Members {
			return Members{States: map[string]int{"active": 71, "joining": 72, "leaving": 73}, Evicted: 74}
		},
	}
}

// What is scraped is exactly testdata/full.txt: a renamed metric breaks
// somebody's dashboard, so it has to be changed in two places.
func TestEverySourceIsExposed(t *testing.T) {
	want, err := os.ReadFile("testdata/full.txt")
	if err != nil {
		t.Fatal(err)
	}
	golden := strings.ReplaceAll(string(want), "GOVERSION", runtime.Version())
	if err := testutil.CollectAndCompare(&collector{src: full()}, strings.NewReader(golden)); err != nil {
		t.Error(err)
	}
}

// The names keep to the conventions of Prometheus.
func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(&collector{src: full()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A source that is not there leaves its metrics out and nothing else.
func TestNoSourceNoMetric(t *testing.T) {
	if got := testutil.CollectAndCount(&collector{}); got != 1 {
		t.Errorf("without sources there are %d metrics, want build_info alone", got)
	}
	src := Sources{Ring: full().Ring}
	if got := testutil.CollectAndCount(&collector{src: src}); got != 8 {
		t.Errorf("with the ring alone there are %d metrics, want build_info and seven of the ring", got)
	}
}

// A scrape over HTTP has our metrics, the runtime's and the process's, and
// reads the sources anew each time.
func TestHandler(t *testing.T) {
	keys := int64(7)
	h := Handler(New(Sources{Store: func() Store { return Store{Keys: keys} }}))
	scrape(t, h, 200, "httpdhs_store_keys 7\n", "go_goroutines ", "httpdhs_build_info{")
	if runtime.GOOS == "linux" {
		scrape(t, h, 200, "process_resident_memory_bytes ")
	}
	keys++
	scrape(t, h, 200, "httpdhs_store_keys 8\n")
}

// When a value cannot be exposed the scrape fails with the reason, and is not
// a page that silently lacks it.
func TestHandlerFailsAsAWhole(t *testing.T) {
	bad := Sources{Ring: func() Ring { return Ring{Fingerprint: "\xff"} }}
	scrape(t, Handler(New(bad)), 500, "cannot gather metrics: ")

	twice := Sources{Peers: func() []Peer { return []Peer{{Name: "a"}, {Name: "a"}} }}
	scrape(t, Handler(New(twice)), 500, "collected before with the same name and label values")
}

func scrape(t *testing.T, h fasthttp.RequestHandler, status int, want ...string) {
	t.Helper()
	var ctx fasthttp.RequestCtx
	h(&ctx)
	if got := ctx.Response.StatusCode(); got != status {
		t.Fatalf("status %d, want %d", got, status)
	}
	body := string(ctx.Response.Body())
	for _, w := range want {
		if !strings.Contains(body, w) {
			t.Errorf("no %q in the answer:\n%.600s", w, body)
		}
	}
	if ct := string(ctx.Response.Header.ContentType()); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("content type %q, want text/plain", ct)
	}
}

var _ prometheus.Collector = (*collector)(nil)
