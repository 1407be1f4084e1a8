package replicate

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"httpdhs/kv"
	"httpdhs/wire"
)

// What the benchmarks of this package share: 16-byte keys, 100-byte values, and
// a peer that answers without a network.

// benchOps are operations on so many keys, in no order.
func benchOps(n int, kind kv.OpKind) []kv.Op {
	ops := make([]kv.Op, n)
	for i := range ops {
		ops[i] = op(kind, fmt.Sprintf("key%013d", i), string(make([]byte, 100)))
	}
	return ops
}

// benchBatch is a message with the records of the operations, newly stamped.
func benchBatch(dst []byte, ops []kv.Op, clock *kv.Clock) []byte {
	dst = wire.OpenBatch(dst)
	for i := range ops {
		ops[i].Version = clock.Now()
		dst = wire.AppendApply(dst, &ops[i].Record)
	}
	wire.SetClock(dst, clock.Last())
	return dst
}

// BenchmarkServeBatch is the receiver's part: a message of so many records is
// decoded, merged and answered. A figure is for a record, and has the encoding
// in it.
func BenchmarkServeBatch(b *testing.B) {
	c := newCluster(b, 2, 2)
	clock := c.nodes[0].clock
	for _, keys := range []int{1 << 10, 1 << 20} {
		ops := benchOps(keys, kv.OpPut)
		for _, size := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("keys=%d/batch=%d", keys, size), func(b *testing.B) {
				var msg, answer []byte
				b.ReportAllocs()
				for done := 0; done < b.N; done += size {
					at := done / size * size % keys / size * size
					msg = benchBatch(msg[:0], ops[at:min(at+size, keys)], clock)
					var err error
					if answer, err = c.nodes[1].Exchange(answer[:0], msg); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkDo is a put to two owners from so many goroutines at once, with all
// of the queue and its sender and without a network.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := newCluster(b, 2, 2)
			n := c.nodes[0]
			n.shortCut(1)
			ops := benchOps(callers, kv.OpPut)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for k := range callers {
				all.Go(func() {
					var call kv.Call
					for i := k; i < b.N; i += callers {
						call.Ops = append(call.Ops[:0], ops[k])
						call.Deadline = time.Now().Add(patience)
						if n.Do(&call); call.Ops[0].Err != nil {
							b.Error(call.Ops[0].Err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkDoMany is a call of many operations to two owners, by one caller: a hundred as of
// /batch, all puts or half of them gets, and two thousand puts as of /load-data. A figure is for
// an operation.
func BenchmarkDoMany(b *testing.B) {
	c := newCluster(b, 2, 2)
	n := c.nodes[0]
	n.shortCut(1)
	n.Do(&kv.Call{Ops: benchOps(1<<14, kv.OpPut), Deadline: time.Now().Add(patience)})
	for _, bc := range []struct{ size, gets int }{{100, 0}, {100, 50}, {2000, 0}} {
		size, ops := bc.size, benchOps(1<<14, kv.OpPut)
		for i := range ops {
			if i%100 < bc.gets {
				ops[i] = op(kv.OpGet, string(ops[(i+50)%len(ops)].Key), "")
			}
		}
		b.Run(fmt.Sprintf("ops=%d/gets=%d", size, bc.gets), func(b *testing.B) {
			var call kv.Call
			b.ReportAllocs()
			for done := 0; done < b.N; done += size {
				at := done % (len(ops) - size)
				call.Ops = append(call.Ops[:0], ops[at:at+size]...)
				call.Deadline = time.Now().Add(patience)
				n.Do(&call)
				if err := call.Ops[size-1].Err; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
