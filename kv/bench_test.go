package kv

import (
	"testing"
	"time"
)

// benchRecords are one of a usual size, and one with all that a record can have.
func benchRecords() map[string]Record {
	plain := Record{Key: make([]byte, 16), Entry: Entry{Version: VersionAt(time.Now()), Value: make([]byte, 100)}}
	full := plain
	full.Expires, full.Meta = 1<<40, []byte("text/plain; charset=utf-8")
	return map[string]Record{"plain": plain, "full": full}
}

// BenchmarkAppendRecord encodes a record.
func BenchmarkAppendRecord(b *testing.B) {
	for name, r := range benchRecords() {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendRecord(dst[:0], &r)
			}
		})
	}
}

// BenchmarkDecodeRecord decodes a record.
func BenchmarkDecodeRecord(b *testing.B) {
	limits := DefaultLimits()
	for name, r := range benchRecords() {
		b.Run(name, func(b *testing.B) {
			src := AppendRecord(nil, &r)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := DecodeRecord(src, &limits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClockNow stamps a version.
func BenchmarkClockNow(b *testing.B) {
	c := NewClock(1, time.Now)
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}
