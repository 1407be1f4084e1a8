package wire

import (
	"bytes"
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
			Settings: Settings{Partitions: 1024, Replicas: 2, Partitioner: "ring"},
			Members: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Member {
				return Member{
					Name: rapid.SampledFrom([]string{"a:1", "b:1", "c:1"}).Draw(t, "name"),
					Zone: rapid.StringMatching("[a-z]{0,3}").Draw(t, "zone"), Version: rapid.Uint64Max(MaxVersion).Draw(t, "version"),
					State: State(rapid.IntRange(0, 2).Draw(t, "state")), Weight: rapid.IntRange(1, MaxWeight).Draw(t, "weight"),
				}
			}), 0, 5).Draw(t, "members"),
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
