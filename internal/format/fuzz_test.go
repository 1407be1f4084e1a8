package format

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"httpdhs/kv"
)

// fuzzReader holds what is true of every format and every stream. There is no panic, and blocks are
// bounded (readAll looks at them). The outcome is the same with any size of the blocks and any
// number of operations taken from each.
func fuzzReader(f *testing.F, format Format, ops bool) {
	f.Fuzz(func(t *testing.T, in []byte, size uint8, take uint8) {
		opt := Options{Limits: testLimits, Ops: ops}
		want, wantErr := readAll(t, format, bytes.NewReader(bytes.Clone(in)), opt, 1<<30)
		opt.BlockBytes = 16 + int(size)
		got, gotErr := readAll(t, format, bytes.NewReader(bytes.Clone(in)), opt, 1+int(take))
		compare(t, string(in), got, want)
		if gotErr != wantErr {
			t.Fatalf("ends with %v and with %v", gotErr, wantErr)
		}
	})
}

func FuzzTSV(f *testing.F) {
	f.Add([]byte("a\t1\r\n\nno\n\tempty\nb\t2\t3"), uint8(0), uint8(0))
	f.Add([]byte("a\t"+strings.Repeat("x", 100)+"\nb\t2"), uint8(3), uint8(1))
	fuzzReader(f, TSV, false)
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,1\r\n\"b\n\",\"\"\"2\"\na,\"x\nb,2\nc\"d,2\n"), uint8(0), uint8(0))
	f.Add([]byte("a,\"x\n"+strings.Repeat("b,2\n", 40)), uint8(3), uint8(1))
	fuzzReader(f, CSV, false)
}

func FuzzNDJSON(f *testing.F) {
	f.Add([]byte(`{"op":"put","key":"a","value":"\u00e5\n","ttl":5}`+"\n"+`{"op":"get","key_base64":"YQ=="}`), uint8(0), uint8(0))
	f.Add([]byte(`{"op":"put","key":"a","value":1}`+"\n[]\n{"), uint8(3), uint8(1))
	fuzzReader(f, NDJSON, true)
}

func FuzzBinary(f *testing.F) {
	f.Add([]byte(record("a", "1")+record("b", strings.Repeat("x", 100))+string(AppendGet(nil, []byte("a")))), uint8(0), uint8(0))
	f.Add([]byte(record("", "1")+"garbage"), uint8(3), uint8(1))
	fuzzReader(f, Binary, true)
}

// Garbage between good lines loses none of them, in any format of lines: a
// garbage line has no newline, and in CSV no quote that a later one might
// close.
func FuzzGoodLinesSurvive(f *testing.F) {
	f.Add([]byte("no\x00tab"), []byte(`{"key":`), []byte("\"open"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		for _, g := range [][]byte{a, b, c} {
			if bytes.ContainsAny(g, "\n\r") {
				return
			}
		}
		for format, good := range map[Format]string{TSV: "goodkey\t%d", CSV: "goodkey,%d", NDJSON: `{"key":"goodkey","value":"%d"}`} {
			var in []byte
			for i, garbage := range [][]byte{a, b, c, nil} {
				if format == CSV {
					// One open quote at most: two of them enclose what is between.
					if garbage = bytes.ReplaceAll(garbage, []byte{'"'}, nil); i == 0 {
						garbage = append([]byte("k,\""), garbage...)
					}
				}
				in = fmt.Appendf(in, good+"\n%s\n", i, garbage)
			}
			got, err := readAll(t, format, bytes.NewReader(in), Options{Limits: testLimits, BlockBytes: 64}, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				want := fmt.Sprintf(`%d put "goodkey"="%d"`, 2*i+1, i)
				if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n") {
					t.Fatalf("%v: %q\nloses %s:\n%s", format, in, want, strings.Join(got, "\n"))
				}
			}
		}
	})
}

// What encoding/csv reads without an error, this reader reads the same way.
// (Not so with carriage returns: encoding/csv takes them out of quoted fields,
// and values are bytes.)
func FuzzCSVAgainstStandard(f *testing.F) {
	f.Add("a,1\n\"b\"\"\",\"2\n3\"\n\nc,")
	f.Fuzz(func(t *testing.T, in string) {
		if strings.ContainsAny(in, "\r\ufeff") {
			return
		}
		std := csv.NewReader(strings.NewReader(in))
		std.FieldsPerRecord = -1
		all, err := std.ReadAll()
		if err != nil {
			return
		}
		var want []string
		for _, rec := range all {
			if len(rec) == 2 && rec[0] != "" {
				want = append(want, fmt.Sprintf("%q=%q", rec[0], rec[1]))
			}
		}
		opt := Options{Limits: kv.Limits{MaxKeyBytes: 1 << 20, MaxValueBytes: 1 << 20}}
		items, _ := readAll(t, CSV, strings.NewReader(in), opt, 1<<30)
		var got []string
		for _, item := range items {
			if _, pair, ok := strings.Cut(item, " put "); ok {
				got = append(got, pair)
			}
		}
		compare(t, in, got, want)
	})
}

// Where scan reads a line, it says what encoding/json says.
func FuzzObjectAgainstStandard(f *testing.F) {
	f.Add([]byte(`{ "key":"a\n\"" , "value":"", "etag":"x", "ttl":12}`))
	f.Add([]byte(`{"key":"a","key":"b","value":"\/"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		// What decode gives it.
		if line = bytes.Trim(line, " \t\r"); len(line) == 0 || !utf8.Valid(line) {
			return
		}
		var fast, full object
		line = bytes.Clone(line) // which read changes
		if !fast.scan(line) {
			return
		}
		if err := full.unmarshal(bytes.Clone(line)); err != nil {
			t.Fatalf("%q is read, and is no JSON: %v", line, err)
		}
		_ = fast.read(line)
		fast.escaped = full.escaped
		if !reflect.DeepEqual(fast, full) {
			t.Fatalf("%q is read as %q, want %q", line, fast.member, full.member)
		}
	})
}

// A result that was read is written as it was.
func FuzzResult(f *testing.F) {
	rec := kv.Record{Key: []byte("a"), Entry: kv.Entry{Version: 7, Value: []byte("1"), Expires: 5}}
	f.Add(AppendResult(nil, &Result{Status: 200, Record: rec}))
	f.Add(AppendResult(nil, &Result{Status: 201, Record: rec, Acks: 1, Replicas: 2}))
	f.Add(AppendResult(nil, &Result{Status: 404, Error: "no such key"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, rest, err := DecodeResult(in)
		if err != nil {
			return
		}
		if again := AppendResult(nil, &r); !bytes.Equal(again, in[:len(in)-len(rest)]) {
			t.Fatalf("%x is written as %x", in, again)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for format, item := range map[Format]string{
		TSV: "10005\tStockholm\n", CSV: "10005,Stockholm\n",
		NDJSON: `{"key":"10005","value":"Stockholm"}` + "\n", Binary: record("10005", "Stockholm"),
	} {
		b.Run(format.String(), func(b *testing.B) {
			in := bytes.Repeat([]byte(item), 100_000)
			src := bytes.NewReader(nil)
			var block Block
			var op kv.Op
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(in)
				r := NewReader(format, src, Options{Limits: kv.DefaultLimits()})
				records := 0
				for r.Fill(&block) == nil {
					for {
						if _, err := r.Next(&op); err != nil {
							break
						}
						records++
					}
				}
				if records != 100_000 {
					b.Fatal(records)
				}
			}
			b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
