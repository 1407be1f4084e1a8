package resp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// ask has a new connection answer one command in a line.
func ask(srv *Server, command string) string {
	got, _ := exchange(srv, []byte(command+"\r\n"))
	return string(got)
}

// bulks are the strings of an answer, in their order.
func bulks(answer string) (all []string) {
	lines := strings.Split(answer, "\r\n")
	for i := 0; i+1 < len(lines); i++ {
		if strings.HasPrefix(lines[i], "$") {
			i++
			all = append(all, lines[i])
		}
	}
	return all
}

// A scan that follows its cursor finds each key, and once where no hashes share a cursor.
func TestScanFindsEachKey(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	for i := range 1000 {
		store.entries[fmt.Sprint("k", i)] = kv.Entry{Version: 1}
	}
	found, steps := map[string]int{}, 0
	for cursor := "0"; ; steps++ {
		got := bulks(ask(srv, "SCAN "+cursor+" COUNT 7 MATCH k*"))
		for _, key := range got[1:] {
			found[key]++
		}
		if n, err := strconv.ParseUint(got[0], 10, cursorBits); err != nil {
			t.Fatalf("cursor %d: %v", n, err)
		}
		if cursor = got[0]; cursor == "0" {
			break
		}
	}
	if len(found) != 1000 || steps < 1000/8 {
		t.Errorf("%d keys in %d steps", len(found), steps)
	}
	for key, n := range found {
		if n != 1 {
			t.Errorf("%s came %d times", key, n)
		}
	}
}

// pagedStore lists pages that are given.
type pagedStore struct {
	*fakeStore
	pages map[uint64]kv.Page // by ListRequest.From
	err   error
}

func (p *pagedStore) List(r *kv.ListRequest) (kv.Page, error) { return p.pages[r.From], p.err }

// A page that ends between two hashes of one cursor does not end an answer: that cursor would begin
// before them again.
func TestScanMovesOn(t *testing.T) {
	const from = 5 << cursorShift
	key := func(s string) []kv.Record { return []kv.Record{{Key: []byte(s)}} }
	store := &pagedStore{fakeStore: newFakeStore(), pages: map[uint64]kv.Page{
		0:        {Next: 1, More: true},
		1:        {Records: key("a"), Next: from + 3, More: true},
		from:     {Records: key("a"), Next: from + 3, More: true},
		from + 3: {Records: key("b"), Next: from + 9, More: true},
		from + 9: {Records: key("c")},
	}}
	srv := New(Options{}, store, fakeCluster{store.fakeStore})
	if got := bulks(ask(srv, "SCAN 0")); !slices.Equal(got, []string{"5", "a"}) {
		t.Errorf("at first %q", got)
	}
	if got := bulks(ask(srv, "SCAN 5")); !slices.Equal(got, []string{"0", "a", "b", "c"}) {
		t.Errorf("then %q", got)
	}
	if got := bulks(ask(srv, "SCAN 9007199254740992")); !slices.Equal(got, []string{"0"}) {
		t.Errorf("a cursor that nobody was given: %q", got)
	}
	store.err = kv.ErrTimeout
	for _, command := range []string{"SCAN 0", "KEYS *", "RANDOMKEY"} {
		if got, want := ask(srv, command), "-"+textOf(kv.ErrTimeout)+"\r\n"; got != want {
			t.Errorf("%s: %q", command, got)
		}
	}
}

// KEYS has a bound, beyond which it names SCAN.
func TestKeysAreBounded(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	for i := range 2500 {
		store.entries[fmt.Sprintf("%04000d", i)] = kv.Entry{Version: 1}
	}
	if got := ask(srv, "KEYS *"); got != "-ERR the keys are more than one answer holds (8 MiB): use SCAN\r\n" {
		t.Errorf("%.100q", got)
	}
	if got := bulks(ask(srv, "KEYS *[1]")); len(got) != 250 {
		t.Errorf("%d keys", len(got))
	}
}

// countingCluster answers with a document.
type countingCluster struct {
	fakeCluster
	doc api.Cluster
}

func (c countingCluster) Cluster(time.Time) api.Cluster { return c.doc }

// DBSIZE is exact at rest, and an estimate while members are missing.
func TestKeysOfTheClusterAreCounted(t *testing.T) {
	store := newFakeStore()
	for want, doc := range map[string]api.Cluster{
		":0\r\n":   {Partitions: 64},
		":100\r\n": {Partitions: 64, Nodes: []api.Node{{Keys: 100, PrimaryPartitions: 64}}},
		":90\r\n": {Partitions: 64, Nodes: []api.Node{
			{Keys: 60, PrimaryPartitions: 22, ReplicaPartitions: 21}, {Keys: 58, PrimaryPartitions: 21, ReplicaPartitions: 21},
			{Keys: 62, PrimaryPartitions: 21, ReplicaPartitions: 22}, {Keys: 7}, // the last has no share yet
		}},
	} {
		srv := New(Options{}, store, countingCluster{fakeCluster{store}, doc})
		if got := ask(srv, "DBSIZE"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A pattern takes time in proportion to its length and that of the key, however many stars it has.
func TestPatternsTakeLittleTime(t *testing.T) {
	key := bytes.Repeat([]byte("a"), 4096)
	if globMatch(bytes.Repeat([]byte("a*"), 1000), append(key, 'b')) != true || globMatch(append(bytes.Repeat([]byte("a*"), 1000), 'b'), key) {
		t.Error("a pattern of many stars is wrong")
	}
}

// Each error of the store is told in words of its own, and begins with a code.
func TestErrorsAreTold(t *testing.T) {
	for _, c := range []struct {
		err     error
		command string
		want    string
	}{
		{kv.ErrTimeout, "GET a", "UNAVAILABLE "},
		{kv.ErrTimeout, "SET a 1", "UNKNOWN "},
		{kv.ErrUnavailable, "INCR a", "UNKNOWN "},
		{kv.ErrUnknownOutcome, "SET a 1 NX", "UNKNOWN "},
		{kv.ErrNoMemory, "APPEND a 1", "OOM command not allowed when used memory > 'maxmemory'.\r\n"},
		{kv.ErrDiskFull, "APPEND a 1", "OOM "},
		{kv.ErrNoDisk, "APPEND a 1", "MISCONF Errors writing to the AOF file: "},
		{kv.ErrNotDurable, "APPEND a 1", "UNKNOWN "},
		{kv.ErrFilled, "APPEND a 1", "UNKNOWN "},
		{kv.ErrOverloaded, "SET a 1", "TRYAGAIN "},
		{kv.ErrStopping, "SET a 1", "TRYAGAIN "},
		{kv.ErrUnheard, "MGET a b", "LOADING "},
		{kv.ErrNoCluster, "DEL a b", "LOADING "},
		{fmt.Errorf("%w: 1 of 2", kv.ErrUnavailable), "EXISTS a", "UNAVAILABLE "},
		{kv.ErrLevel, "GET a", "ERR "},
		{kv.ErrRefused, "SETEX a 10 b", "UNAVAILABLE "},
		{errors.New("another"), "TTL a", "ERR another"},
	} {
		store := newFakeStore()
		srv := New(Options{}, store, fakeCluster{store})
		store.fail = func(*kv.Op) error { return c.err }
		if got := ask(srv, c.command); !strings.HasPrefix(got, "-"+c.want) || countAnswers(t, []byte(got)) != 1 {
			t.Errorf("%s, where %v: %q", c.command, c.err, got)
		}
	}
}

// No command answers nothing, or twice, if its operations fail.
func TestFailuresAreAnsweredOnce(t *testing.T) {
	for _, c := range newTable().all {
		for _, cmd := range append([]command{c}, c.sub...) {
			if cmd.run == nil || cmd.name == "post" || cmd.name == "host:" {
				continue
			}
			store := newFakeStore()
			srv := New(Options{}, store, fakeCluster{store})
			store.fail = func(*kv.Op) error { return kv.ErrTimeout }
			words := strings.Split(cmd.name, "|")
			for n := len(words); n < max(cmd.arity, -cmd.arity); n++ {
				words = append(words, "1")
			}
			if got := ask(srv, strings.Join(words, " ")); countAnswers(t, []byte(got)) != 1 {
				t.Errorf("%q: %q", words, got)
			}
		}
	}
}

// MSETNX says that it takes one key.
func TestMSETNXTakesOneKey(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	if got := ask(srv, "MSETNX a 1 b 2"); !strings.HasPrefix(got, "-ERR MSETNX") || len(store.entries) > 0 {
		t.Errorf("%q", got)
	}
}

// The server counts what it does.
func TestCountsAreKept(t *testing.T) {
	store := newFakeStore()
	srv := New(Options{}, store, fakeCluster{store})
	_, _ = exchange(srv, []byte("SET a 1\r\nGET a\r\nGET b\r\nPING\r\n*x\r\n"))
	st := srv.Stats()
	if st.Commands != 4 || st.Calls != 1 || st.Operations != 3 || st.Gets != 2 || st.Hits != 1 || st.Malformed != 1 || st.InBytes != 33 || st.OutBytes == 0 {
		t.Errorf("%+v", st)
	}
}
