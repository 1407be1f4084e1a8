package main

import (
	"bytes"
	"context"
	"io"
	"time"

	"httpdhs/client"
	"httpdhs/kv"
)

const (
	keyBytes   = 16
	valueBytes = 100

	// Sizes of values that overwrite others: those of a pass are not those of
	// the pass before, so that few fit where the last ones were.
	sizeLeast, sizeMost = 60, 140
)

// putKey writes the key of a number as the load generator does: in decimal,
// padded with zeros.
func putKey(dst []byte, k int) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + k%10)
		k /= 10
	}
}

func keyOf(k int) []byte {
	key := make([]byte, keyBytes)
	putKey(key, k)
	return key
}

// sizeIn is the size of the value of k in a pass: valueBytes in pass 0, and
// then one that the pass and the key decide.
func sizeIn(pass, k int) int {
	if pass == 0 {
		return valueBytes
	}
	return sizeLeast + int(mix(uint64(pass)<<40|uint64(k))%(sizeMost-sizeLeast+1))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// scatter is a permutation of [0, n): neighbours of one side are far from each
// other at the other. n is below 2^31.
type scatter struct{ n, step int }

func newScatter(n int) scatter {
	step := 7_368_787 // a prime: all but its multiples will do
	for gcd(step, n) != 1 {
		step++
	}
	return scatter{n, step}
}

func (s scatter) at(i int) int { return i * s.step % s.n }

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// filler is what values are cut from.
var filler = bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), (sizeMost+25)/26)

// pass is the records of a load: n keys, each once, in an order that is not
// theirs, or deletes of them.
type pass struct {
	ctx     context.Context
	order   scatter
	number  int // as of sizeIn
	deletes bool

	// Of a load that is held to a rate and ends with the time. rate 0: neither.
	rate   float64 // records/s
	until  time.Time
	circle bool // begins again when all keys were written

	at      int
	started time.Time
	record  kv.Record
}

func (h *house) pass(n, number int) *pass {
	return &pass{ctx: h.ctx, order: newScatter(n), number: number}
}

// paceEvery is after how many records a load looks at the clock.
const paceEvery = 256

// records yields what Next returns, to a client.
func (p *pass) records(yield func(client.Record, error) bool) {
	for {
		r, err := p.Next()
		if err == io.EOF {
			return
		}
		rec := client.Record{}
		if err == nil {
			rec = client.Record{Key: string(r.Key), Value: r.Value, Delete: r.Tombstone}
		}
		if !yield(rec, err) || err != nil {
			return
		}
	}
}

// Next returns the next record, which is good until the call after. The error
// is io.EOF at the end.
func (p *pass) Next() (*kv.Record, error) {
	if p.at == 0 {
		p.record.Key = make([]byte, keyBytes)
		p.started = time.Now()
	}
	if p.at%paceEvery == 0 {
		if err := p.wait(); err != nil {
			return nil, err
		}
	}
	if p.at >= p.order.n && !p.circle {
		return nil, io.EOF
	}
	round := p.at / p.order.n
	k := p.order.at(p.at % p.order.n)
	p.at++
	putKey(p.record.Key, k)
	if p.record.Tombstone = p.deletes; !p.deletes {
		number := p.number
		if number > 0 {
			number += round
		}
		p.record.Value = filler[:sizeIn(number, k)]
	}
	return &p.record, nil
}

// wait waits until the next records are due.
func (p *pass) wait() error {
	if p.rate == 0 {
		return p.ctx.Err()
	}
	due := p.started.Add(time.Duration(float64(p.at) / p.rate * 1e9))
	select {
	case <-time.After(time.Until(due)):
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	if time.Now().After(p.until) {
		return io.EOF
	}
	return nil
}

// dataOf is the size of all keys and values from first to n after a pass.
func dataOf(number, first, n int) (bytes int64) {
	for k := first; k < n; k++ {
		bytes += int64(keyBytes + sizeIn(number, k))
	}
	return bytes
}
