package bench

import "math/rand/v2"

// incr adds one to a counter with each request.
type incr struct {
	*space
	rand *rand.PCG
}

func (w *incr) request(c *conn, p *pending, dst []byte) ([]byte, bool) {
	p.op = opIncr
	p.key = w.choose(c, opIncr, w.rand)
	w.stampItem(&p.item, nil)
	return w.nodes[c.node].incr.append(dst, p.key, w.cfg.KeySize), true
}

func (w *incr) answer(_ *conn, p *pending, status int, body []byte) verdict {
	kind := w.judge(opIncr, status, len(body))
	if kind == "" && !isNumber(body) {
		status, kind = 0, kindContent
	}
	w.written(&p.item, status)
	if kind != "" {
		return verdict{failed: 1, kind: kind}
	}
	return verdict{done: 1}
}

func (w *incr) lost(_ *conn, p *pending) { w.space.lost(p) }
