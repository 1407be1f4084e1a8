package server

import (
	"encoding/base64"
	"encoding/json"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/internal/format"
	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// A budget that lets one be alone takes more than there is from who has all that is taken, and from
// nobody beside another.
func TestBudgetForOneAlone(t *testing.T) {
	b := budget{max: 10, alone: true}
	for _, step := range []struct {
		n, has int64
		want   bool
	}{{25, 0, true}, {5, 25, true}, {1, 0, false}, {1, 29, false}} {
		if got := b.take(step.n, step.has); got != step.want {
			t.Fatalf("%+v: %v", step, got)
		}
	}
	b.give(30)
	if !b.take(4, 0) || b.take(7, 0) || !b.take(6, 0) {
		t.Error("what fits is not taken, or what does not fit is")
	}
}

// As many have turns as answers have room for, and one at least. Who waits gets the next, and gives
// up at the deadline.
func TestTurns(t *testing.T) {
	o := Options{Limits: kv.DefaultLimits(), MaxAnswerBytes: 1}
	if n := cap(o.turns()); n != 1 {
		t.Errorf("%d turns with next to no memory", n)
	}
	o.MaxAnswerBytes = 3 * o.listingRoom()
	all := o.turns()
	if n := cap(all); n != 3 {
		t.Errorf("%d turns with room for three", n)
	}
	synctest.Test(t, func(t *testing.T) {
		all := o.turns()
		began := time.Now()
		for range 3 {
			if err := all.take(began); err != nil {
				t.Fatal(err)
			}
		}
		if err := all.take(began.Add(time.Second)); err != kv.ErrAnswersHeld || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		time.AfterFunc(time.Second, all.give)
		if err := all.take(began.Add(time.Minute)); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// budgetsOf are budgets of so many bytes each.
func budgetsOf(bytes int64) *budgets {
	b := new(budgets)
	b.init(&Options{MaxInFlightBytes: bytes, MaxMessageBytes: bytes, MaxAnswerBytes: bytes})
	return b
}

// Any value that is stored can be read and listed while there is nobody else, however little memory
// answers have, and however much longer it is as an answer. No answer takes more than twice its
// size for a value, beside the value itself.
func TestAnyValueIsReadByOneAlone(t *testing.T) {
	const size = 1 << 20
	f := start(t, Options{MaxAnswerBytes: size})
	for name, value := range map[string]string{
		"text": strings.Repeat("v", size), "binary": strings.Repeat("\xff", size), "control": strings.Repeat("\x01", size),
		"quoted": strings.Repeat(`"`, size), "half": strings.Repeat("\x01v", size/2),
	} {
		if a := f.send("PUT", "/db/"+name, value); a.status != 201 {
			t.Fatalf("PUT of %s: %d", name, a.status)
		}
		for range 2 {
			for what, ask := range map[string]func() answer{
				"get":    func() answer { return f.send("GET", "/db/"+name, "") },
				"page":   func() answer { return f.send("GET", "/db?values=1&prefix="+name, "") },
				"stream": func() answer { return f.send("GET", "/db?values=1&prefix="+name, "", "Accept: application/x-ndjson") },
				"batch":  func() answer { return f.send("POST", "/batch", `{"op":"get","key":"`+name+`"}`) },
				"binary": func() answer {
					return f.send("POST", "/batch", string(format.AppendGet(nil, []byte(name))), "Content-Type: "+format.TypeBinary)
				},
			} {
				a := ask()
				if a.status != 200 || len(a.body) < size || len(a.body) > 2*size+512 {
					t.Errorf("%s of %s: %d, %d bytes", what, name, a.status, len(a.body))
				}
				if !strings.Contains(a.body, value) && what != "get" && what != "binary" {
					var got map[string]any
					line := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(a.body), `{"keys":[`), `]}`)
					if err := json.Unmarshal([]byte(line), &got); err != nil {
						t.Fatal(err)
					}
					in64, _ := got["value_base64"].(string)
					if raw, err := base64.StdEncoding.DecodeString(in64); got["value"] != value && (err != nil || string(raw) != value) {
						t.Errorf("%s of %s has another value", what, name)
					}
				}
				poll.True(t, "all is given back", func() bool { return f.answerBytes.used.Load() == 0 && f.clientBytes.used.Load() == 0 })
			}
		}
	}
}

// A batch that asks for more values than answers have memory for gets some, and for the others is
// told so. Its writes are done. Who is alone may pass the bound once.
func TestBatchKeepsToMemoryOfAnswers(t *testing.T) {
	const size = 1 << 20
	f := start(t, Options{MaxAnswerBytes: 4 * size})
	f.send("PUT", "/db/k", strings.Repeat("\xff", size)).want(t, 201)
	ops := strings.Repeat(`{"op":"get","key":"k"}`+"\n", 40) + `{"op":"put","key":"a","value":"1"}` + "\n"
	a := f.send("POST", "/batch", ops)
	done, refused := strings.Count(a.body, `{"status":200`), strings.Count(a.body, `{"status":503`)
	if done == 0 || refused == 0 || done+refused != 40 || !strings.Contains(a.body, `{"status":201,"key":"a"`) || len(a.body) > 6*size {
		t.Errorf("%d values, %d refused, in %d bytes", done, refused, len(a.body))
	}
	poll.True(t, "all is given back", func() bool { return f.answerBytes.used.Load() == 0 && f.clientBytes.used.Load() == 0 })
}

// Where nobody else holds values, a call may pass the bound with one operation, whatever it has
// taken already. Otherwise that would be refused for good. It does not pass the bound twice.
func TestWhoIsAloneMayPassTheBoundOnce(t *testing.T) {
	b := budget{max: 10, alone: true}
	mine, other := new(scratch), new(scratch)
	hold := mine.holdCopies(&b)
	if !hold(kv.Copies{Found: 3, Made: 1}) || !other.holdCopies(&b)(kv.Copies{Made: 1}) || hold(kv.Copies{Found: 9}) {
		t.Error("9 bytes of 10 are taken beside 4 of its own and 1 of another's")
	}
	other.giveFound(&b)
	if !hold(kv.Copies{Found: 9}) || b.used.Load() != 13 {
		t.Errorf("9 bytes of 10 are not taken beside 4 of its own: %d are", b.used.Load())
	}
	if hold(kv.Copies{Made: 1}) {
		t.Error("it passes the bound twice")
	}
	if mine.giveFound(&b); b.used.Load() != 0 {
		t.Errorf("%d bytes are left", b.used.Load())
	}
}

// A stream loses nothing where other answers have most of the memory, and its first piece is small
// and in a buffer that was large.
func TestStreamBesideLargeAnswers(t *testing.T) {
	f := start(t, Options{MaxAnswerBytes: 8 << 20})
	f.send("PUT", "/db/large", strings.Repeat("v", 100<<10)).want(t, 201)
	for i := range 2000 {
		f.fill("small/" + itoa(i))
	}
	f.answerBytes.used.Add(5 << 20)
	defer f.answerBytes.used.Add(-5 << 20)
	for range 20 {
		f.send("GET", "/db?values=1&prefix=large", "").want(t, 200)
		a := f.send("GET", "/db?values=1&prefix=small/", "", "Accept: application/x-ndjson")
		if n := strings.Count(a.body, "\n"); a.status != 200 || n != 2000 {
			t.Fatalf("%d: %d of 2000 keys", a.status, n)
		}
	}
}

// A stream waits for memory that other answers have.
func TestStreamWaitsForMemory(t *testing.T) {
	const most = 1 << 20
	f := start(t, Options{MaxAnswerBytes: most})
	f.send("PUT", "/db/k", strings.Repeat("v", most/2)).want(t, 201)
	f.answerBytes.used.Add(most)
	var waits atomic.Bool
	f.store.list = func(*kv.ListRequest) error {
		waits.Store(true)
		return nil
	}
	go func() {
		for !waits.Load() {
			runtime.Gosched()
		}
		f.answerBytes.used.Add(-most)
	}()
	a := f.send("GET", "/db?values=1&timeout=60s", "", "Accept: application/x-ndjson")
	if a.status != 200 || len(a.body) < most/2 {
		t.Errorf("%d, %d bytes", a.status, len(a.body))
	}
}

// A stream that waits for memory is in nobody's way: other listings, which need little of it, go
// on. Then it has all its records.
func TestStreamThatWaitsHasNoTurn(t *testing.T) {
	const most = 1 << 20 // with which there is one turn
	f := start(t, Options{MaxAnswerBytes: most})
	f.send("PUT", "/db/k", strings.Repeat("v", most/2)).want(t, 201)
	f.fill("small")
	f.answerBytes.used.Add(most)
	listed := make(chan struct{}, 1000)
	f.store.list = func(*kv.ListRequest) error {
		listed <- struct{}{}
		return nil
	}
	streamed := make(chan answer)
	go func() {
		streamed <- f.send("GET", "/db?values=1&timeout=60s", "", "Accept: application/x-ndjson")
	}()
	<-listed
	f.send("GET", "/db?timeout=50s", "").want(t, 200)
	f.answerBytes.used.Add(-most)
	if a := <-streamed; a.status != 200 || strings.Count(a.body, "\n") != 2 {
		t.Errorf("%d, %d bytes", a.status, len(a.body))
	}
}

// A message does not wait for memory that nobody else has: what is left in its buffers is dropped.
func TestAMessageIsNotInItsOwnWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, sc := &budget{max: 9 << 20}, new(scratch)
		sc.out, sc.call.Buf = make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
		began := time.Now()
		if sc.await(from, 8<<20, began.Add(time.Second)); time.Now() != began || from.used.Load() != 8<<20 {
			t.Errorf("it waits for %s, and has %d bytes", time.Since(began), from.used.Load())
		}
	})
}

// What is said of a record beforehand is never less than what it takes in JSON. It is not much more
// either, however short the value is.
func TestRecordsAreBounded(t *testing.T) {
	values := []string{"", "v", strings.Repeat("v", 1000), strings.Repeat("\x01", 1000), strings.Repeat(`"`, 1000), strings.Repeat("\xff", 1001), "å\n\r\t\x00"}
	for _, value := range append(values, strings.Repeat("\x01", freeBytes+1), strings.Repeat("\\", freeBytes+1), strings.Repeat("v", freeBytes+1)) {
		for _, key := range []string{"k", "\xff\x01", strings.Repeat("\x01", 50)} {
			r := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: 1<<64 - 1, Expires: kv.ExpiresMax, Value: []byte(value)}}
			most, takes := recordJSONMax(&r, true), len(appendRecordJSON(nil, &r, true))
			if takes > most || most > takes+256+escapeMax*len(key) {
				t.Errorf("%.10q with %d bytes takes %d, and is said to take at most %d", key, len(value), takes, most)
			}
		}
	}
}
