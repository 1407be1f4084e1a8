package node

import (
	"fmt"
	"net"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// BenchmarkMessage carries a batch of records of 100 bytes to a node over the loopback, and its
// answer back: what a seal adds is in the difference between with a secret and without.
func BenchmarkMessage(b *testing.B) {
	for _, records := range []int{1, 100, 2000} {
		for _, secret := range []string{"", theSecret} {
			b.Run(fmt.Sprintf("records=%d/secret=%t", records, secret != ""), func(b *testing.B) {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				n, err := Open(Config{Name: ln.Addr().String(), Listener: ln, Partitions: 256, ClusterSecret: secret})
				if err != nil {
					b.Fatal(err)
				}
				defer n.Kill()
				t := peer.NewFrameTransport(ln.Addr().String(), secret, nil, 1<<20)
				defer t.Abort()
				message := batchOf(records)
				var answer []byte
				b.ReportAllocs()
				b.SetBytes(int64(len(message)))
				for b.Loop() {
					if answer, err = t.RoundTrip(answer[:0], message, time.Now().Add(time.Minute)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// batchOf is a message between nodes that has so many records.
func batchOf(records int) []byte {
	message := append([]byte{wire.Format, byte(wire.KindBatch)}, make([]byte, 8)...)
	version := kv.VersionAt(time.Now())
	for i := range records {
		message = kv.AppendRecord(append(message, 'a'), &kv.Record{
			Key: fmt.Appendf(nil, "key%09d", i), Entry: kv.Entry{Version: version, Value: make([]byte, 100)},
		})
	}
	return message
}
