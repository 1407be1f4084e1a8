package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// batchTarget is the /batch of a fake cluster: one map. What answer returns, if that is not empty,
// is the line for a key.
type batchTarget struct {
	mu     sync.Mutex
	pairs  map[string]string
	sizes  [][]int // of the requests at each node
	binary int     // requests that want their results in binary
	answer func(node int, key string) string
}

func newBatchTarget(nodes int) *batchTarget {
	return &batchTarget{pairs: map[string]string{}, sizes: make([][]int, nodes), answer: func(int, string) string { return "" }}
}

func (b *batchTarget) serve(node int, w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.Header().Set("X-Dht-Node", fmt.Sprint("node ", node))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	var lines bytes.Buffer
	defer func() {
		answer := lines.Bytes()
		if r.Header.Get("Accept") == format.TypeBinary {
			b.binary++
			answer = inBinary(answer)
		}
		_, _ = w.Write(answer)
	}()
	for line := range bytes.Lines(body) {
		var op struct{ Op, Key, Value string }
		if err := json.Unmarshal(line, &op); err != nil {
			panic(err)
		}
		switch line := b.answer(node, op.Key); {
		case line != "":
			fmt.Fprintln(&lines, line)
		case op.Op == "put":
			b.pairs[op.Key] = op.Value
			fmt.Fprintln(&lines, `{"status":201,"etag":"\"1\"","acks":2,"replicas":2}`)
		case op.Op == "delete":
			delete(b.pairs, op.Key)
			fmt.Fprintln(&lines, `{"status":204,"etag":"\"2\"","acks":2,"replicas":2}`)
		default:
			value, found := b.pairs[op.Key]
			if !found {
				fmt.Fprintln(&lines, `{"status":404,"error":"no such key"}`)
				continue
			}
			text, _ := json.Marshal(value)
			fmt.Fprintf(&lines, `{"status":200,"value":%s,"etag":"\"1\""}`+"\n", text)
		}
	}
	b.sizes[node] = append(b.sizes[node], bytes.Count(body, []byte("\n")))
}

// inBinary is lines of results in their binary form. For a line that is none it has a byte that is
// no result.
func inBinary(lines []byte) (out []byte) {
	for line := range bytes.Lines(lines) {
		var a struct {
			Status       int
			Value, Error string
		}
		if json.Unmarshal(line, &a) != nil {
			return append(out, 0)
		}
		res := format.Result{Status: a.Status, Error: a.Error}
		res.Record = kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1, Value: []byte(a.Value)}}
		out = format.AppendResult(out, &res)
	}
	return out
}

// Each primary is asked for its keys and no others, in requests of a bounded size, and the results
// are in the order of the operations.
func TestBatchGoesToThePrimaries(t *testing.T) {
	target := newBatchTarget(3)
	cluster := newFakeCluster(t, 3, target.serve)
	target.answer = func(node int, key string) string {
		if cluster.primary(key) != node {
			t.Errorf("node %d is asked about %s", node, key)
		}
		return ""
	}
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	const n = 4 * batchOps
	var puts []Op
	var keys []string
	for i := range n {
		key := fmt.Sprint("key", i)
		puts, keys = append(puts, Op{Kind: OpPut, Key: key, Value: []byte(key)}), append(keys, key)
	}
	for i, r := range c.Batch(background, puts, nil) {
		if r.Err != nil || r.Written != (Written{Created: true, ETag: `"1"`, Acks: 2, Replicas: 2}) {
			t.Fatalf("put %d: %+v", i, r)
		}
	}
	values, err := c.GetMany(background, append(keys, "none"), nil)
	if err != nil || len(values) != n {
		t.Fatalf("%d values, %v", len(values), err)
	}
	for _, key := range keys {
		v, ok := values[key]
		if !ok || string(v.Data) != key || v.ContentType != "application/octet-stream" || v.ETag != string(kv.Version(1).AppendETag(nil)) {
			t.Fatalf("%s is %+v", key, v)
		}
	}
	for node, sizes := range target.sizes {
		for _, size := range sizes {
			if size > batchOps {
				t.Errorf("a request to node %d has %d operations", node, size)
			}
		}
		if len(sizes) != 4 { // a third of n in two requests, twice
			t.Errorf("node %d has %d requests, want 4", node, len(sizes))
		}
	}
	if target.binary != 6 {
		t.Errorf("%d requests want their results in binary, want those of gets alone, 6", target.binary)
	}
	large := Op{Kind: OpPut, Key: "large", Value: make([]byte, batchBytes)}
	target.sizes = make([][]int, 3)
	c.Batch(background, []Op{large, large, large}, nil)
	if got := target.sizes[cluster.primary("large")]; len(got) != 3 {
		t.Errorf("large values travel in requests of %v", got)
	}
}

// An operation has its own error, and one that fails stops no other. Where the node's answer ends
// too early, a get was not answered, and a write may have been done.
func TestBatchErrors(t *testing.T) {
	target := newBatchTarget(1)
	cluster := newFakeCluster(t, 1, target.serve)
	target.answer = func(_ int, key string) string {
		return map[string]string{
			"few":  `{"status":503,"error":"too few","acks":1,"replicas":2,"required":2,"outcome":"unknown"}`,
			"long": `{"status":414,"error":"too long"}`, "odd": `{"status":`,
		}[key]
	}
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	op := func(kind OpKind, key string) Op { return Op{Kind: kind, Key: key} }
	put := func(key string) Op { return Op{Kind: OpPut, Key: key, Value: []byte("v")} }
	got := c.Batch(background, []Op{
		put("few"), op(OpGet, "long"), put("a"), op(OpGet, "none"), {Kind: OpPut, Key: "c", ContentType: "\xff"},
		op(OpGet, "a"), op(OpDelete, "a"), op(OpGet, "odd"), op(OpDelete, "b"),
	}, nil)
	var status *StatusError
	switch {
	case !errors.Is(got[0].Err, ErrOutcomeUnknown) || !errors.As(got[0].Err, &status) || status.Acks != 1 || status.Required != 2 || status.Node != "node 0":
		t.Errorf("too few replicas: %v", got[0].Err)
	case !errors.As(got[1].Err, &status) || status.Status != 414:
		t.Errorf("a long key: %v", got[1].Err)
	case got[2].Err != nil, got[5].Err != nil, string(got[5].Value.Data) != "v", got[6].Err != nil, got[6].Written.Created:
		t.Errorf("a: %+v %+v %+v", got[2], got[5], got[6])
	case !errors.Is(got[3].Err, ErrNotFound):
		t.Errorf("no such key: %v", got[3].Err)
	case got[4].Err == nil || !strings.Contains(got[4].Err.Error(), "not UTF-8"):
		t.Errorf("a content type: %v", got[4].Err)
	case got[7].Err == nil || errors.Is(got[7].Err, ErrOutcomeUnknown):
		t.Errorf("a get without an answer: %v", got[7].Err)
	case !errors.Is(got[8].Err, ErrOutcomeUnknown):
		t.Errorf("a write without an answer: %v", got[8].Err)
	}
	if _, err := c.GetMany(background, []string{"none", "long"}, nil); err == nil || !strings.HasPrefix(err.Error(), `key "long": too long`) {
		t.Errorf("many with one that fails: %v", err)
	}
}

// After an error of GetMany each key is in one of three places: read, not read with its own error,
// or in neither, and then it has no value. A key that is asked for twice is read once.
func TestGetManyTellsWhatWasNotRead(t *testing.T) {
	target := newBatchTarget(2)
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) { target.serve(node, w, r) })
	target.pairs["here"], target.pairs["here too"] = "1", "2"
	asked := 0
	target.answer = func(_ int, key string) string {
		if key == "here" {
			asked++
		}
		if strings.HasPrefix(key, "lost") {
			return `{"status":503,"error":"no replica that holds everything is up"}`
		}
		return ""
	}
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	keys := []string{"here", "lost 1", "none", "here", "", "lost 2", "here too", "lost 1"}
	values, err := c.GetMany(background, keys, nil)
	var unread *GetManyError
	if !errors.As(err, &unread) || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	for _, key := range keys {
		_, read := values[key]
		cause := unread.Failed[key]
		if want := strings.HasPrefix(key, "here"); read != want {
			t.Errorf("%q is read: %v", key, read)
		}
		if want := strings.HasPrefix(key, "lost"); want != errors.Is(cause, ErrUnavailable) || (cause != nil) != (want || key == "") {
			t.Errorf("%q is not read: %v", key, cause)
		}
	}
	if want := `3 keys were not read, the first is key "lost 1": `; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %q, want %q", err, want)
	}
	if asked != 1 {
		t.Errorf("a key is asked for %d times", asked)
	}
	if _, err := c.GetMany(background, []string{"here", "none"}, nil); err != nil {
		t.Errorf("with nothing lost: %v", err)
	}
}

// A value travels in the shorter of the two forms: of NULs, base64 is.
func TestBatchValuesTravelShort(t *testing.T) {
	for value, most := range map[string]int{strings.Repeat("\x00", 3000): 4200, strings.Repeat("line\n", 600): 3700, strings.Repeat("text ", 600): 3200} {
		var body bytes.Buffer
		if err := appendOp(&body, &Op{Kind: OpPut, Key: "k", Value: []byte(value)}); err != nil || body.Len() > most {
			t.Errorf("%.5q: %d bytes, %v", value, body.Len(), err)
		}
	}
}

// A batch of gets goes on to another node when one does not answer; one with writes is not sent
// twice where it may have been done.
func TestBatchFailsOver(t *testing.T) {
	target := newBatchTarget(2)
	cluster := newFakeCluster(t, 2, func(node int, w http.ResponseWriter, r *http.Request) {
		if node == 1 {
			hangUp(w)
			return
		}
		target.serve(node, w, r)
	})
	key := cluster.keyOf(1)
	target.pairs[key] = "v"
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	if got, err := c.GetMany(background, []string{key}, nil); err != nil || string(got[key].Data) != "v" {
		t.Errorf("gets: %v", err)
	}
	got := c.Batch(background, []Op{{Kind: OpPut, Key: key}, {Kind: OpGet, Key: key}}, nil)
	if !errors.Is(got[0].Err, ErrOutcomeUnknown) ||
		!errors.Is(got[1].Err, ErrUnavailable) || errors.Is(got[1].Err, ErrOutcomeUnknown) {
		t.Errorf("with a write: %+v", got)
	}
	if len(cluster.nodes[1].about("/batch")) != 2 || len(target.sizes[0]) != 1 {
		t.Errorf("requests: %v at the node that hangs up, %v at the other", cluster.nodes[1].about("/batch"), target.sizes[0])
	}
}

// Values for which an answer has no room are asked for again, as long as each answer brings some.
func TestBatchAsksAgainForWhatHadNoRoom(t *testing.T) {
	target := newBatchTarget(1)
	cluster := newFakeCluster(t, 1, target.serve)
	const full = `{"status":503,"error":"the answer has come to its bound"}`
	room := 0
	target.answer = func(_ int, key string) string {
		if key == "never" {
			return full
		}
		if room++; room%4 == 0 {
			return full
		}
		return ""
	}
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	var keys []string
	for i := range 10 {
		target.pairs[fmt.Sprint(i)] = "v"
		keys = append(keys, fmt.Sprint(i))
	}
	if values, err := c.GetMany(background, keys, nil); err != nil || len(values) != len(keys) {
		t.Errorf("%d values, %v", len(values), err)
	}
	if len(target.sizes[0]) < 2 {
		t.Errorf("requests of %v", target.sizes[0])
	}
	target.sizes[0] = nil
	if _, err := c.GetMany(background, []string{"never"}, nil); err == nil || len(target.sizes[0]) != 1 {
		t.Errorf("no room for one: %v, requests of %v", err, target.sizes[0])
	}
}
