package server

import (
	"bufio"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/format"
	"httpdhs/internal/seal"
	"httpdhs/kv"
)

// pools has what connections work with, and give back.
type pools struct {
	scratch  sync.Pool // *scratch
	contexts sync.Pool // *fasthttp.RequestCtx
	readers  sync.Pool // *bufio.Reader
	writers  sync.Pool // *bufio.Writer
}

const (
	// A key may be percent-encoded throughout; the rest is for headers.
	headerRoomBytes = 8 << 10

	// The answer to a batch between nodes is one system call if it fits.
	writeBufferBytes = 16 << 10
)

func (p *pools) init(maxKeyBytes int) {
	p.scratch.New = func() any { return new(scratch) }
	p.contexts.New = func() any { return new(fasthttp.RequestCtx) }
	p.readers.New = func() any { return bufio.NewReaderSize(nil, 3*maxKeyBytes+headerRoomBytes) }
	p.writers.New = func() any { return bufio.NewWriterSize(nil, writeBufferBytes) }
}

// scratch is the memory of one request. An answer may alias it, so it goes
// back to its pool when the answer has been written: an idle connection holds
// none.
type scratch struct {
	call     kv.Call
	key      []byte // the decoded key
	body     []byte // the request's body
	out      []byte // headers, and the bodies of answers
	small    []byte // an answer that was in a larger buffer: see shed
	versions [kv.MaxConditionVersions]kv.Version
	fields   kv.Fields // of a PUT's value
	meta     [kv.MaxMetaBytes]byte

	// What [routes.serve] has found out of the request.
	endpoint *endpoint     // by the router; nil: it was not asked
	params   params        // of the query
	kind     Operation     // 0: it is none
	began    time.Time     // when it began with the operation; zero: it has not
	format   format.Format // of a body that is a stream

	seal seal.Seal // of a message of another node

	held  int64 // bytes taken from budget
	from  *budget
	found atomic.Int64 // bytes taken from the budget of answers, for values that are copied
}

// keepBytesMax is the largest buffer that waits in the pool for a next use.
const keepBytesMax = 1 << 20

// scratchOf gives the request its memory; the same one when called again.
func scratchOf(ctx *fasthttp.RequestCtx) *scratch { return connOf(ctx).memory() }

func (c *conn) memory() *scratch {
	if c.scratch == nil {
		c.scratch = c.srv.scratch.Get().(*scratch)
		if c.scratch.call.Hold == nil {
			c.scratch.call.Hold = c.scratch.holdCopies(&c.srv.answerBytes)
		}
	}
	return c.scratch
}

// release gives the scratch back after the answer.
func (c *conn) release() {
	sc := c.scratch
	if sc == nil {
		return
	}
	c.scratch = nil
	c.srv.ownNothing(sc)
	sc.from = nil
	sc.call.Reset()
	sc.fields, sc.endpoint = kv.Fields{}, nil
	sc.kind, sc.began = 0, time.Time{}
	sc.call.Buf = reuse(sc.call.Buf)
	sc.body, sc.out, sc.key = reuse(sc.body), reuse(sc.out), reuse(sc.key)
	c.srv.scratch.Put(sc)
}

func reuse(b []byte) []byte {
	if cap(b) > keepBytesMax {
		return nil
	}
	return b[:0]
}

// op makes the call one of a single operation.
func (sc *scratch) op(kind kv.OpKind) *kv.Op {
	sc.call.Reset()
	sc.call.Ops = append(sc.call.Ops, kv.Op{Kind: kind})
	return &sc.call.Ops[0]
}

// s2b views a string as bytes that are only read.
func s2b(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
