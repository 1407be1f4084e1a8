package kv

import (
	"math/big"
	"strings"
	"testing"
)

// Whole numbers have one form: that in which they are written. All else is none.
func TestParseInteger(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "-7": -7, "10": 10, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if n, ok := ParseInteger([]byte(text)); n != want || !ok {
			t.Errorf("%q is %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{
		"", " ", "-", "+", "+7", "-0", "00", "07", " 7", "7 ", "7\n", "7\x00", "7.0", "1e3", "0x10", "1_0", "abc", "٣",
		"9223372036854775808", "-9223372036854775809", "18446744073709551615", "00000000000000000000000000007",
	} {
		if n, ok := ParseInteger([]byte(text)); ok {
			t.Errorf("%q is the number %d", text, n)
		}
	}
}

// Numbers with a fraction are added as Redis 7 does, to the last digit. These are its answers.
func TestIncrFloat(t *testing.T) {
	const not, never = "not a number", "infinite"
	for _, c := range []struct{ held, by, want string }{
		{"10.5", "0.1", "10.6"}, {"10.6", "-5", "5.6"}, {"5.0e3", "2.0e2", "5200"}, {"3", "1.1", "4.1"}, {"3.0", "1", "4"},
		{"3.0e3", "0", "3000"}, {"0.1", "0.5", "0.6"}, {"-.5", "0.5", "0"}, {"+.5", "0.5", "1"}, {"1.", "0.5", "1.5"},
		{"-0", "-0", "0"}, {"0", "-0.0", "0"}, {"0001.5", "0", "1.5"}, {"1e0001", "0", "10"}, {"000", "0", "0"},
		{"1E5", "0.5", "100000.5"}, {"1e+5", "0", "100000"}, {"1e-5", "0.5", "0.50001"},
		{"1e-17", "0", "0.00000000000000001"}, {"1e-18", "0", "0"}, {"5e-18", "0", "0"}, {"1e-17", "0.5", "0.50000000000000001"},
		{"3.141592653589793238462643383279", "0", "3.14159265358979324"}, {"2.71828182845904523536", "0.5", "3.21828182845904524"},
		{"0.333333333333333333333333", "0.5", "0.83333333333333333"}, {"123456789.123456789", "0", "123456789.12345678899873747"},
		{"12345678901234567890.5", "0", "12345678901234567890"}, {"9007199254740993", "0.5", "9007199254740993.5"},
		{"9223372036854775807", "0.5", "9223372036854775807.5"}, {"9223372036854775808", "0.5", "9223372036854775808"},
		{"18446744073709551617", "0", "18446744073709551616"}, {"36893488147419103233", "0", "36893488147419103232"},
		{"1e18", "0.5", "1000000000000000000.5"}, {"1e19", "0.5", "10000000000000000000"}, {"1e30", "0", "1000000000000000000024696061952"},
		{"0.99999999999999999", "0.5", "1.49999999999999999"}, {"0.999999999999999999", "0", "1"}, {"1.00000000000000001", "0", "1.00000000000000001"},
		{"0x10", "0", "16"}, {"0X1p3", "0", "8"}, {"0x1.8p1", "0", "3"}, {"-0x1", "0", "-1"}, {"0x.8", "0", "0.5"}, {"0x1F", "0", "31"},
		{"1e-4932", "0.5", "0.5"}, {"1e-4950", "0", "0"}, {"1e-4951", "0.5", not}, {"1e-5000", "0", not}, {"1e-999999999999999999999", "0", not},
		{"2e4932", "0", not}, {"1e5000", "0", not}, {"-1e5000", "0", not}, {"1e999999999999999999999", "0", not}, {"1e4932", "1e4932", never},
		{"-1e4932", "-1e4932", never}, {"0e999999999999999999999", "0", "0"}, {"0x1p16384", "0", not},
		{"inf", "0", never}, {"0", "-inf", never}, {"+INF", "-inf", never}, {"Infinity", "1", never}, {"inf", "x", not},
		{"infinit", "0", not}, {"nan", "0", not}, {"-nan", "0", not}, {"nan(1)", "0", not},
		{"", "1", not}, {"1", "", not}, {" ", "1", not}, {" 1", "1", not}, {"1 ", "1", not}, {"\t1", "1", not}, {"1\x00", "1", not}, {"1\n", "1", not},
		{".", "1", not}, {"-", "1", not}, {"+", "1", not}, {"e", "1", not}, {"e5", "1", not}, {"1e", "1", not}, {"1e+", "1", not}, {"0x", "1", not},
		{"0xg", "1", not}, {"0x1p", "1", not}, {"abc", "1", not}, {"1abc", "1", not}, {"1.5.5", "1", not}, {"1,5", "1", not}, {"1_0", "1", not},
		{"--1", "1", not}, {"+-1", "1", not}, {"1e5.5", "1", not}, {"1d", "1", not}, {"1f", "1", not}, {"1p3", "1", not}, {"0b1", "1", not}, {"0o7", "1", not},
		{strings.Repeat("0", 5118) + "7", "1", "8"}, {strings.Repeat("0", 5119) + "7", "1", not},
	} {
		held := &Entry{Version: 5, Value: []byte(c.held)}
		d := &Decision{Ops: []*Op{update(OpIncrFloat, c.by, 0)}}
		d.Begin(decidedAs, 1<<20, 1<<20)
		d.Decide(held, decidedAt)
		got := found(&d.Results[0])
		switch d.Results[0].Err {
		case ErrNotFloat:
			got = not
		case ErrInfinite:
			got = never
		}
		if got != c.want {
			t.Errorf("%.40q + %q is %s, want %s", c.held, c.by, got, c.want)
		}
	}
}

// The largest numbers are written to their last digit.
func TestLargestFloats(t *testing.T) {
	for _, text := range []string{"1e100", "1e308", "1e4000", "1e4932", "-1e4932", "0x1p16383"} {
		d := &Decision{Ops: []*Op{update(OpIncrFloat, text, 0)}}
		d.Begin(decidedAs, 1<<20, 1<<20)
		d.Decide(&Entry{}, decidedAt)
		f := newFloat()
		if _, ok := f.SetString(text); !ok {
			t.Fatal(text)
		}
		if want, _ := f.Int(nil); string(d.Record.Value) != want.String() {
			t.Errorf("%s is %.40s…, want %.40s…", text, d.Record.Value, want)
		}
	}
}

// Who asks for a sum is told before that what is to be added is no number.
func TestValidFloat(t *testing.T) {
	for text, want := range map[string]bool{"1": true, "-1.5e3": true, "inf": true, "nan": false, "": false, "x": false, "1e5000": false} {
		if got := ValidFloat([]byte(text)); got != want {
			t.Errorf("%q is one: %v", text, got)
		}
	}
}

// What is parsed is rounded once, however it is written.
func TestFloatsAreRoundedOnce(t *testing.T) {
	for _, text := range []string{
		"18446744073709551616.9999999999999999999999999999999999999999999999999e-10",
		"9223372036854775808.5000000000000000000000000000000000000000000001", "1.1e-300", "1.1e300",
	} {
		want, _, err := big.ParseFloat(text, 10, 40000, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		got := newFloat()
		if !parseFloat(got, []byte(text)) || got.Cmp(newFloat().Set(want)) != 0 {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}
