package metrics

import (
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/antientropy"
	"httpdhs/disk"
	"httpdhs/internal/histogram"
	"httpdhs/peer"
	"httpdhs/replicate"
	"httpdhs/server"
	"httpdhs/server/resp"
	"httpdhs/shard"
	"httpdhs/topology"
	"httpdhs/wire"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"
)

// full has every source, each value different.
func full() Sources {
	src := Sources{
		Version:   "v1.2.3",
		MaxMemory: 15,
		Ready:     func() bool { return true },
		Store: func() shard.Stats {
			return shard.Stats{
				Keys: 11, Tombstones: 12, Bytes: 13, Accounted: 14, Evicted: 6, EvictedBytes: 7, Passed: 8,
				Memory: shard.Memory{Live: 5, Dead: 2, Segments: 10, Index: 4},
			}
		},
		Disk: func() disk.Stats {
			return disk.Stats{
				Bytes: 201, Live: 202, Unsynced: 203, Max: 204, Segments: 205, Behind: 206, Fault: true, Written: 207, Changed: 208, Copied: 209,
				Cleaned: 210, Damaged: 211, Faults: 212, Syncs: 213, SyncTime: 214 * time.Millisecond, SyncLongest: 215 * time.Millisecond,
				Loaded: 216, LoadTime: 217 * time.Millisecond,
			}
		},
		Steps: func() (all [shard.StepKinds]shard.StepTimes) {
			for kind := range all {
				times := &all[kind]
				times.Count, times.Total, times.Longest = int64(kind+4), time.Duration(kind+2)*time.Millisecond, time.Duration(kind+1)*time.Millisecond
				times.Buckets[0], times.Buckets[shard.StepBuckets-2], times.Buckets[shard.StepBuckets-1] = 1, 2, int64(kind+1)
			}
			return all
		},
		HTTP: func() server.Stats {
			h := server.Stats{
				Malformed: 24, Overloaded: 25, Panics: 26,
				Conns: 27, RejectedConns: 28, SlowConns: 29,
				InFlightBytes: 30, PeerInFlightBytes: 31,
				EvictedConns: 32, AnswerBytes: 33,
				RefusedMessages: map[string]int64{"changed": 34, "secret": 35},
			}
			h.Requests[0][2], h.Requests[0][4], h.Requests[2][2] = 21, 22, 23
			for i := range h.Operations {
				h.Operations[i].Errors = int64(300 + i)
				h.Operations[i].Took.Sum = int64(i+1) * int64(time.Millisecond)
				h.Operations[i].Took.Buckets[i], h.Operations[i].Took.Buckets[histogram.Buckets-1] = int64(310+i), 1
			}
			return h
		},
		Resp: func() resp.Stats {
			took := histogram.Counts{Sum: int64(time.Second)}
			took.Buckets[2] = 321
			return resp.Stats{
				FailedCalls: 320, CallTimes: took,
				Commands: 81, Calls: 82, Operations: 83, Conns: 84, AcceptedConns: 85, RejectedConns: 86, SlowConns: 87, Malformed: 88,
				Panics: 89, Overloaded: 90, InBytes: 91, OutBytes: 92, InHeld: 93, OutHeld: 94, UnknownOutcomes: 95, Gets: 193, Hits: 96,
			}
		},
		Calls: new(replicate.Counters), Repairs: new(antientropy.Counters),
		Peers: func() []topology.Status {
			up := topology.Status{Name: "b:1235", State: peer.Up, Bound: 81, Ping: wire.Ping{InSync: true}, Counters: new(peer.Counters)}
			up.SentRecords.Store(51)
			up.SentBatches.Store(52)
			down := topology.Status{Name: "c:1236", Queued: 53, Bound: 82, Counters: new(peer.Counters)}
			down.SentRecords.Store(54)
			down.SentBatches.Store(55)
			down.SendErrors.Store(56)
			down.DroppedRecords.Store(57)
			up.RoundTrips.Record(&histogram.Latencies, int64(150*time.Microsecond))
			up.BatchRecords.Record(&histogram.Sizes, 3)
			up.BatchRecords.Record(&histogram.Sizes, 20_000)
			return []topology.Status{up, down}
		},
		Ring: func() Ring {
			return Ring{
				Fingerprint: "00c0ffee00c0ffee", PrimaryPartitions: 61, ReplicaPartitions: 62,
				Changing: true, FetchLeft: 63, FetchBytesLeft: 64, HandOver: 65, UnderReplicated: 66,
			}
		},
		Members: func() Members {
			return Members{States: map[string]int{"active": 71, "joining": 72, "leaving": 73}, Evicted: 74}
		},
	}
	c, r := src.Calls, src.Repairs
	for counter, value := range map[*atomic.Int64]int64{
		&c.Reads: 41, &c.Hedges: 5, &c.Writes: 42, &c.Repairs: 43, &c.Restamps: 44, &c.Unavailable: 45, &c.Timeouts: 46,
		&c.Overloads: 47, &c.Refused: 40, &r.Pulled: 48, &r.Refused: 9, &r.HandedOver: 50,
	} {
		counter.Store(value)
	}
	return src
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
	if got := testutil.CollectAndCount(&collector{src: src}); got != 9 {
		t.Errorf("with the ring alone there are %d metrics, want build_info and eight of the ring", got)
	}
}

// A scrape over HTTP has our metrics, the runtime's and the process's. Each scrape reads the
// sources again.
func TestHandler(t *testing.T) {
	keys := 7
	h := Handler(New(Sources{Store: func() shard.Stats { return shard.Stats{Keys: keys} }}))
	wantScrape(t, h, 200, "httpdhs_store_keys 7\n", "go_goroutines ", "httpdhs_build_info{")
	if runtime.GOOS == "linux" {
		wantScrape(t, h, 200, "process_resident_memory_bytes ")
	}
	keys++
	wantScrape(t, h, 200, "httpdhs_store_keys 8\n")
}

// When a value cannot be exposed the scrape fails with the reason, and is not
// a page that silently lacks it.
func TestHandlerFailsAsAWhole(t *testing.T) {
	bad := Sources{Ring: func() Ring { return Ring{Fingerprint: "\xff"} }}
	wantScrape(t, Handler(New(bad)), 500, "cannot gather metrics: ")

	twice := Sources{Peers: func() []topology.Status {
		a := topology.Status{Name: "a", Counters: new(peer.Counters)}
		return []topology.Status{a, a}
	}}
	wantScrape(t, Handler(New(twice)), 500, "collected before with the same name and label values")
}

func wantScrape(t *testing.T, h fasthttp.RequestHandler, status int, want ...string) {
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
