package format

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// A file is what its ending says, unless it begins as something else: then it is that, or is
// refused, and never read as TSV.
func TestGuess(t *testing.T) {
	const pair = `{"key":"a","value":"1"}`
	f := func(name, head string, want Format, wantErr error) {
		t.Helper()
		if got, err := Guess(name, []byte(head)); got != want || err != wantErr {
			t.Errorf("%s with %.40q is %v (%v), want %v (%v)", name, head, got, err, want, wantErr)
		}
	}
	long := strings.Repeat("x", SniffBytes)
	f("a", "a\t1\n", TSV, nil)
	f("-", "", TSV, nil)
	f("a.csv", "a,1\n", CSV, nil)
	f("a.CSV.gz", "a,1\n", CSV, nil)
	f("a.ndjson.ZST", pair+"\n", NDJSON, nil)
	f("a.records", "\x10\x01\x00", Binary, nil)
	f("a.tsv", "\x00\t1\n", TSV, nil)

	// The ending is wrong, or there is none.
	for _, name := range []string{"-", "a", "a.tsv", "a.csv", "a.txt.gz", "a.json", "a.json.zst", "a.dump"} {
		f(name, pair+"\n"+pair, NDJSON, nil)
		f(name, mark+"\r\n "+pair+" \r\n", NDJSON, nil)
		f(name, `{"key":"a","value":"`+long, NDJSON, nil)
		f(name, "[\n  {\n", 0, errArray)
		f(name, `[{"key":"a","value":"1"}]`, 0, errArray)
		f(name, "{\n  \"a\": \"1\"\n}\n", 0, errObject)
	}
	f("a.json", "{\"a\": \"1\",\n \"b\": \"2\"}\n", 0, errObject)
	f("a.json", "[1, 2]", 0, errArray)
	f("a.json", "a\t1\n", NDJSON, nil) // whose lines are errors
	f("a.json", "null\n", 0, errObject)
	f("a.json", "", NDJSON, nil)
	f("a.pdf", "%PDF\x00", 0, errNoText)
	f("-", "a\x00b\t1\n", 0, errNoText)

	// Keys may begin as JSON does.
	f("a", "{tag}\t1\n", TSV, nil)
	f("a", `{"tag"}`+"\t1\n", TSV, nil)
	f("a", "[::1]:80\t1\n", TSV, nil)
	f("a.csv", "[::1]:80,1\n", CSV, nil)
	f("a.csv", "{x,1\n", CSV, nil)
	f("a", "[\t1\n", TSV, nil)
	f("a", long, TSV, nil)
}

// What is packed ends the stream before anything is read of it, and says how to unpack it.
func TestPackedIsNotRead(t *testing.T) {
	for head, name := range map[string]string{
		"\x1f\x8b\x08\x00": "gzip", "\x28\xb5\x2f\xfd": "zstd", "\xfd7zXZ\x00": "xz", "PK\x03\x04": "zip", "\x04\x22\x4d\x18": "lz4",
		"BZh91AY&SY": "bzip2", "\xff\xfea\x00": "UTF-16", "\xfe\xff\x00a": "UTF-16",
	} {
		for _, f := range []Format{TSV, CSV, NDJSON} {
			for _, size := range []int{0, 16} {
				src := iotest.OneByteReader(strings.NewReader(head + "\tx\nkey\tvalue\n"))
				got, err := readAll(t, f, src, Options{Limits: testLimits, BlockBytes: size}, 1000)
				var packed *PackedError
				if len(got) != 0 || !errors.Is(err, ErrPacked) || !errors.As(err, &packed) || packed.Name != name {
					t.Errorf("%s as %v: %q (%v)", name, f, got, err)
				}
			}
		}
	}
	// What only looks so, or comes later, is as good as any bytes.
	check(t, TSV, Options{}, "a\t1\n\x1f\x8b\x08\t1\nBZh\t2\n", `1 put "a"="1"`, `2 put "\x1f\x8b\b"="1"`, `3 put "BZh"="2"`)
	check(t, TSV, Options{}, "BZh\t1", `1 put "BZh"="1"`)
	check(t, TSV, Options{}, "\xff\xfe\t1", `1 put "\xff\xfe"="1"`)
	if packed := Packing(nil); packed != nil {
		t.Error(packed)
	}
	if _, err := readAll(t, TSV, io.MultiReader(), Options{Limits: testLimits}, 1); err != nil {
		t.Error(err)
	}
}
