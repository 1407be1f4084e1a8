package client

import (
	"fmt"
	"strings"
	"testing"
)

// tsvLines is a file of n pairs.
func tsvLines(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "k%011d\t%032x\n", i, i)
	}
	return text.String()
}

// readAndEncode does what a load does with a file before it sends anything.
func readAndEncode(t testing.TB, text string) (n int) {
	var enc encoder
	for rec, err := range ReadRecords(strings.NewReader(text), TSV, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enc.encode(&rec); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// A record of a file costs no allocation of its own.
func TestReadRecordsAllocations(t *testing.T) {
	const n = 20_000
	text := tsvLines(n)
	allocs := testing.AllocsPerRun(3, func() {
		if got := readAndEncode(t, text); got != n {
			t.Fatalf("%d records", got)
		}
	})
	if allocs > n/50 {
		t.Errorf("%v allocations for %d records", allocs, n)
	}
}

// What a load does with each line of a file.
func BenchmarkReadRecords(b *testing.B) {
	const n = 20_000
	text := tsvLines(n)
	b.ReportAllocs()
	for b.Loop() {
		readAndEncode(b, text)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
}
