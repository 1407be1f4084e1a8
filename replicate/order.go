package replicate

import (
	"slices"

	"httpdhs/kv"
	"httpdhs/placement"
)

// orderFrom is how many operations are worth ordering.
const orderFrom = 64

// order is the order in which a call's operations are gone through: by partition, and within a
// partition as they are in the call. Operations of one partition then follow each other. They are
// merged under one lock and find their shard in the cache. They are queued in this order too, so
// the same holds at the other owners. A few operations are not ordered.
type order struct {
	ops    []int32 // in order; none: as they are in the call
	places []int32 // of operations in order; none: each is at its own
	ends   []int32 // scratch
}

func (o *order) reset() { o.ops, o.places = o.ops[:0], o.places[:0] }

// nth is the operation that is gone through after k others.
func (o *order) nth(k int) int {
	if len(o.ops) > 0 {
		return int(o.ops[k])
	}
	return k
}

// place is how many operations are gone through before operation i.
func (o *order) place(i int) int {
	if len(o.places) > 0 {
		return int(o.places[i])
	}
	return i
}

// sort orders the operations of the call, by counting, and returns them in order.
func (o *order) sort(v *placement.View, call *kv.Call) []int32 {
	n, parts := len(call.Ops), v.Partitions()
	o.ops = slices.Grow(o.ops[:0], n)[:n]
	if n < orderFrom {
		for i := range o.ops {
			o.ops[i] = int32(i)
		}
		return o.ops
	}
	o.ends = slices.Grow(o.ends[:0], parts+1)[:parts+1]
	clear(o.ends)
	for i := range call.Ops {
		o.ends[v.Partition(call.Ops[i].Hash)+1]++
	}
	for part := range parts {
		o.ends[part+1] += o.ends[part]
	}
	o.places = slices.Grow(o.places, n)[:n]
	for i := range call.Ops {
		part := v.Partition(call.Ops[i].Hash)
		o.ops[o.ends[part]], o.places[i] = int32(i), o.ends[part]
		o.ends[part]++
	}
	return o.ops
}
