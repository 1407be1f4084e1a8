package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// loadTarget is the /load-data of a fake cluster: one map, written in the
// order in which blocks are read at any node.
type loadTarget struct {
	mu       sync.Mutex
	pairs    map[string]string
	blocks   []int // read at each node
	inFlight []int
	most     []int // that were in flight at each node
}

func newLoadTarget(nodes int) *loadTarget {
	return &loadTarget{
		pairs: map[string]string{}, blocks: make([]int, nodes),
		inFlight: make([]int, nodes), most: make([]int, nodes),
	}
}

// take stores a block. Records that refuse picks fail.
func (l *loadTarget) take(t *testing.T, node int, w http.ResponseWriter, r *http.Request, refuse func(key string) bool) {
	l.mu.Lock()
	l.blocks[node]++
	l.inFlight[node]++
	l.most[node] = max(l.most[node], l.inFlight[node])
	l.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("cannot read a block: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight[node]--
	res := api.LoadResult{}
	lim := kv.DefaultLimits()
	for line := int64(1); len(body) > 0; line++ {
		var rec kv.Record
		if rec, body, err = kv.DecodeRecord(body, &lim); err != nil {
			t.Errorf("record %d of a block: %v", line, err)
			break
		}
		if refuse != nil && refuse(string(rec.Key)) {
			res.Failed++
			res.Errors = append(res.Errors, api.LineError{Line: line, Error: "refused"})
			continue
		}
		res.Loaded++
		l.pairs[string(rec.Key)] = string(rec.Value)
	}
	_ = json.NewEncoder(w).Encode(res)
}

// bigTSV makes a file of some blocks a lane, with few keys, and what has to
// be there after it is loaded line by line.
func bigTSV(lines int) (file string, want map[string]string) {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	want = map[string]string{}
	for i := range lines {
		key := fmt.Sprintf("key-%d", random.IntN(200))
		value := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 200))
		want[key] = value
		fmt.Fprintf(&b, "%s\t%s\n", key, value)
	}
	return b.String(), want
}

func loadTSV(c *Client, file string) (LoadReport, error) {
	return c.NewLoader(nil).Load(background, ReadRecords(strings.NewReader(file), TSV, nil))
}

func samePairs(t *testing.T, got, want map[string]string) {
	t.Helper()
	wrong := 0
	for key, value := range want {
		if got[key] != value {
			wrong++
		}
	}
	if wrong > 0 || len(got) != len(want) {
		t.Errorf("%d keys, want %d; %d of them without their last value", len(got), len(want), wrong)
	}
}

// Of the records of a key the last in the file wins, although blocks are in
// flight at all nodes at once. No node gets more of them at a time than it
// has lanes, and each gets some.
func TestLoadLastWins(t *testing.T) {
	target := newLoadTarget(3)
	cluster := newFakeCluster(t, 3, func(node int, w http.ResponseWriter, r *http.Request) { target.take(t, node, w, r, nil) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	file, want := bigTSV(20_000)
	report, err := loadTSV(c, file)
	if err != nil || report.Loaded != 20_000 || report.Failed != 0 {
		t.Errorf("got %+v, %v", report, err)
	}
	samePairs(t, target.pairs, want)
	for node := range 3 {
		if target.blocks[node] < 2 || target.most[node] > lanesPerNode {
			t.Errorf("node %d got %d blocks, %d at a time", node, target.blocks[node], target.most[node])
		}
	}
}

// Every record is sent to the primary of its key.
func TestLoadGoesToPrimaries(t *testing.T) {
	var cluster *fakeCluster
	target := newLoadTarget(3)
	cluster = newFakeCluster(t, 3, func(node int, w http.ResponseWriter, r *http.Request) {
		target.take(t, node, w, r, func(key string) bool {
			if cluster.primary(key) != node {
				t.Errorf("%q was sent to node %d, its primary is %d", key, node, cluster.primary(key))
			}
			return false
		})
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[2].addr}})
	if _, err := loadTSV(c, "a\t1\nb\t2\nc\t3\nd\t4\ne\t5\nf\t6\ng\t7\n"); err != nil {
		t.Fatal(err)
	}
}

// When a node dies in the middle of a load, its blocks go to the others, in
// the same order, and nothing is missing.
func TestLoadOutlivesANode(t *testing.T) {
	target := newLoadTarget(3)
	var dead sync.Once
	var cluster *fakeCluster
	cluster = newFakeCluster(t, 3, func(node int, w http.ResponseWriter, r *http.Request) {
		if node == 1 {
			dead.Do(func() { cluster.nodes[1].Listener.Close() })
			hangUp(w)
			return
		}
		target.take(t, node, w, r, nil)
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[1].addr, cluster.nodes[0].addr}})
	file, want := bigTSV(20_000)
	report, err := loadTSV(c, file)
	if err != nil || report.Loaded != 20_000 {
		t.Errorf("got %+v, %v", report, err)
	}
	samePairs(t, target.pairs, want)
}

// Errors name lines of the file, whether they come from reading it or from the nodes. None of them
// stops the others. A record that one node refuses is offered to another before it counts as
// failed.
func TestLoadNamesLines(t *testing.T) {
	target := newLoadTarget(2)
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) {
		target.take(t, node, w, r, func(key string) bool {
			return strings.HasPrefix(key, "bad") || strings.HasPrefix(key, "moved") && target.blocks[1-node] == 0
		})
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	var lines []string
	for i := 1; i <= 60; i++ {
		switch {
		case i%10 == 7:
			lines = append(lines, "no tab here")
		case i%10 == 3:
			lines = append(lines, fmt.Sprintf("bad-%d\tv", i))
		case i == 12:
			lines = append(lines, "")
		default:
			lines = append(lines, fmt.Sprintf("moved-%d\tv", i))
		}
	}
	report, err := loadTSV(c, strings.Join(lines, "\n"))
	if !errors.Is(err, ErrIncomplete) || report.Loaded != 47 || report.Failed != 12 || len(report.Errors) != 12 {
		t.Fatalf("got %+v, %v; want 47 loaded and 12 failed", report, err)
	}
	if want := "not all records were loaded: 12 of 59 failed, the first at line 3: refused"; err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
	for i, want := range []int64{3, 7, 13, 17, 23, 27, 33, 37, 43, 47, 53, 57} {
		if report.Errors[i].Line != want {
			t.Errorf("error %d is of line %d, want %d", i, report.Errors[i].Line, want)
		}
	}
}

// A block that is refused as a whole fails with its records and the load goes on. A refusal that
// will meet every block, of the token or of a level, ends it.
func TestLoadRefused(t *testing.T) {
	status := 0
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, status, `{"error":"no"}`) })
	c, _ := newClient(t, Options{Addrs: []string{node.addr}})
	status = 507
	report, err := loadTSV(c, "a\t1\nb\t2\n")
	if !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrFull) || report.Failed != 2 {
		t.Errorf("status 507: got %+v, %v; want 2 failed", report, err)
	}
	for _, status = range []int{400, 401} {
		var answer *StatusError
		report, err := loadTSV(c, "a\t1\nb\t2\n")
		if !errors.As(err, &answer) || answer.Status != status || errors.Is(err, ErrIncomplete) || report.Failed != 0 {
			t.Errorf("status %d: got %+v, %v", status, report, err)
		}
	}
}

// With all nodes gone a load is given up, after it waited for them a while.
func TestLoadGivesUp(t *testing.T) {
	c, waits := newClient(t, Options{Addrs: []string{deadAddr(t)}})
	report, err := loadTSV(c, "a\t1\n")
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) || report.Loaded+report.Failed != 0 || len(*waits) != blockTries-1 {
		t.Errorf("got %+v, %v after %v", report, err, *waits)
	}
}

// A file that breaks off ends the load with its error, which names the line. What was read before
// is sent and counted: the blocks that are on their way then, and the one that is not full. An
// error that wraps io.EOF is no end of the file.
func TestLoadOfBrokenFile(t *testing.T) {
	target := newLoadTarget(2)
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) { target.take(t, node, w, r, nil) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	file, want := bigTSV(10_000)
	for _, broken := range []error{errors.New("disk on fire"), io.ErrUnexpectedEOF, fmt.Errorf("gone: %w", io.EOF)} {
		target.pairs = map[string]string{}
		src := io.MultiReader(strings.NewReader(file+"cut"), readerFunc(func([]byte) (int, error) { return 0, broken }))
		report, err := c.NewLoader(nil).Load(background, ReadRecords(src, TSV, nil))
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 10001") {
			t.Errorf("got %v, want line 10001 and %v", err, broken)
		}
		if report.Loaded != 10_000 || report.Failed != 0 {
			t.Errorf("loaded %d, %d failed; want what was read before", report.Loaded, report.Failed)
		}
		samePairs(t, target.pairs, want)
	}
}

// Where one lane gives up, what the others have sent is still waited for and counted: it is stored.
func TestLoadCountsWhatIsOnItsWay(t *testing.T) {
	target := newLoadTarget(2)
	sent, refused := make(chan struct{}), make(chan struct{})
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) {
		if node == 1 {
			<-sent
			_, _ = io.Copy(io.Discard, r.Body)
			reply(w, 401, `{"error":"no"}`)
			close(refused)
			return
		}
		close(sent)
		<-refused
		target.take(t, node, w, r, nil)
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	value := strings.Repeat("v", 4<<20) // a block of its own
	file := cluster.keyOf(0) + "\t" + value + "\n" + cluster.keyOf(1) + "\t" + value + "\n"
	report, err := loadTSV(c, file)
	if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "line 2") || report.Loaded != 1 {
		t.Errorf("got %+v, %v; want one loaded, and line 2 refused", report, err)
	}
}

// Where one lane gives up because a node refuses, and another because a node has hung up, what the
// second has sent may be stored. The error says so, whichever came first.
func TestLoadThatMayBeStored(t *testing.T) {
	var sent sync.WaitGroup // both blocks
	sent.Add(2)
	var first [2]sync.Once
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		first[node].Do(sent.Done)
		sent.Wait()
		if node == 1 {
			reply(w, 401, `{"error":"no"}`)
			return
		}
		hangUp(w)
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	file := cluster.keyOf(0) + "\t1\n" + cluster.keyOf(1) + "\t2\n"
	report, err := loadTSV(c, file)
	if !errors.Is(err, ErrUnauthorized) || !errors.Is(err, ErrOutcomeUnknown) || report.Loaded+report.Failed != 0 {
		t.Errorf("got %+v, %v", report, err)
	}
}

// A record that failed is counted also where the second node to which it is offered does not
// answer.
func TestLoadCountsWhatFailedBeforeItGivesUp(t *testing.T) {
	target := newLoadTarget(1)
	cluster := newFakeCluster(t, 1, func(node int, w http.ResponseWriter, r *http.Request) {
		if target.blocks[0] > 0 {
			hangUp(w)
			return
		}
		target.take(t, node, w, r, func(key string) bool { return key == "bad" })
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	report, err := loadTSV(c, "bad\t1\n")
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrOutcomeUnknown) || report.Failed != 1 || len(report.Errors) != 1 {
		t.Errorf("got %+v, %v; want one failed", report, err)
	}
}

// A Loader is for one load. A second one is refused, and leaves the report of the first.
func TestLoaderIsForOneLoad(t *testing.T) {
	target := newLoadTarget(1)
	cluster := newFakeCluster(t, 1, func(node int, w http.ResponseWriter, r *http.Request) { target.take(t, node, w, r, nil) })
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	l := c.NewLoader(nil)
	for i, want := range []error{nil, errLoaderUsed, errLoaderUsed} {
		key := fmt.Sprint("key", i)
		report, err := l.Load(background, Pairs(maps.All(map[string][]byte{key: nil})))
		if _, stored := target.pairs[key]; err != want || stored != (want == nil) || (report.Loaded == 1) != (want == nil) {
			t.Errorf("load %d: %+v, %v; want %v", i+1, report, err, want)
		}
	}
	if r := l.Report(); r.Loaded != 1 || r.Failed != 0 {
		t.Errorf("the report is %+v", r)
	}
}

// A panic of the sequence is the caller's. It leaves no goroutine behind, which TestMain checks.
func TestLoadOfASequenceThatPanics(t *testing.T) {
	cluster := newFakeCluster(t, 2, func(int, http.ResponseWriter, *http.Request) {})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	defer func() {
		if v := recover(); v != "the caller's" {
			t.Errorf("it panics with %v", v)
		}
	}()
	report, err := c.NewLoader(nil).Load(background, func(yield func(Record, error) bool) {
		yield(Record{Key: "k"}, nil)
		panic("the caller's")
	})
	t.Errorf("it returns %+v, %v", report, err)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A lane whose node takes nothing holds two blocks and then holds up the
// reading: a load's memory does not grow with the file.
func TestLaneIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		l := newLane(nil)
		rec := &kv.Record{Key: []byte("k"), Entry: kv.Entry{Value: make([]byte, 1000)}}
		added := 0
		go func() {
			for l.add(ctx, rec, 1) == nil {
				added += len(rec.Value)
			}
		}()
		<-l.full // one block is on its way and never comes back
		time.Sleep(time.Hour)
		synctest.Wait()
		if added > 2*blockBytes {
			t.Errorf("a lane took %d bytes, want at most two blocks of %d", added, blockBytes)
		}
		cancel()
	})
}
