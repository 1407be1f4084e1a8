package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"httpdhs/kv"
)

// testLimits are small, so that tests reach them.
var testLimits = kv.Limits{MaxKeyBytes: 8, MaxValueBytes: 32}

var testNow = time.UnixMilli(1_700_000_000_000)

// outcome is an item as text: "line put key=value" with its content type and
// expiry, or "line! error".
func outcome(line int64, op *kv.Op, err error) string {
	if err != nil {
		return fmt.Sprintf("%d! %v", line, err)
	}
	kind := [...]string{kv.OpGet: "get", kv.OpPut: "put", kv.OpDelete: "del", kv.OpIncr: "incr", kv.OpAppend: "append", kv.OpExpire: "expire"}[op.Kind]
	s := fmt.Sprintf("%d %s %q=%q", line, kind, op.Key, op.Value)
	if len(op.Meta) > 0 {
		s += fmt.Sprintf(" type=%s", bytes.ReplaceAll(op.Meta, []byte("\n"), []byte("|")))
	}
	if op.Number != 0 {
		s += fmt.Sprintf(" by=%d", op.Number)
	}
	if op.Cond.Kind != kv.Always {
		s += fmt.Sprintf(" if=%d%x", op.Cond.Kind, op.Cond.Versions)
	}
	if op.Expires != 0 {
		s += fmt.Sprintf(" in=%v", time.UnixMilli(op.Expires).Sub(testNow))
	}
	if op.Hash != kv.Hash(op.Key) || op.Version != 0 || op.Tombstone {
		s += " BAD"
	}
	return s
}

// readAll reads a stream with blocks of that size, two in turn, at most ops
// operations of a block. It returns what came and what the stream ended with.
func readAll(t testing.TB, f Format, src io.Reader, opt Options, ops int) (got []string, end error) {
	t.Helper()
	opt.Now = func() time.Time { return testNow }
	r := NewReader(f, src, opt)
	var blocks [2]Block
	for turn := 0; ; turn++ {
		if err := r.Fill(&blocks[turn%2]); err != nil {
			if c := max(cap(blocks[0].Bytes()), cap(blocks[1].Bytes())); c > 2*(r.dec.bytesMax()+r.opt.BlockBytes) {
				t.Fatalf("a block takes %d bytes; the longest item is %d, a block %d", c, r.dec.bytesMax(), r.opt.BlockBytes)
			}
			if err == io.EOF || err == ErrLost {
				err = nil
			}
			return got, err
		}
		for n := 0; n < ops; n++ {
			var op kv.Op
			line, err := r.Next(&op)
			if err == io.EOF {
				break
			}
			got = append(got, outcome(line, &op, err))
		}
	}
}

func compare(t *testing.T, in string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("%.200q\ngot:\n  %s\nwant:\n  %s", in, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// check reads in at once and byte by byte, with small and large blocks, and
// holds every time what is wanted.
func check(t *testing.T, f Format, opt Options, in string, want ...string) {
	t.Helper()
	if opt.Limits == (kv.Limits{}) {
		opt.Limits = testLimits
	}
	for _, size := range []int{0, 1, 17, 64} {
		for _, ops := range []int{1, 3, 1000} {
			opt.BlockBytes = size
			got, err := readAll(t, f, strings.NewReader(in), opt, ops)
			if err != nil {
				t.Fatalf("%q: %v", in, err)
			}
			compare(t, in, got, want)
			got, err = readAll(t, f, iotest.OneByteReader(strings.NewReader(in)), opt, ops)
			if err != nil {
				t.Fatalf("%q: %v", in, err)
			}
			compare(t, in, got, want)
		}
	}
}

// A line is a key and a value, with all further tabs in the value; nothing is unescaped.
func TestTSV(t *testing.T) {
	long := strings.Repeat("x", 200)
	f := func(in string, want ...string) {
		t.Helper()
		check(t, TSV, Options{}, in, want...)
	}
	f("")
	f("a\t1\nb\t2\n", `1 put "a"="1"`, `2 put "b"="2"`)
	f("a\t1\r\nb\t2", `1 put "a"="1"`, `2 put "b"="2"`)
	f("\n\r\na\t1\n\n\nb\t2\n", `3 put "a"="1"`, `6 put "b"="2"`)
	f("a\t1\t2\t\n", `1 put "a"="1\t2\t"`)
	f("a\t\n", `1 put "a"=""`)
	f("a\\t\t\"b\\n\"\n", `1 put "a\\t"="\"b\\n\""`)
	f("\xff\x00\t\xfe\r\r\n", `1 put "\xff\x00"="\xfe\r"`)
	f("ab\na\t1\n", "1! no tab between key and value", `2 put "a"="1"`)
	f("\tv\na\t1\n", "1! the key is empty", `2 put "a"="1"`)
	f("\xef\xbb\xbfa\t1\n\xef\xbb\xbfb\t2\n", `1 put "a"="1"`, `2 put "\ufeffb"="2"`)
	f("\xef\xbb\xbf", []string(nil)...)
	f("\xef\xbb\t1\n", `1 put "\xef\xbb"="1"`)
	f("123456789\tv\na\t1\n", "1! the key is longer than --max-key-bytes", `2 put "a"="1"`)
	f("a\t"+long+"\nb\t2\n", "1! the value is larger than --max-value-bytes", `2 put "b"="2"`)
	f(long+"\t1\nb\t2\n", "1! no tab between key and value", `2 put "b"="2"`)
	f(long+"\nb\t2\n", "1! no tab between key and value", `2 put "b"="2"`)
	f("a\t1\nb\t"+long, `1 put "a"="1"`, "2! the value is larger than --max-value-bytes")
	// The longest line that is good.
	f("12345678\t"+long[:32]+"\r\nb\t2\n", `1 put "12345678"="`+long[:32]+`"`, `2 put "b"="2"`)
}

// Fields may be quoted, and then hold commas, quotes and line ends.
func TestCSV(t *testing.T) {
	long := strings.Repeat("x", 200)
	f := func(in string, want ...string) {
		t.Helper()
		check(t, CSV, Options{}, in, want...)
	}
	f("a,1\r\nb,2", `1 put "a"="1"`, `2 put "b"="2"`)
	f("\n\r\na,1\n\n", `3 put "a"="1"`)
	f("\xef\xbb\xbfa,1\n", `1 put "a"="1"`)
	f(`"a,b","say ""hi"""`+"\n"+`"","x"`+"\nb,\n", `1 put "a,b"="say \"hi\""`, "2! the key is empty", `3 put "b"=""`)
	f("\"a\",\"1\n2\r\n3\"\nb,2\n", `1 put "a"="1\n2\r\n3"`, `4 put "b"="2"`)
	f("a,\"\"\"\"\n", `1 put "a"="\""`)
	f("a, 1 \n", `1 put "a"=" 1 "`)
	f("a\nb,2\na,b,c\nb,3\n", "1! fields: 1, want 2, the key and the value", `2 put "b"="2"`,
		"3! fields: 3, want 2, the key and the value", `4 put "b"="3"`)
	f("a,5\" nail\nb,2\n", "1! "+errQuoteBare.Error(), `2 put "b"="2"`)
	f("a,\"x\"y\nb,2\n", "1! "+errQuoteAfter.Error(), `2 put "b"="2"`)
	// A quote that is never closed costs its own line alone: before the end
	// of the stream, and where the limits end it.
	f("a,\"x\nb,2\nc,3\n", "1! "+errQuoteOpen.Error(), `2 put "b"="2"`, `3 put "c"="3"`)
	many, want := "a,\"x\n", []string{"1! " + errLineTooLong(88).Error()}
	for i := range 40 {
		many += fmt.Sprintf("k%d,%d\n", i, i)
		want = append(want, fmt.Sprintf(`%d put "k%d"="%d"`, i+2, i, i))
	}
	f(many, want...)
	f("a,"+long+"\nb,2\n", "1! "+errLineTooLong(88).Error(), `2 put "b"="2"`)
	f("a,"+long[:40]+"\nb,2\n", "1! the value is larger than --max-value-bytes", `2 put "b"="2"`)
}

// A line is an object; what its members mean is known, or the line is an error.
func TestNDJSON(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		check(t, NDJSON, Options{}, in, want...)
	}
	f(`{"key":"a","value":"1"}`+"\r\n\n"+` { "value" : "2" , "key" : "b" } `, `1 put "a"="1"`, `3 put "b"="2"`)
	f("\xef\xbb\xbf"+`{"key":"a","value":""}`, `1 put "a"=""`)
	f(`{"key":"a\n\"\\\/\t","value":"\b\f\r"}`, `1 put "a\n\"\\/\t"="\b\f\r"`)
	f(`{"key":"\u00e5ä","value":"\ud83d\ude00"}`, `1 put "åä"="😀"`)
	f(`{"key_base64":"/w==","value_base64":"AAEC"}`, `1 put "\xff"="\x00\x01\x02"`)
	f(`{"key":"a","value":"1","content_type":"text/plain","etag":"\"1f\""}`, `1 put "a"="1" type=text/plain`)
	f(`{"key":"a","value":"1","expires":"2023-11-14T22:13:30Z"}`, `1 put "a"="1" in=10s`)
	f(`{"key":"a","value":"1","expires":"2020-01-01T00:00:00Z"}`, `1 del "a"=""`)
	f(`{"key":"a","value":"1","ttl":"1m"}`+"\n"+`{"key":"a","value":"1","ttl":90}`, `1 put "a"="1" in=1m0s`, `2 put "a"="1" in=1m30s`)
	f(`{"key":"a","value":"1","ttl":"1d"}`+"\n"+`{"key":"a","value":"1","ttl":"1w"}`, `1 put "a"="1" in=24h0m0s`, `2 put "a"="1" in=168h0m0s`)
	last := time.UnixMilli(kv.ExpiresMax).UTC()
	f(`{"key":"a","value":"1","expires":"`+last.Format(time.RFC3339Nano)+`"}`, fmt.Sprintf(`1 put "a"="1" in=%v`, last.Sub(testNow)))
	f(`{"key":"a","value":"1","key":"b"}`, `1 put "b"="1"`)
	f(`{"key":"a","value":"1","content_type":"text/plain","cache_control":"max-age=9","content_encoding":"gzip"}`,
		`1 put "a"="1" type=text/plain|cmax-age=9|egzip`)
	f(`{"key":"a","value":"1","content_encoding":"br"}`, `1 put "a"="1" type=|ebr`)
	f(`{"op":"put","key":"a","value":"1"}`, `1 put "a"="1"`)

	bad := func(line, want string) {
		t.Helper()
		f(line+"\n"+`{"key":"b","value":"2"}`, "1! "+want, `2 put "b"="2"`)
	}
	bad(`{"key":"a","value":42}`, "value is a number: want a string")
	bad(`{"key":"a","value":{}}`, "value is an object: want a string")
	bad(`{"key":[],"value":"1"}`, "key is an array: want a string")
	bad(`{"key":"a","value":true}`, "value is a boolean: want a string")
	bad(`{"key":"a"}`, errNoValue.Error())
	bad(`{"value":"a"}`, errNoKey.Error())
	bad(`{"key":"","value":"a"}`, "the key is empty")
	bad(`{"key":"a","key_base64":"YQ==","value":"a"}`, `both "key" and "key_base64": give one of them`)
	bad(`{"key":"a","value":"1","value_base64":""}`, `both "value" and "value_base64": give one of them`)
	bad(`{"key":"a","value":"1","ttl":"1m","expires":"2030-01-31T12:00:00Z"}`, `both "ttl" and "expires": give one of them`)
	bad(`{"op":"","key":"a","value":"1"}`, errNoOp.Error())
	bad(`{"key":"a","value_base64":"?"}`, "value_base64 is not base64 (RFC 4648, with padding)")
	for _, ttl := range []string{`0`, `"1e9h"`, `-1`, `1.5`, `""`, `"99999999d"`} {
		_, err := kv.ParseTTL(strings.Trim(ttl, `"`))
		bad(`{"key":"a","value":"1","ttl":`+ttl+`}`, err.Error())
	}
	// Beyond what can be shown; with the offset it is in the year 10000.
	bad(`{"key":"a","value":"1","expires":"9999-12-31T23:59:59-00:01"}`, kv.ErrExpiresTooLate.Error())
	bad(`{"key":"a","value":"1","expires":"soon"}`, `expires is "soon": want a time like 2030-01-31T12:00:00Z`)
	bad(`{"key":"a","value":"1","cache_control":"a\nb"}`, "the Cache-Control has control characters")
	bad(`{"key":"a","value":"1","content_type":"a\u0000"}`, "the Content-Type has control characters")
	bad(`{"key":"a","value":"1","content_type":"`+strings.Repeat("t", 100)+`","cache_control":"`+strings.Repeat("c", 154)+`"}`,
		"the Cache-Control is "+kv.ErrMetaTooLong.Error())
	const there = "there are op, key, key_base64, value, value_base64, content_type, ttl, expires, cache_control, content_encoding, etag"
	bad(`{"key":"a","value":"1","more":{"x":[1,null]}}`, `"more": no such member; `+there)
	bad(`{"key":"a","value":"1","TTL":"1h"}`, `"TTL": no such member; `+there)
	bad(`{"z":1,"Key":"a","value":"1","":null,"ttl ":1}`, `"", "Key", "ttl ": no such member; `+there)
	bad(`{"key":"a","value":"1","if_match":"\"1f\""}`, `"if_match" means nothing here, where the members are `+strings.TrimPrefix(there, "there are "))
	bad(`{"op":"delete","key":"a"}`, `op is "delete": this endpoint takes pairs to put, /batch takes operations`)
	bad(`["a","b"]`, `want a JSON object on each line, with a key and a value`)
	bad(`{"key":"a","value":"b"`, "not JSON: unexpected end of JSON input")
	bad("{\"key\":\"a\x01\",\"value\":\"b\"}", `not JSON: invalid character '\x01' in string literal`)
	bad("{\"key\":\"\xff\",\"value\":\"b\"}", errNotUTF8.Error())
	long := 6*(testLimits.MaxKeyBytes+testLimits.MaxValueBytes) + jsonOverheadMax
	bad(`{"key":"`+strings.Repeat("x", long), errLineTooLong(long).Error())
	bad(`{"key":"`+strings.Repeat(`\u0061`, 9)+`","value":""}`, "the key is longer than --max-key-bytes")
	f(`{"key":"`+strings.Repeat(`\u0061`, 8)+`","value":"`+strings.Repeat(`\u0062`, 32)+`"}`,
		`1 put "aaaaaaaa"="bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"`)
}

// Half a character, in an escape, is refused like bytes that are not UTF-8: encoding/json makes
// U+FFFD of it, and of two keys one. A line that has no other fault is refused for it wherever it
// is.
func TestNDJSONHalfCharacters(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		check(t, NDJSON, Options{Ops: true}, in, want...)
	}
	for _, half := range []string{`\ud800`, `\uDFFF`, `\udc00\ud800`, `\ud800\ud83d\ude00`, `\ud800\u0041`, `\ud800\\udc00`, `\\\ud800`, `\ud83d\ude00\udc00`} {
		for _, line := range []string{
			`{"op":"put","key":"a` + half + `","value":"1"}`,
			`{"op":"put","key":"a","value":"` + half + `1"}`,
			`{"op":"put","key":"a","value":"1","content_type":"text/` + half + `x"}`,
			`{"op":"put","key":"a","value":"1","more":["` + half + `"]}`,
			`{"op":"get","key":"` + half + `"}`,
			`{"op":"delete","key":"` + half + `"}`,
		} {
			got, err := readAll(t, NDJSON, strings.NewReader(line), Options{Ops: true, Limits: testLimits}, 1)
			if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "1! ") || !strings.Contains(got[0], "half of a character") {
				t.Errorf("%s is read as %q (%v)", line, got, err)
			}
		}
	}
	f(`{"op":"put","key":"\\ud800","value":"\\\\udc00"}`, `1 put "\\ud800"="\\\\udc00"`)
	f(`{"op":"put","key":"\ufffd","value":"\ud83d\ude00\uD83D\uDE00"}`, "1 put \"\ufffd\"=\"😀😀\"")
}

// A string has half a character where encoding/json makes U+FFFD of what is none, and nowhere else.
func TestHalfCharacterIsWhatJSONLoses(t *testing.T) {
	tokens := []string{`\ud800`, `\uDBFF`, `\uDc00`, `\udfff`, `\ud83d\ude00`, `\u0041`, `\\`, `\n`, `u`, `d800`, `å`, `\"`}
	rapid.Check(t, func(t *rapid.T) {
		quoted := `"` + strings.Join(rapid.SliceOf(rapid.SampledFrom(tokens)).Draw(t, "tokens"), "") + `"`
		var s string
		if err := json.Unmarshal([]byte(quoted), &s); err != nil {
			t.Fatal(err)
		}
		if got, want := halfCharacter([]byte(quoted)) != nil, strings.ContainsRune(s, utf8.RuneError); got != want {
			t.Fatalf("%s, which is read as %q: %v, want %v", quoted, s, got, want)
		}
	})
}

// A line of a batch says what to do, and under which condition.
func TestNDJSONOps(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		check(t, NDJSON, Options{Ops: true}, in, want...)
	}
	f(`{"op":"get","key":"a"}`, `1 get "a"=""`)
	f(`{"op":"delete","key_base64":"YQ=="}`, `1 del "a"=""`)
	f(`{"op":"put","key":"a","value":"1","ttl":"2s"}`, `1 put "a"="1" in=2s`)
	f(`{"op":"incr","key":"a"}`, `1 incr "a"="" by=1`)
	f(`{"op":"incr","key":"a","by":-5}`, `1 incr "a"="" by=-5`)
	f(`{"op":"incr","key":"a","by":"9223372036854775807","if_match":"*"}`, fmt.Sprintf(`1 incr "a"="" by=9223372036854775807 if=%d[]`, kv.IfPresent))
	f(`{"op":"append","key":"a","value_base64":"YQ=="}`, `1 append "a"="a"`)
	f(`{"op":"expire","key":"a","ttl":2}`, `1 expire "a"="" in=2s`)
	f(`{"key":"a","value":"1"}`, "1! "+errNoOp.Error())
	f(`{"op":"put","key":"a","value":"1","if_none_match":"*"}`, fmt.Sprintf(`1 put "a"="1" if=%d[]`, kv.IfAbsent))
	f(`{"op":"put","key":"a","value":"1","if_match":"*"}`, fmt.Sprintf(`1 put "a"="1" if=%d[]`, kv.IfPresent))
	f(`{"op":"put","key":"a","value":"1","if_match":"\"1f\", \"20\""}`, fmt.Sprintf(`1 put "a"="1" if=%d[1f 20]`, kv.IfVersion))
	f(`{"op":"delete","key":"a","if_match":"\"1f\""}`, fmt.Sprintf(`1 del "a"="" if=%d[1f]`, kv.IfVersion))
	f(`{"op":"delete","key":"a","if_none_match":"\"1f\""}`, fmt.Sprintf(`1 del "a"="" if=%d[1f]`, kv.IfNotVersion))
	bad := func(line, want string) {
		t.Helper()
		got, err := readAll(t, NDJSON, strings.NewReader(line), Options{Ops: true, Limits: testLimits}, 1)
		if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "1! ") || !strings.Contains(got[0], want) {
			t.Errorf("%s is read as %q (%v), want %s", line, got, err, want)
		}
	}
	bad(`{"op":"put","key":"a","value":"1","if_match":""}`, "if_match has no entity tag")
	bad(`{"op":"put","key":"a","value":"1","if_match":"1f"}`, "if_match has no entity tag")
	bad(`{"op":"put","key":"a","value":"1","if_match":"*, \"1f\""}`, "if_match has * beside something else")
	bad(`{"op":"delete","key":"a","if_none_match":"\"1f\", 20"}`, `if_none_match has "20", which is no entity tag`)
	bad(`{"op":"put","key":"a","value":"1","if_match":"W/\"1f\""}`, `if_match has the tag W/"1f"`)
	bad(`{"op":"put","key":"a","value":"1","if_match":"\"1f-gzip\""}`, `if_match has the tag "1f-gzip"`)
	bad(`{"op":"put","key":"a","value":"1","if_match":"*","if_none_match":"*"}`, "not both")
	bad(`{"op":"put","key":"a","value":"1","if_match":["*"]}`, "if_match is an array")
	bad(`{"op":"put","key":"a","value":"1","ifmatch":"*"}`, `"ifmatch": no such member; there are op, key`)
	bad(`{"op":"put","key":"a","value":"1","etag":"\"1f\""}`, `"etag" means nothing here`)
	bad(`{"op":"get","key":"a","if_match":"*"}`, `"if_match" means nothing here, where the members are op, key, key_base64`)
	bad(`{"op":"get","key":"a","ttl":"1s"}`, `"ttl" means nothing here`)
	bad(`{"op":"delete","key":"a","value":"1"}`, `"value" means nothing here`)
	bad(`{"op":"incr","key":"a","by":"x"}`, `by is "x": want an integer`)
	bad(`{"op":"incr","key":"a","by":1.5}`, `by is "1.5": want an integer`)
	bad(`{"op":"incr","key":"a","by":[1]}`, "by is an array")
	bad(`{"op":"incr","key":"a","value":"1"}`, `"value" means nothing here, where the members are op, key, key_base64, if_match, if_none_match, by`)
	bad(`{"op":"append","key":"a"}`, "no \"value\"")
	bad(`{"op":"append","key":"a","value":"1","ttl":"1s"}`, `"ttl" means nothing here`)
	bad(`{"op":"expire","key":"a"}`, `no "ttl" or "expires"`)
	bad(`{"op":"expire","key":"a","ttl":"1s","by":"1"}`, `"by" means nothing here`)
	f(`{"op":"rename","key":"a"}`, `1! op is "rename": want "get", "put", "delete", "incr", "append" or "expire"`)
}

// A member that is null is an error, whichever it is and whatever else the line has: a write whose
// condition or time to live is null was meant to have one.
func TestNDJSONNull(t *testing.T) {
	bad := func(line, name string, ops bool) {
		t.Helper()
		want := "1! " + name + " is null, which means nothing: give it a value, or leave it out"
		got, err := readAll(t, NDJSON, strings.NewReader(line), Options{Ops: ops, Limits: testLimits}, 1)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s is read as %q (%v), want %q", line, got, err, want)
		}
	}
	for _, name := range memberNames {
		others := map[string]string{"op": `"put"`, "key": `"a"`, "value": `"1"`}
		if text, ok := strings.CutSuffix(name, "_base64"); ok {
			delete(others, text)
		}
		others[name] = "null"
		var parts []string
		for other, value := range others {
			parts = append(parts, fmt.Sprintf("%q:%s", other, value))
		}
		line := "{" + strings.Join(parts, ",") + "}"
		bad(line, name, true)
		bad(line, name, false)
		bad(`{"op":"put","key":"a","value":"1",`+fmt.Sprintf("%q:null}", name), name, true)
	}
	bad(`{"op":"delete","key":"a","if_match":null}`, "if_match", true)
	bad(`{"op":"get","key":"a","key_base64":null}`, "key_base64", true)
}

func record(key, value string, more ...func(*kv.Record)) string {
	r := kv.Record{Key: []byte(key), Entry: kv.Entry{Version: 7, Value: []byte(value)}}
	for _, m := range more {
		m(&r)
	}
	return string(kv.AppendRecord(nil, &r))
}

// Records follow each other without anything between. One that cannot be kept is an error of its
// own; what is no record ends the stream.
func TestBinary(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		check(t, Binary, Options{}, in, want...)
	}
	dead := func(r *kv.Record) { r.Tombstone, r.Expires = true, 9 }
	typed := func(r *kv.Record) { r.Meta, r.Expires = []byte("text/plain"), testNow.UnixMilli()+1000 }
	past := func(r *kv.Record) { r.Expires = 5 }
	long := strings.Repeat("x", 300)
	late := func(r *kv.Record) { r.Expires = kv.ExpiresMax + 1 }
	last := func(r *kv.Record) { r.Expires = kv.ExpiresMax }
	a, b := record("a", "1"), record("b", "2")
	f(record("a", "1", late)+b, "1! "+kv.ErrExpiresTooLate.Error(), `2 put "b"="2"`)
	f(record("a", "1", last), fmt.Sprintf(`1 put "a"="1" in=%v`, time.UnixMilli(kv.ExpiresMax).Sub(testNow)))
	f(a+b, `1 put "a"="1"`, `2 put "b"="2"`)
	f(record("a", "1", typed)+record("a", "", dead)+record("a", "1", past),
		`1 put "a"="1" type=text/plain in=1s`, `2 del "a"=""`, `3 del "a"=""`)
	f(record("a", long)+b, "1! the value is larger than --max-value-bytes", `2 put "b"="2"`)
	f(record(long, "1")+b, "1! the key is longer than --max-key-bytes", `2 put "b"="2"`)
	f(record("", "1")+b, "1! the key is empty", `2 put "b"="2"`)
	f(record("a", long)[:100], "1! the value is larger than --max-value-bytes")
	f(a+b[:len(b)-1], `1 put "a"="1"`, "2! record cut short")
	f(a+"garbage", `1 put "a"="1"`, "2! malformed record: it starts with 0x67")
	f(a+"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"+b, `1 put "a"="1"`,
		"2! malformed record: a length that is none")

	get := string(AppendGet(nil, []byte("a")))
	check(t, Binary, Options{Ops: true}, get+b+get, `1 get "a"=""`, `2 put "b"="2"`, `3 get "a"=""`)
	check(t, Binary, Options{Ops: true}, string(AppendGet(nil, []byte(long)))+get,
		"1! the key is longer than --max-key-bytes", `2 get "a"=""`)
	f(get, "1! malformed record: it starts with 0x90")
}

// A stream that breaks off is read up to its last whole item: what is cut in
// two is not taken for a shorter one, and the error comes after all the rest.
func TestCutShort(t *testing.T) {
	broken := errors.New("connection reset")
	f := func(f Format, in string, want ...string) {
		t.Helper()
		for _, size := range []int{0, 16} {
			for _, ops := range []int{1, 1000} {
				src := io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken))
				got, err := readAll(t, f, src, Options{Limits: testLimits, BlockBytes: size}, ops)
				if !errors.Is(err, broken) {
					t.Fatalf("%q ends with %v, want %v", in, err, broken)
				}
				compare(t, in, got, want)
			}
		}
	}
	f(TSV, "a\t1\nb\t2\n12345\tStockh", `1 put "a"="1"`, `2 put "b"="2"`)
	f(TSV, "a\t1\n", `1 put "a"="1"`)
	f(TSV, "")
	f(CSV, "a,1\nb,\"2\n3", `1 put "a"="1"`)
	f(CSV, "a,1\nb,\"2\"", `1 put "a"="1"`)
	f(NDJSON, `{"key":"a","value":"1"}`+"\n"+`{"key":"b","value":"2"}`, `1 put "a"="1"`)
	f(Binary, record("a", "1")+record("b", "2")[:5], `1 put "a"="1"`)
}

// A format is known by its media type, and by the ending of a file's name.
func TestByName(t *testing.T) {
	for header, want := range map[string]Format{
		"text/tab-separated-values": TSV, "Text/CSV; charset=utf-8": CSV,
		"application/jsonl": NDJSON, "application/vnd.httpdhs.records": Binary,
	} {
		if f, ok := ByMediaType([]byte(header)); !ok || f != want {
			t.Errorf("%s: %v, %v", header, f, ok)
		}
	}
	if f, ok := ByMediaType([]byte("multipart/form-data; boundary=x")); ok {
		t.Errorf("multipart is taken for %v", f)
	}
	if f, ok := ByFileName("dir/a.b.JSONL"); !ok || f != NDJSON {
		t.Errorf("a.b.JSONL: %v, %v", f, ok)
	}
}

// A result is read as it was written, whatever follows it, and from no less.
func TestResult(t *testing.T) {
	rec := kv.Record{Key: []byte("a"), Entry: kv.Entry{Version: 7, Value: bytes.Repeat([]byte("v"), 300), Expires: 5}}
	for _, want := range []Result{
		{Status: 200, Record: rec},
		{Status: 201, Record: kv.Record{Entry: kv.Entry{Version: 7}}, Acks: 1, Replicas: 2},
		{Status: 503, Error: "too few", Acks: 1, Replicas: 2},
	} {
		wire := AppendResult([]byte("before"), &want)[len("before"):]
		got, rest, err := DecodeResult(append(bytes.Clone(wire), "after"...))
		if err != nil || string(rest) != "after" || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v is read as %+v, %q, %v", want, got, rest, err)
		}
		for n := range wire {
			if _, _, err := DecodeResult(wire[:n]); err != kv.ErrShort {
				t.Errorf("%d bytes of %+v: %v", n, want, err)
			}
		}
	}
}

// The memory of a stream is that of its longest record, not of the stream.
func TestReadingDoesNotAllocate(t *testing.T) {
	for name, in := range map[Format]string{TSV: "key\tvalue\n", CSV: "key,\"va\"\"lue\"\n",
		NDJSON: `{"key":"key","value":"va\nlue"}` + "\n", Binary: record("key", "value")} {
		many := []byte(strings.Repeat(in, 10_000))
		var op kv.Op
		var b Block
		allocs := testing.AllocsPerRun(3, func() {
			r := NewReader(name, bytes.NewReader(many), Options{Limits: kv.DefaultLimits()})
			for r.Fill(&b) == nil {
				for err := error(nil); err != io.EOF; _, err = r.Next(&op) {
				}
			}
		})
		if allocs > 20 {
			t.Errorf("%v: %v allocations for 10,000 records", name, allocs)
		}
	}
}
