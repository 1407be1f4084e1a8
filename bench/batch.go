package bench

import (
	"bytes"
	"math/rand/v2"

	"httpdhs/internal/format"
)

// batch puts many operations into a request of /batch.
type batch struct {
	*space
	size  int
	reads float64 // share of gets
	rand  *rand.PCG
}

func newBatch(s *space, r *rand.PCG) *batch {
	return &batch{space: s, size: s.cfg.batchSize(), reads: s.cfg.ReadRatio, rand: r}
}

func (w *batch) request(c *conn, p *pending, dst []byte) ([]byte, bool) {
	t := w.nodes[c.node]
	head := len(dst)
	dst = append(dst, t.bulk.text...)
	body := len(dst)
	for range w.size {
		it := item{op: opPut}
		if w.reads > 0 && chance(w.rand, w.reads) {
			it.op = opGet
		}
		it.key = w.choose(c, it.op, w.rand)
		if it.op == opGet {
			dst = t.rowGet.append(dst, it.key, w.cfg.KeySize)
		} else {
			dst = w.appendPut(dst, &t.rowPut, &it)
		}
		p.items = append(p.items, it)
	}
	putDecimal(dst[head+t.bulk.key:][:lengthDigits], uint64(len(dst)-body))
	return dst, true
}

// answer reads a result for each operation, in their order.
func (w *batch) answer(_ *conn, p *pending, status int, body []byte) verdict {
	if status != 200 {
		for i := range p.items {
			w.written(&p.items[i], status)
		}
		return verdict{failed: len(p.items), kind: statusKind(status)}
	}
	next := nextRecord
	if w.cfg.Format == FormatText {
		next = nextLine
	}
	v := verdict{}
	for i := range p.items {
		it := &p.items[i]
		itemStatus, size, rest, ok := next(body)
		if !ok {
			w.lostFrom(p, i)
			return verdict{done: v.done, failed: len(p.items) - v.done, kind: kindContent}
		}
		if body = rest; size < 0 {
			size = w.cfg.ValueSize // this form does not say
		}
		w.written(it, itemStatus)
		if kind := w.judge(it.op, itemStatus, size); kind != "" {
			v.failed, v.kind = v.failed+1, "item "+kind
			continue
		}
		v.done++
	}
	if len(body) > 0 {
		return verdict{failed: len(p.items), kind: kindContent}
	}
	return v
}

// lostFrom is for the operations whose results could not be read.
func (w *batch) lostFrom(p *pending, from int) {
	for i := from; i < len(p.items); i++ {
		w.written(&p.items[i], 0)
	}
}

func (w *batch) lost(_ *conn, p *pending) { w.space.lost(p) }

// nextRecord reads a result of the binary form.
func nextRecord(body []byte) (status, size int, rest []byte, ok bool) {
	r, rest, err := format.DecodeResult(body)
	return r.Status, len(r.Value), rest, err == nil
}

var resultPrefix = []byte(`{"status":`)

// nextLine reads a result of the text form, as far as its status.
func nextLine(body []byte) (status, size int, rest []byte, ok bool) {
	end := bytes.IndexByte(body, '\n')
	if end < 0 || !bytes.HasPrefix(body, resultPrefix) || end < len(resultPrefix)+4 {
		return 0, 0, nil, false
	}
	for _, b := range body[len(resultPrefix):][:3] {
		if b < '0' || b > '9' {
			return 0, 0, nil, false
		}
		status = 10*status + int(b-'0')
	}
	return status, -1, body[end+1:], true
}
