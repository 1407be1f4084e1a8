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

// shortWire answers in the caller's goroutine.
type shortWire struct{ peer *Coordinator }

func (w *shortWire) Abort() {}
func (w *shortWire) RoundTrip(dst, msg []byte, _ time.Time) ([]byte, error) {
	return w.peer.Exchange(dst, msg)
}

// shortCut has n talk to node i of its cluster without a network.
func (n *testNode) shortCut(c *cluster, i int) {
	p := n.peer(i)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transport = &shortWire{peer: c.nodes[i].Coordinator}
}

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

// BenchmarkEncodeItem appends a record to a batch.
func BenchmarkEncodeItem(b *testing.B) {
	ops := benchOps(1, kv.OpPut)
	buf := wire.OpenBatch(nil)
	b.ReportAllocs()
	for b.Loop() {
		if len(buf) > batchBytes {
			buf = buf[:wire.BatchHead]
		}
		buf = wire.AppendApply(buf, &ops[0].Record)
	}
}

// BenchmarkDecodeItem takes a record off a batch; a figure is for a record.
func BenchmarkDecodeItem(b *testing.B) {
	body := benchBatch(nil, benchOps(1000, kv.OpPut), kv.NewClock(1, time.Now))[wire.BatchHead:]
	rest := body
	b.ReportAllocs()
	for b.Loop() {
		if len(rest) == 0 {
			rest = body
		}
		var err error
		if _, rest, err = wire.NextItem(rest, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServeBatch is the receiver's part: a message of so many records is
// decoded, merged and answered. A figure is for a record, and has the encoding
// in it.
func BenchmarkServeBatch(b *testing.B) {
	c := newCluster(b, clusterOptions{nodes: 2, replicas: 2})
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

// BenchmarkQueue is the way of a record through a peer's queue, without the
// peer: it is appended to the open batch, the batch is taken off, its
// acknowledgement resolves the tickets of so many waiters. A figure is for a
// record.
func BenchmarkQueue(b *testing.B) {
	for _, waiters := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			c := newCluster(b, clusterOptions{nodes: 2, replicas: 2})
			p := c.nodes[0].peer(1)
			record := benchOps(1, kv.OpPut)[0].Record
			q := queue{limit: 64 << 20}
			answer := wire.OpenBatch(nil)
			for range waiters {
				answer = wire.AppendResult(answer, &wire.Result{Code: wire.Stored})
			}
			all := make([]*pending, waiters)
			b.ReportAllocs()
			for done := 0; done < b.N; done += waiters {
				for i := range all {
					all[i] = acquirePending(1)
					q.apply(&record, all[i].begin(0, opState{phase: phaseWrite, required: 1, waiting: 1}))
				}
				flight := q.pop()
				if err := p.settle(flight, answer); err != nil {
					b.Fatal(err)
				}
				releaseBatch(flight)
				for _, w := range all {
					w.wait(time.Time{}) // decided: does not block
					w.mu.Lock()
					w.releaseLocked()
				}
			}
		})
	}
}

// BenchmarkDo is a put to two owners from so many goroutines at once, with all
// of the queue and its sender and without a network.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := newCluster(b, clusterOptions{nodes: 2, replicas: 2})
			n := c.nodes[0]
			n.shortCut(c, 1)
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

// BenchmarkDoMany is a call of a hundred puts to two owners, as of /batch, and
// of two thousand, as of /load-data, by one caller. A figure is for a put.
func BenchmarkDoMany(b *testing.B) {
	c := newCluster(b, clusterOptions{nodes: 2, replicas: 2})
	n := c.nodes[0]
	n.shortCut(c, 1)
	ops := benchOps(1<<20, kv.OpPut)
	for _, size := range []int{100, 2000} {
		b.Run(fmt.Sprintf("ops=%d", size), func(b *testing.B) {
			var call kv.Call
			b.ReportAllocs()
			for done := 0; done < b.N; done += size {
				at := done % (len(ops) - size)
				call.Ops = append(call.Ops[:0], ops[at:at+size]...)
				call.Deadline = time.Now().Add(patience)
				n.Do(&call)
				if call.Ops[0].Err != nil {
					b.Fatal(call.Ops[0].Err)
				}
			}
		})
	}
}
