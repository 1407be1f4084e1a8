package wire

import (
	"fmt"
	"testing"

	"httpdhs/kv"
)

// benchRecords are so many of a usual size: 16-byte keys, 100-byte values.
func benchRecords(n int) (all []kv.Record) {
	for i := range n {
		all = append(all, kv.Record{
			Key: fmt.Appendf(nil, "key%013d", i), Entry: kv.Entry{Version: kv.Version(i + 1), Value: make([]byte, 100)},
		})
	}
	return all
}

// BenchmarkEncodeItem appends a record to a batch.
func BenchmarkEncodeItem(b *testing.B) {
	record := benchRecords(1)[0]
	buf := OpenBatch(nil)
	b.ReportAllocs()
	for b.Loop() {
		if len(buf) > 256<<10 {
			buf = buf[:BatchHead]
		}
		buf = AppendApply(buf, &record)
	}
}

// BenchmarkDecodeItem takes a record off a batch; a figure is for a record.
func BenchmarkDecodeItem(b *testing.B) {
	var body []byte
	for _, r := range benchRecords(1000) {
		body = AppendApply(body, &r)
	}
	rest := body
	b.ReportAllocs()
	for b.Loop() {
		if len(rest) == 0 {
			rest = body
		}
		var err error
		if _, rest, err = NextItem(rest); err != nil {
			b.Fatal(err)
		}
	}
}
