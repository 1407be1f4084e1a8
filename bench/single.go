package bench

import "math/rand/v2"

// single asks for one key a request: the workloads put, get and mixed.
type single struct {
	*space
	reads   float64 // share of gets
	deletes float64 // share of deletes among the writes
	rand    *rand.PCG
}

func newSingle(s *space, r *rand.PCG) *single {
	w := &single{space: s, deletes: s.cfg.DeleteRatio, rand: r}
	switch s.cfg.Workload {
	case Get:
		w.reads = 1
	case Mixed:
		w.reads = s.cfg.ReadRatio
	}
	return w
}

func (w *single) draw() op {
	switch {
	case w.reads > 0 && chance(w.rand, w.reads):
		return opGet
	case w.deletes > 0 && chance(w.rand, w.deletes):
		return opDelete
	}
	return opPut
}

func (w *single) request(c *conn, p *pending, dst []byte) ([]byte, bool) {
	p.op = w.draw()
	p.key = w.choose(c, p.op, w.rand)
	t := w.nodes[c.node]
	switch p.op {
	case opGet:
		return t.get.append(dst, p.key, w.cfg.KeySize), true
	case opDelete:
		w.stampItem(&p.item, nil)
		return t.del.append(dst, p.key, w.cfg.KeySize), true
	}
	return w.appendPut(dst, &t.put, &p.item), true
}

func (w *single) answer(_ *conn, p *pending, status int, body []byte) verdict {
	w.written(&p.item, status)
	if kind := w.judge(p.op, status, len(body)); kind != "" {
		return verdict{failed: 1, kind: kind}
	}
	return verdict{done: 1}
}

func (w *single) lost(_ *conn, p *pending) { w.space.lost(p) }
