package kv

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A time to live is a duration with days and weeks, or whole seconds. What is none says how to
// write one, and how long it may be.
func TestParseTTL(t *testing.T) {
	const day = 24 * time.Hour
	for in, want := range map[string]time.Duration{
		"90": 90 * time.Second, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1500ms": 1500 * time.Millisecond,
		"007": 7 * time.Second, "2µs": 2 * time.Microsecond, ".5s": 500 * time.Millisecond,
		"1d": day, "1w": 7 * day, "1.5d": 36 * time.Hour, "1w2d3h": 9*day + 3*time.Hour, "0d1s": time.Second,
		"106751d": 106751 * day, "9223372036": 9223372036 * time.Second, "2562047h47m16.854775807s": math.MaxInt64,
		"": 0, "0": 0, "0s": 0, "0w": 0, "-1": 0, "-1s": 0, "-1d": 0, "+1d": 0, "1": time.Second, "d": 0, "1dd": 0, "1D": 0, "1 d": 0,
		"1y": 0, "1d-1h": 0, "1..5d": 0, ".": 0, "soon": 0, "1e3": 0, "NaN": 0, "0x10": 0,
		// Longer than can be: the limit is in the words of the error.
		"1e9h": 0, "106752d": 0, "15251w": 0, "9223372037": 0, "99999999999999999999": 0,
		"2562047h47m16.854775808s": 0, "106751d23h47m17s": 0, "9999999999999999999d": 0,
	} {
		got, err := ParseTTL(in)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q is %v (%v), want %v", in, got, err, want)
		}
		if err != nil && (!strings.Contains(err.Error(), "292 years") || !strings.Contains(err.Error(), "7d")) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// What Go reads as a duration that is not negative is read as the same one, and nothing panics.
func TestParseDurationIsThatOfGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`([0-9]{0,20}(\.[0-9]{0,3})?(ns|us|µs|ms|s|m|h)){1,3}`),
			rapid.StringMatching(`[-+]?[0-9.]{0,3}[a-z]{0,3}[0-9.]{0,3}[a-z]{0,2}`),
			rapid.String(),
		).Draw(t, "s")
		got, ok := ParseDuration(s)
		want, err := time.ParseDuration(s)
		if err == nil && want >= 0 && !strings.ContainsAny(s, "+-") && (!ok || got != want) {
			t.Fatalf("%q is %v (%v), want %v", s, got, ok, want)
		}
		if ok && got < 0 {
			t.Fatalf("%q is %v", s, got)
		}
	})
}
