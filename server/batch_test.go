package server

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// doBatch sends NDJSON operations and holds the lines of the answer.
func doBatch(t *testing.T, addr, query, ops string, want ...string) {
	t.Helper()
	status, answer := send(t, "POST", "http://"+addr+"/batch"+query, "application/x-ndjson", strings.NewReader(ops))
	if status != 200 {
		t.Fatalf("status %d: %s", status, answer)
	}
	got := strings.Split(strings.TrimSuffix(answer, "\n"), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d:\n%.2000s", len(got), len(want), answer)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("result %d is\n  %s, want\n  %s", i+1, got[i], want[i])
		}
	}
}

// There is one result an operation, at its place, also for what is malformed. Operations on one key
// take effect in their order.
func TestBatch(t *testing.T) {
	addr, m := serveMany(t, Options{})
	doBatch(t, addr, "?w=all&r=quorum", strings.Join([]string{
		`{"op":"get","key":"a"}`,
		`{"op":"put","key":"a","value":"1","content_type":"text/plain"}`,
		`nonsense`,
		`{"op":"get","key":"a"}`,
		`{"op":"put","key":"a","value_base64":"/wA="}`,
		`{"op":"get","key":"a"}`,
		`{"op":"delete","key":"a"}`,
		`{"op":"get","key":"a"}`,
		`{"op":"put","key_base64":"/w==","value":"\"\n"}`,
		`{"op":"get","key_base64":"/w=="}`,
		`{"op":"get","key":""}`,
		`{"op":"get","key":"` + strings.Repeat("k", 5000) + `"}`,
	}, "\n"),
		`{"status":404,"key":"a","error":"no such key"}`,
		`{"status":201,"key":"a","etag":"\"2\"","acks":2,"replicas":2}`,
		`{"status":400,"error":"want a JSON object on each line, with a key and a value"}`,
		`{"status":200,"key":"a","value":"1","content_type":"text/plain","etag":"\"2\""}`,
		`{"status":204,"key":"a","etag":"\"4\"","acks":2,"replicas":2}`,
		`{"status":200,"key":"a","value_base64":"/wA=","etag":"\"4\""}`,
		`{"status":204,"key":"a","etag":"\"6\"","acks":2,"replicas":2}`,
		`{"status":404,"key":"a","error":"no such key"}`,
		`{"status":201,"key_base64":"/w==","etag":"\"8\"","acks":2,"replicas":2}`,
		`{"status":200,"key_base64":"/w==","value":"\"\n","etag":"\"8\""}`,
		`{"status":400,"error":"the key is empty"}`,
		`{"status":414,"error":"the key is longer than --max-key-bytes; use a shorter key"}`,
	)
	m.fail = func(_ int, op *kv.Op) error {
		op.Acks, op.Required, op.Replicas = 1, 2, 2
		return fmt.Errorf("%w: 1 of 2", kv.ErrUnavailable)
	}
	doBatch(t, addr, "", `{"op":"put","key":"a","value":"1"}`,
		`{"status":503,"key":"a","error":"too few replicas are up: 1 of 2; ask for fewer replicas or wait until more are up","acks":1,"replicas":2,"required":2,"outcome":"unknown"}`)
}

// A batch in a format or with a parameter that is not known is refused; an empty one is not.
func TestBatchRefuses(t *testing.T) {
	addr, _ := serveMany(t, Options{})
	if status, answer := send(t, "POST", "http://"+addr+"/batch", "text/csv", strings.NewReader("a,b\n")); status != 415 ||
		!strings.Contains(answer, "the Content-Type text/csv is not read here: send application/x-ndjson or application/vnd.httpdhs.records\"") {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := send(t, "POST", "http://"+addr+"/batch?timeout=no", "", strings.NewReader("")); status != 400 {
		t.Errorf("%d %s", status, answer)
	}
	for _, none := range []string{"", "\n\n"} {
		if status, answer := send(t, "POST", "http://"+addr+"/batch", "", strings.NewReader(none)); status != 200 || answer != "" {
			t.Errorf("a batch without operations, %q: %d %s", none, status, answer)
		}
	}
}

// Items beyond the bound are not done, and one result says so.
func TestBatchItemsBound(t *testing.T) {
	addr, m := serveMany(t, Options{})
	_, answer := send(t, "POST", "http://"+addr+"/batch", "",
		strings.NewReader(strings.Repeat(`{"op":"put","key":"a","value":"1"}`+"\n", batchItemsMax+500)))
	lines := strings.Split(strings.TrimSpace(answer), "\n")
	if len(lines) != batchItemsMax+1 || !strings.HasPrefix(lines[batchItemsMax], `{"status":413,`) {
		t.Errorf("%d results, the last is %s", len(lines), lines[len(lines)-1])
	}
	if m.most > batchChunkMax || int(m.last) != batchItemsMax {
		t.Errorf("%d operations, up to %d in a call", m.last, m.most)
	}
}

// Gets whose values do not fit the answer are refused one by one, and the
// writes among them are done.
func TestBatchAnswerBound(t *testing.T) {
	m := &manyStore{held: map[string]kv.Entry{"big": {Version: 1, Value: make([]byte, 1<<20)}}}
	m.held["big"].Value[0] = 0xff
	ops := strings.Repeat(`{"op":"get","key":"big"}`+"\n", 100) + `{"op":"put","key":"a","value":"1"}`
	sc := new(scratch)
	b := batcher{store: m, p: params{timeout: time.Minute}, binary: true, sc: sc, budgets: budgetsOf(1 << 30), call: &sc.call,
		answerMax: 20 << 20, timeLeft: time.Minute}
	err := b.run(format.NewReader(format.NDJSON, strings.NewReader(ops), format.Options{Limits: kv.DefaultLimits(), Ops: true}), new(format.Block))
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[int]int)
	for rest := b.out; len(rest) > 0; {
		var r format.Result
		if r, rest, err = format.DecodeResult(rest); err != nil {
			t.Fatal(err)
		}
		count[r.Status]++
	}
	if count[200] != 20 || count[503] != 80 || count[201] != 1 {
		t.Errorf("results by status: %v", count)
	}
}

// The time of a request is that of all its chunks together: two of them take more than there is,
// and for a third there is none.
func TestBatchTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manyStore{held: make(map[string]kv.Entry), delay: 30 * time.Millisecond}
		const given = 50 * time.Millisecond
		sc := new(scratch)
		b := batcher{store: m, p: params{timeout: given}, sc: sc, budgets: budgetsOf(1 << 30), call: &sc.call,
			answerMax: 20 << 20, timeLeft: given}
		ops := strings.Repeat(`{"op":"put","key":"a","value":"1"}`+"\n", 5*batchChunkMax)
		err := b.run(format.NewReader(format.NDJSON, strings.NewReader(ops), format.Options{Limits: kv.DefaultLimits(), Ops: true}), new(format.Block))
		late := strings.Count(string(b.out), `{"status":503,"key":"a","error":"the time`)
		if err != nil || m.calls != 2 || late != 5*batchChunkMax-int(m.last) {
			t.Errorf("%v: %d calls of %d operations, %d were too late", err, m.calls, m.last, late)
		}
	})
}

// The binary form says what the NDJSON form says.
func TestBatchBinary(t *testing.T) {
	addr, _ := serveMany(t, Options{})
	var ops []byte
	key := []byte("a\xff")
	ops = format.AppendGet(ops, key)
	ops = kv.AppendRecord(ops, &kv.Record{Key: key, Entry: kv.Entry{Value: []byte("1"), Meta: []byte("text/plain")}})
	ops = format.AppendGet(ops, key)
	ops = kv.AppendRecord(ops, &kv.Record{Key: key, Entry: kv.Entry{Tombstone: true}})
	ops = append(ops, "garbage"...)
	status, answer := send(t, "POST", "http://"+addr+"/batch", format.TypeBinary, strings.NewReader(string(ops)))
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	var got []string
	for rest := []byte(answer); len(rest) > 0; {
		var r format.Result
		var err error
		if r, rest, err = format.DecodeResult(rest); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %q=%q %s v%d %d/%d %s", r.Status, r.Key, r.Value, r.Meta, r.Version, r.Acks, r.Replicas, r.Error))
	}
	want := []string{
		`404 ""=""  v0 0/0 no such key`,
		`201 ""=""  v2 2/2 `,
		`200 "a\xff"="1" text/plain v2 0/0 `,
		`204 ""=""  v4 2/2 `,
		`400 ""=""  v0 0/0 malformed record: it starts with 0x67`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// What comes in as binary may go out as NDJSON.
	req, _ := http.NewRequest("POST", "http://"+addr+"/batch", strings.NewReader(string(ops[:4])))
	req.Header.Set("Content-Type", format.TypeBinary)
	req.Header.Set("Accept", format.TypeNDJSON)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != format.TypeNDJSON {
		t.Errorf("Content-Type %s", got)
	}
}

// What a listing writes, a load reads: the line of a get is a line of a dump.
func TestDumpLoads(t *testing.T) {
	addr, m := serveMany(t, Options{})
	rec := kv.Record{Key: []byte("k\x00\"\\ä"), Entry: kv.Entry{Version: 77, Value: []byte("v\x01\n\t\u2028"),
		Meta: []byte("text/plain"), Expires: time.Now().Add(time.Hour).UnixMilli()}}
	dump := string(appendRecordJSON(nil, &rec, true)) + "\n"
	rec.Key, rec.Value = []byte("\xff"), []byte{0xfe}
	dump += string(appendRecordJSON(nil, &rec, true)) + "\n"
	if res := loadInto(t, addr, "", format.TypeNDJSON, dump); res.Loaded != 2 {
		t.Fatalf("%+v", res)
	}
	for key, value := range map[string]string{"k\x00\"\\ä": "v\x01\n\t\u2028", "\xff": "\xfe"} {
		if e := m.held[key]; string(e.Value) != value || string(e.Meta) != "text/plain" || e.Expires != rec.Expires {
			t.Errorf("%q is %+v", key, e)
		}
	}
}

// In the steady state an operation of a batch costs no allocation in binary,
// and none in NDJSON of the plain shape.
func TestBatchAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const n = 1000
	var bin []byte
	var text strings.Builder
	for i := range n {
		key := fmt.Appendf(nil, "key%d", i)
		bin = format.AppendGet(kv.AppendRecord(bin, &kv.Record{Key: key, Entry: kv.Entry{Value: []byte("v")}}), key)
		fmt.Fprintf(&text, `{"op":"put","key":"key%d","value":"v"}`+"\n"+`{"op":"get","key_base64":%q}`+"\n",
			i, base64.StdEncoding.EncodeToString(key))
	}
	for in, ops := range map[format.Format]string{format.Binary: string(bin), format.NDJSON: text.String()} {
		sc := new(scratch)
		var block format.Block
		var out []byte
		allocs := testing.AllocsPerRun(5, func() {
			b := batcher{store: &idleStore{}, p: params{timeout: time.Second}, binary: in == format.Binary, sc: sc, budgets: budgetsOf(1 << 30), call: &sc.call,
				out: out[:0], answerMax: batchAnswerBytes, timeLeft: time.Second}
			if err := b.run(format.NewReader(in, strings.NewReader(ops), format.Options{Limits: kv.DefaultLimits(), Ops: true}), &block); err != nil || b.done != 2*n {
				t.Fatal(err, b.done)
			}
			out = b.out
		})
		if allocs > 30 {
			t.Errorf("%v: %v allocations for %d operations", in, allocs, 2*n)
		}
	}
}

// Conditions in a batch are those of the headers: what does not hold is a 412
// that tells what is there, and an operation that is misspelt is not done.
func TestBatchConditions(t *testing.T) {
	f := start(t, Options{})
	tag := f.send("PUT", "/db/k", "1").header.Get("ETag")
	quoted := strings.ReplaceAll(tag, `"`, `\"`)
	f.send("PUT", "/db/dead", "1").want(t, 201)
	f.send("DELETE", "/db/dead", "").want(t, 204)
	ops := strings.Join([]string{
		`{"op":"put","key":"k","value":"2","if_none_match":"*"}`,
		`{"op":"put","key":"k","value":"2","if_match":"\"ff\""}`,
		`{"op":"delete","key":"k","if_match":"\"ff\""}`,
		`{"op":"put","key":"none","value":"2","if_match":"*"}`,
		`{"op":"put","key":"dead","value":"2","if_match":"*"}`,
		`{"op":"put","key":"k","value":"2","ifmatch":"` + quoted + `"}`,
		`{"op":"put","key":"k","value":"2","if_match":"W/` + quoted + `"}`,
		`{"op":"put","key":"k","value":"2","if_match":"` + quoted + `"}`,
		`{"op":"put","key":"new","value":"2","if_none_match":"*"}`,
		`{"op":"delete","key":"new","if_match":"*"}`,
	}, "\n")
	a := f.send("POST", "/batch", ops)
	var got []string
	for line := range strings.Lines(a.body) {
		got = append(got, line)
	}
	wants := []string{
		`{"status":412,"key":"k","error":"the condition does not hold; read the key again and retry with its current ETag","etag":"` + quoted + `"`,
		`{"status":412,"key":"k","error":"the condition does not hold; read the key again and retry with its current ETag","etag":"` + quoted + `"`,
		`{"status":412,"key":"k",`, `{"status":412,"key":"none","error":"the condition does not hold; read the key again and retry with its current ETag","acks"`,
		`{"status":412,"key":"dead","error":"the condition does not hold; read the key again and retry with its current ETag","acks"`,
		`{"status":400,"error":"\"ifmatch\": no such member;`, `{"status":400,"error":"if_match has the tag W/`,
		`{"status":204,"key":"k"`, `{"status":201,"key":"new"`, `{"status":204,"key":"new"`,
	}
	if len(got) != len(wants) {
		t.Fatalf("%d results: %s", len(got), a.body)
	}
	for i, want := range wants {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("result %d is %s, want %s…", i, got[i], want)
		}
	}
}
