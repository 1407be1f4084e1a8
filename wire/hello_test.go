package wire

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A hello is decoded as it was encoded.
func TestHellosComeThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &Hello{
			From: "a:1", To: rapid.SampledFrom([]string{"", "b:1"}).Draw(t, "to"), Boot: rapid.Uint64().Draw(t, "boot"),
			Formed:   rapid.Bool().Draw(t, "formed"),
			InSyncAt: rapid.Int64Range(InSyncUnknown, maxInSyncAt).Draw(t, "in sync at"),
			Settings: Settings{Partitions: 1024, Replicas: 2, Partitioner: "ring"},
			Members:  rapid.SliceOfN(rapid.Custom(aMember), 0, 5).Draw(t, "members"),
		}
		got, err := DecodeHello(h.Encode())
		if err != nil || !slices.Equal(got.Members, h.Members) {
			t.Fatalf("%+v came through as %+v, %v", h, got, err)
		}
		got.Members, h.Members = nil, nil
		if !bytes.Equal(got.Encode(), h.Encode()) {
			t.Fatalf("%+v came through as %+v", h, got)
		}
	})
}

// A hello that does not say when its sender was in sync, as of an earlier version, does not say
// that it never was.
func TestAHelloThatDoesNotSayWhenItWasInSync(t *testing.T) {
	for body, want := range map[string]int64{
		`{"format":2,"from":"b:1"}`:                        InSyncUnknown,
		`{"format":2,"from":"b:1","in_sync_at":0}`:         0,
		`{"format":2,"from":"b:1","in_sync_at":123456789}`: 123456789,
	} {
		h, err := DecodeHello([]byte(body))
		if err != nil || h.InSyncAt != want {
			t.Errorf("%s: %+v, %v, want %d", body, h, err, want)
		}
	}
	for _, at := range []string{"-2", "4398046511104", "1e300"} {
		if _, err := DecodeHello([]byte(`{"format":2,"from":"b:1","in_sync_at":` + at + `}`)); !errors.Is(err, ErrBadHello) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// Whatever bytes come as a hello, decoding them gives one that can be encoded again, or an error.
func FuzzHello(f *testing.F) {
	f.Add([]byte(`{"format":2,"from":"b:1","members":[{"name":"b:1","weight":1,"state":"active"}]}`))
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := DecodeHello(body)
		if err != nil {
			return
		}
		if _, err := DecodeHello(h.Encode()); err != nil {
			t.Errorf("%q is decoded, and encodes as %q: %v", body, h.Encode(), err)
		}
	})
}
