package kv

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var testLimits = Limits{MaxKeyBytes: 300, MaxValueBytes: 40_000}

// drawEntry draws an entry as a store may hold it, from so few values that
// equal parts come up often.
func drawEntry(t *rapid.T) Entry {
	e := Entry{Version: Version(rapid.Uint64Range(1, 3).Draw(t, "version"))}
	if rapid.Bool().Draw(t, "expires") {
		e.Expires = rapid.Int64Range(1, 300).Draw(t, "expiry")
	}
	if e.Tombstone = rapid.Bool().Draw(t, "tombstone"); !e.Tombstone {
		e.Value = rapid.SliceOfN(rapid.ByteRange(0, 2), 0, 3).Draw(t, "value")
		e.Meta = rapid.SliceOfN(rapid.ByteRange('a', 'b'), 0, 2).Draw(t, "type")
	}
	return e
}

func sameEntry(a, b *Entry) bool {
	return a.Version == b.Version && a.Expires == b.Expires && a.Tombstone == b.Tombstone &&
		bytes.Equal(a.Meta, b.Meta) && bytes.Equal(a.Value, b.Value)
}

// The encoding is what nodes of different builds speak: its bytes stay.
func TestRecordGolden(t *testing.T) {
	const version = 0x1122334455667788
	for _, c := range []struct {
		name string
		rec  Record
		want string // bytes in hex, spaces between fields
	}{
		{"value", Record{[]byte("k"), Entry{Version: version, Value: []byte("vv")}},
			"10 01 02 8877665544332211 6b 7676"},
		{"empty value", Record{[]byte("k"), Entry{Version: version}},
			"10 01 00 8877665544332211 6b"},
		{"tombstone", Record{[]byte("k"), Entry{Version: version, Tombstone: true}},
			"11 01 8877665544332211 6b"},
		{"expiry", Record{[]byte("k"), Entry{Version: version, Expires: 0x0102, Value: []byte("v")}},
			"12 01 01 8877665544332211 0201000000000000 6b 76"},
		{"buried", Record{[]byte("k"), Entry{Version: version, Expires: 0x0102, Tombstone: true}},
			"13 01 8877665544332211 0201000000000000 6b"},
		{"content type", Record{[]byte("k"), Entry{Version: version, Meta: []byte("a/b"), Value: []byte("v")}},
			"14 01 01 03 8877665544332211 6b 612f62 76"},
		{"all", Record{[]byte("k"), Entry{Version: version, Expires: 1, Meta: []byte("a/b"), Value: []byte("v")}},
			"16 01 01 03 8877665544332211 0100000000000000 6b 612f62 76"},
		{"unstamped, two bytes of length", Record{bytes.Repeat([]byte("k"), 200), Entry{}},
			"10 c801 00 0000000000000000 " + strings.Repeat("6b", 200)},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendRecord([]byte("before"), &c.rec); string(got) != "before"+string(want) {
			t.Errorf("%s: encoded as %x, want %x", c.name, got, want)
		}
		got, rest, err := DecodeRecord(append(want, "after"...), &testLimits)
		if err != nil || string(rest) != "after" || !bytes.Equal(got.Key, c.rec.Key) || !sameEntry(&got.Entry, &c.rec.Entry) {
			t.Errorf("%s: decoded as %+v, rest %q, %v", c.name, got, rest, err)
		}
		if most := RecordSizeMax(len(c.rec.Key), len(c.rec.Meta), len(c.rec.Value)); len(want) > most {
			t.Errorf("%s: takes %d bytes, bounded by %d", c.name, len(want), most)
		}
	}
}

// A tombstone has no value, whatever its struct says.
func TestAppendRecordTombstone(t *testing.T) {
	full := Record{[]byte("k"), Entry{Version: 1, Tombstone: true, Value: []byte("v"), Meta: []byte("t")}}
	bare := Record{[]byte("k"), Entry{Version: 1, Tombstone: true}}
	if !bytes.Equal(AppendRecord(nil, &full), AppendRecord(nil, &bare)) {
		t.Error("a tombstone's value was encoded")
	}
}

// What no encoder of ours writes, or what is beyond the limits, is refused for
// its reason.
func TestDecodeRecordRefuses(t *testing.T) {
	lim := &Limits{MaxKeyBytes: 4, MaxValueBytes: 300}
	const version = "0100000000000000"
	for _, c := range []struct {
		in   string
		want error
	}{
		{"", ErrShort},
		{"00", ErrFormat},
		{"20", ErrFormat},
		{"18", ErrFormat},
		{"15", ErrFormat}, // tombstone with content type
		{"10 00", ErrKeyEmpty},
		{"10 05", ErrKeyTooLong},
		{"10 80", ErrKeyTooLong}, // at least 128
		{"10 8100", ErrFormat},   // two bytes for 1
		{"10 ffffffffffffffffffff", ErrKeyTooLong},
		{"10 ffffffffffffffffffffff", ErrFormat},
		{"10 ffffffffffffffff7f", ErrKeyTooLong},
		{"10 01 ad02", ErrValueTooLarge}, // 301
		{"10 01 ad82", ErrValueTooLarge}, // at least 16,000
		{"10 01 ac", ErrShort},           // may be 172 or 300
		{"10 01 ac02", ErrShort},
		{"14 01 01 00", ErrFormat}, // content type of no length
		{"12 01 00" + version + "0000000000000000 6b", ErrFormat},
		{"12 01 00" + version + "ffffffffffffffff 6b", ErrFormat},
		{"10 01 00" + version, ErrShort},
		{"10 01 00" + version + "6b", nil},
	} {
		in, err := hex.DecodeString(strings.ReplaceAll(c.in, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := DecodeRecord(in, lim); !errors.Is(err, c.want) {
			t.Errorf("DecodeRecord(%s) = %v, want %v", c.in, err, c.want)
		}
	}
}

// Whatever comes in, decoding does not panic and takes no more than the limits allow. What it takes
// encodes to the bytes that it was. Each proper prefix of these is short, and what is short can be
// completed.
func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []Record{
		{[]byte("k"), Entry{Version: 1, Value: []byte("v")}},
		{[]byte("k"), Entry{Version: 1, Tombstone: true, Expires: 9}},
		{[]byte("key"), Entry{Expires: 7, Meta: []byte("text/plain"), Value: bytes.Repeat([]byte("v"), 200)}},
	} {
		f.Add(AppendRecord(nil, &r))
	}
	f.Add([]byte{0x10, 0x80})
	f.Add([]byte{0x10, 0x01, 0xff, 0xff})
	f.Add([]byte{0x16, 0xff, 0x01, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, rest, err := DecodeRecord(in, &testLimits)
		switch {
		case err == nil:
			checkDecoded(t, in, &r, rest)
		case errors.Is(err, ErrShort):
			checkCompletable(t, in)
		}
	})
}

func checkDecoded(t *testing.T, in []byte, r *Record, rest []byte) {
	taken := in[:len(in)-len(rest)]
	if err := testLimits.Check(r); err != nil {
		t.Fatalf("%x was decoded beyond the limits: %v", taken, err)
	}
	if got := AppendRecord(nil, r); !bytes.Equal(got, taken) {
		t.Fatalf("%x encodes again as %x", taken, got)
	}
	for n := range taken {
		if _, _, err := DecodeRecord(taken[:n], &testLimits); !errors.Is(err, ErrShort) {
			t.Fatalf("%d of the bytes %x: %v, want %v", n, taken, err, ErrShort)
		}
	}
	for _, b := range [][]byte{r.Key, r.Meta, r.Value} {
		if len(b) != cap(b) {
			t.Fatal("appending to a part of the record would write into the next")
		}
	}
}

// checkCompletable appends ones: they end a length with the least that it can
// be, and are good for every other field.
func checkCompletable(t *testing.T, in []byte) {
	longest := RecordSizeMax(testLimits.MaxKeyBytes, MaxMetaBytes, testLimits.MaxValueBytes)
	if len(in) >= longest {
		t.Fatalf("%d bytes are short of a record of at most %d", len(in), longest)
	}
	long := append(bytes.Clone(in), bytes.Repeat([]byte{1}, longest)...)
	if len(in) == 0 {
		long[0] = recordFormat
	}
	if _, _, err := DecodeRecord(long, &testLimits); err != nil {
		t.Fatalf("%x is short, but cannot be completed: %v", in, err)
	}
}

// Decoding undoes encoding, for records in a row.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []Record
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			key := rapid.SliceOfN(rapid.Byte(), 1, testLimits.MaxKeyBytes).Draw(t, "key")
			want = append(want, Record{key, drawEntry(t)})
			stream = AppendRecord(stream, &want[len(want)-1])
		}
		for i := range want {
			got, rest, err := DecodeRecord(stream, &testLimits)
			if err != nil || !bytes.Equal(got.Key, want[i].Key) || !sameEntry(&got.Entry, &want[i].Entry) {
				t.Fatalf("record %d: got %+v, %v, want %+v", i, got, err, want[i])
			}
			stream = rest
		}
		if len(stream) != 0 {
			t.Fatalf("%d bytes left over", len(stream))
		}
	})
}

// A uvarint that is only begun is beyond the limit exactly if its smallest
// completion is.
func TestShortLength(t *testing.T) {
	tooLarge := errors.New("too large")
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1<<7, 1<<40).Draw(t, "length")
		begun := binary.AppendUvarint(nil, n)
		begun = begun[:rapid.IntRange(1, len(begun)-1).Draw(t, "cut")]
		least, _ := binary.Uvarint(append(bytes.Clone(begun), 1))
		for _, limit := range []int{0, int(least) - 1, int(least), 1 << 41} {
			want := ErrShort
			if least > uint64(limit) {
				want = tooLarge
			}
			if _, _, err := lengthPrefix(begun, limit, tooLarge); err != want {
				t.Fatalf("%x, limit %d: %v, want %v", begun, limit, err, want)
			}
		}
	})
}
