package bench

import (
	"encoding/json"

	"httpdhs/api"
)

// load puts many records into a request of /load-data: one key after the
// other, each connection those that are dealt to it.
type load struct {
	*space
	size int
	once bool  // one pass over the keys and no more: to prefill
	at   []int // by connection of the worker: how far it is
}

func newLoad(s *space, conns int, once bool) *load {
	size := s.cfg.batchSize()
	if once {
		size = batchOfLoad
	}
	return &load{space: s, size: size, once: once, at: make([]int, conns)}
}

func (w *load) request(c *conn, p *pending, dst []byte) ([]byte, bool) {
	pick := w.pickers[c.node]
	mine := dealtTo(pick.n, c.share, c.shares)
	n := w.size
	if w.once {
		n = min(n, mine-w.at[c.index])
	}
	if n == 0 || mine == 0 {
		return dst, false
	}
	t := w.nodes[c.node]
	head := len(dst)
	dst = append(dst, t.bulk.text...)
	body := len(dst)
	for range n {
		place := c.share + w.at[c.index]%mine*c.shares
		w.at[c.index]++
		it := item{op: opPut, key: pick.key(place)}
		dst = w.appendPut(dst, &t.rowPut, &it)
		p.items = append(p.items, it)
	}
	putDecimal(dst[head+t.bulk.key:][:lengthDigits], uint64(len(dst)-body))
	return dst, true
}

// answer believes the counts. Which records failed it does not say, so all of
// a request with one that did are of unknown outcome.
func (w *load) answer(_ *conn, p *pending, status int, body []byte) verdict {
	var doc api.LoadResult
	switch {
	case status != 200:
		w.note(p, status)
		return verdict{failed: len(p.items), kind: statusKind(status)}
	case json.Unmarshal(body, &doc) != nil || doc.Loaded+doc.Failed != int64(len(p.items)):
		w.note(p, 0)
		return verdict{failed: len(p.items), kind: kindContent}
	case doc.Failed > 0:
		w.note(p, 0)
		kind := kindPartial
		if len(doc.Errors) > 0 {
			kind += ": " + doc.Errors[0].Error
		}
		return verdict{done: int(doc.Loaded), failed: int(doc.Failed), kind: kind}
	}
	w.note(p, status)
	return verdict{done: len(p.items)}
}

func (w *load) note(p *pending, status int) {
	for i := range p.items {
		w.written(&p.items[i], status)
	}
}

func (w *load) lost(_ *conn, p *pending) { w.space.lost(p) }

// dealtTo is how many of n places are dealer i's, of so many.
func dealtTo(n, i, dealers int) int { return (n - i + dealers - 1) / dealers }

// fill puts each key once, one a request: the prefill where there is no
// /load-data.
type fill struct {
	*space
	at []int
}

func newFill(s *space, conns int) *fill { return &fill{space: s, at: make([]int, conns)} }

func (w *fill) request(c *conn, p *pending, dst []byte) ([]byte, bool) {
	pick := w.pickers[c.node]
	if w.at[c.index] >= dealtTo(pick.n, c.share, c.shares) {
		return dst, false
	}
	p.item = item{op: opPut, key: pick.key(c.share + w.at[c.index]*c.shares)}
	w.at[c.index]++
	return w.appendPut(dst, &w.nodes[c.node].put, &p.item), true
}

func (w *fill) answer(_ *conn, p *pending, status int, _ []byte) verdict {
	w.written(&p.item, status)
	if kind := w.judge(opPut, status, 0); kind != "" {
		return verdict{failed: 1, kind: kind}
	}
	return verdict{done: 1}
}

func (w *fill) lost(_ *conn, p *pending) { w.space.lost(p) }
