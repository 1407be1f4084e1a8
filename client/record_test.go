package client

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

// A file is read in each format, deletes of a binary stream included.
func TestReadRecords(t *testing.T) {
	binary := kv.AppendRecord(nil, &kv.Record{Key: []byte("k"), Entry: kv.Entry{Tombstone: true}})
	at := time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)
	full := Record{Key: "k2", Value: []byte("v2"), ContentType: "a/b", CacheControl: "c", ContentEncoding: "e", Expires: at, Line: 2}
	for f, tc := range map[Format]struct {
		file string
		want []Record
	}{
		TSV: {"k\tv\nk2\tv2\n", []Record{{Key: "k", Value: []byte("v"), Line: 1}, {Key: "k2", Value: []byte("v2"), Line: 2}}},
		CSV: {"\"k\",v\n", []Record{{Key: "k", Value: []byte("v"), Line: 1}}},
		NDJSON: {`{"key":"k","value":""}` + "\n" +
			`{"key":"k2","value":"v2","content_type":"a/b","cache_control":"c","content_encoding":"e","expires":"2100-01-02T03:04:05Z"}`,
			[]Record{{Key: "k", Value: []byte{}, Line: 1}, full}},
		Binary: {string(binary), []Record{{Key: "k", Delete: true, Line: 1}}},
	} {
		var got []string
		var records []Record
		for rec, err := range ReadRecords(strings.NewReader(tc.file), f, nil) {
			if err != nil {
				t.Errorf("%s: %v", f, err)
			}
			rec.Expires = rec.Expires.UTC()
			records = append(records, rec)
		}
		for _, rec := range records {
			got = append(got, fmt.Sprintf("%+v", rec))
		}
		var want []string
		for _, rec := range tc.want {
			want = append(want, fmt.Sprintf("%+v", rec))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", f, got, want)
		}
	}
}

// Records are the caller's: they stay what they are while reading goes on.
func TestReadRecordsAreKept(t *testing.T) {
	var file strings.Builder
	const n = 1000
	for i := range n {
		fmt.Fprintf(&file, "key %04d\tvalue %04d%s\n", i, i, strings.Repeat(" ", 2000))
	}
	var all []Record
	for rec, err := range ReadRecords(strings.NewReader(file.String()), TSV, nil) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
	for i, rec := range all {
		want := fmt.Sprintf("%04d", i)
		if rec.Key != "key "+want || strings.TrimSpace(string(rec.Value)) != "value "+want {
			t.Fatalf("record %d is %s, %.20s", i, rec.Key, rec.Value)
		}
	}
	if len(all) != n {
		t.Errorf("%d records, want %d", len(all), n)
	}
}

// A line that is no record is a RecordError with its line, and reading goes on. One that is beyond
// the limits is too. An unknown format ends it.
func TestReadRecordsErrors(t *testing.T) {
	var lines []string
	for rec, err := range ReadRecords(strings.NewReader("no tab\nkey\tv\nk\tvalue\nk\tv\n"), TSV, &ReadOptions{MaxKeyBytes: 2, MaxValueBytes: 3}) {
		var bad *RecordError
		if errors.As(err, &bad) {
			lines = append(lines, fmt.Sprint("bad ", bad.Line))
		} else {
			lines = append(lines, fmt.Sprint(rec.Key, " ", rec.Line))
		}
	}
	if want := []string{"bad 1", "bad 2", "bad 3", "k 4"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	n := 0
	for _, err := range ReadRecords(strings.NewReader("k\tv\n"), "text/html", nil) {
		if n++; err == nil || errors.As(err, new(*RecordError)) {
			t.Errorf("an unknown format: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("an unknown format yields %d times", n)
	}
}

// What ReadRecords returns reads its file once. A second time, as for a load after the records were
// counted, is an error, and not a file without records.
func TestReadRecordsReadsOnce(t *testing.T) {
	records := ReadRecords(strings.NewReader("a\t1\nb\t2\n"), TSV, nil)
	for range records {
		break
	}
	n := 0
	for rec, err := range records {
		if n++; err != errReadTwice {
			t.Errorf("the second time: %+v, %v", rec, err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors, want one", n)
	}
}

// A load takes records of any source. One that says nothing of its line is counted; the errors that
// a sequence yields, and records that cannot be sent, fail like any other; each is named by its
// line.
func TestLoadOfASequence(t *testing.T) {
	target := newLoadTarget(1)
	cluster := newFakeCluster(t, 1, func(node int, w http.ResponseWriter, r *http.Request) {
		target.take(t, node, w, r, func(key string) bool { return key == "refused" })
	})
	c, _ := newClient(t, Options{Addrs: []string{cluster.nodes[0].addr}})
	report, err := c.NewLoader(nil).Load(background, Pairs(maps.All(map[string][]byte{"a": []byte("1"), "b": nil})))
	if err != nil || report.Loaded != 2 || target.pairs["a"] != "1" {
		t.Errorf("pairs: %+v, %v", report, err)
	}

	var records iter.Seq2[Record, error] = func(yield func(Record, error) bool) {
		_ = yield(Record{Key: "ok"}, nil) &&
			yield(Record{Key: "refused"}, nil) &&
			yield(Record{}, &RecordError{Err: errors.New("third")}) &&
			yield(Record{}, fmt.Errorf("wrapped: %w", &RecordError{Line: 40, Err: errors.New("fortieth")})) &&
			yield(Record{Key: "k", ContentType: "a\nb"}, nil) &&
			yield(Record{Key: "refused", Line: 60}, nil)
	}
	report, err = c.NewLoader(nil).Load(background, records)
	if !errors.Is(err, ErrIncomplete) || report.Loaded != 1 || report.Failed != 5 {
		t.Errorf("got %+v, %v", report, err)
	}
	var lines []int64
	for _, e := range report.Errors {
		lines = append(lines, e.Line)
	}
	if want := []int64{2, 3, 5, 40, 60}; !slices.Equal(lines, want) {
		t.Errorf("lines %v, want %v", lines, want)
	}
	if first := (*RecordError)(nil); !errors.As(err, &first) || first.Line != 2 {
		t.Errorf("the error names %+v first", first)
	}
}
