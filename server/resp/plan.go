package resp

import (
	"bytes"
	"errors"
	"time"

	"httpdhs/internal/histogram"
	"httpdhs/kv"
)

// The bounds of one call. A command that is longer than they are has a call of its own.
const (
	callOps   = 1024    // operations
	callBytes = 1 << 20 // bytes of arguments

	// callPriors bounds the writes that find what was there: their values have no other bound.
	callPriors = 16

	foundBytes  = 4 << 20  // bytes of values that a call finds before it is cut
	answerBytes = 64 << 20 // bytes of values in the answer to one command
	flushBytes  = 256 << 10
)

// planned is a command that waits for its operations to be carried out.
type planned struct {
	answer func(s *session, p *planned)

	first, end int32 // its operations in the call
	muted      bool  // it has no answer
	blind      bool  // its answer needs no values

	// Of a command that is carried out in parts: some came before, and some follow.
	later, more bool

	// For the answer; the handler sets them.
	args [][]byte
	n    int64
	text string
}

// plan begins a command that is planned. Its operations are those that op adds until the next.
func (s *session) plan(answer func(*session, *planned)) *planned {
	at := int32(len(s.call.Ops))
	if len(s.pending) < cap(s.pending) {
		s.pending = s.pending[:len(s.pending)+1]
	} else {
		s.pending = append(s.pending, planned{})
	}
	p := &s.pending[len(s.pending)-1]
	*p = planned{answer: answer, first: at, end: at, muted: s.muted}
	return p
}

// op adds an operation to the command that was planned last.
func (s *session) op(kind kv.OpKind, key []byte) *kv.Op {
	if len(s.call.Ops) < cap(s.call.Ops) {
		s.call.Ops = s.call.Ops[:len(s.call.Ops)+1] // which Reset has cleared
	} else {
		s.call.Ops = append(s.call.Ops, kv.Op{})
	}
	op := &s.call.Ops[len(s.call.Ops)-1]
	op.Kind, op.Key, op.Hash = kind, key, kv.Hash(key)
	s.pending[len(s.pending)-1].end = int32(len(s.call.Ops))
	return op
}

// ops are the operations of a planned command.
func (s *session) ops(p *planned) []kv.Op { return s.call.Ops[p.first:p.end] }

// makeRoom carries out what is planned, if there is no room for another command in its call.
func (s *session) makeRoom(args [][]byte) {
	size := 0
	for _, arg := range args {
		size += len(arg)
	}
	ops := len(s.call.Ops) + len(args)
	if len(s.pending) >= callOps || s.priors() || ops > callOps || s.planBytes+size > callBytes || ops > freeOps && !s.holdOps() {
		s.carryOut()
	}
	s.planBytes += size
}

// priors says whether as many writes that find what was there are planned as a call takes.
func (s *session) priors() bool {
	for _, op := range s.call.Ops[s.priorsTo:] {
		if op.Prior {
			s.planPriors++
		}
	}
	s.priorsTo = len(s.call.Ops)
	return s.planPriors >= callPriors
}

// carryOut has all that is planned done, and answers it.
func (s *session) carryOut() {
	if len(s.pending) == 0 {
		return
	}
	if !s.pending[0].later {
		s.mark = len(s.out.buf) // where the answers end if something panics
	}
	if len(s.call.Ops) > 0 {
		s.call.MaxBytes = s.srv.foundMax
		s.do(&s.call)
	}
	for i := range s.pending {
		p := &s.pending[i]
		if !p.blind && s.isCut(p) {
			s.spill() // what comes takes memory: let go of what is there
			s.repeat(i)
		}
		if !p.later {
			s.mark = len(s.out.buf)
		}
		p.answer(s, p)
		if s.again.Buf != nil || cap(s.call.Buf) > keepBytes {
			// Each repetition has memory of its own, which what was found would keep.
			for k := p.first; k < p.end; k++ {
				s.call.Ops[k].Entry = kv.Entry{}
			}
		}
		if !p.more {
			s.answered(p.muted)
			s.mark = len(s.out.buf)
		}
	}
	s.forget()
}

// answered ends an answer, which is what was written since s.mark. It may be one that is not to be
// sent, or one that there is no memory for until the client has taken it.
func (s *session) answered(muted bool) {
	switch {
	case muted:
		s.out.buf = s.out.buf[:s.mark]
	case heavy(cap(s.out.buf)) > 0 && !s.holdOut():
		s.shed()
	case len(s.out.buf) >= flushBytes:
		s.spill()
	}
}

// shed makes do with little memory: what was answered before is sent, and an answer that is large
// becomes an error.
func (s *session) shed() {
	before, last := s.out.buf[:s.mark], s.out.buf[s.mark:]
	large := len(last) > freeBytes
	last = bytes.Clone(last[:min(len(last), freeBytes)])
	s.out.buf = before
	s.spill()
	s.out.buf = bytes.Clone(s.out.buf) // nothing, unless it is held
	if !large {
		s.out.buf = append(s.out.buf, last...)
		return
	}
	s.srv.counters.overloaded.Add(1)
	s.out.error(errOutFull)
}

const errOutFull = "OOM the answers that wait for their clients have come to their bound of memory"

// spill sends the answers so far, unless somebody needs them together.
func (s *session) spill() {
	if !s.holding {
		_ = s.flush() // which notes the error
	}
}

// do has the store carry out a call at the session's levels.
func (s *session) do(call *kv.Call) {
	call.Write, call.Read, call.Together = s.write, s.read, s.holding
	began := time.Now()
	call.Deadline = began.Add(s.srv.opts.Timeout)
	s.srv.store.Do(call)
	took := time.Since(began)
	s.tellSlow(call, began.Add(took), took)
	s.noteWrites(call)
	gets, hits, failed := int64(0), int64(0), false
	for i := range call.Ops {
		failed = failed || isFault(call.Ops[i].Err)
		if call.Ops[i].Kind != kv.OpGet {
			continue
		}
		if gets++; call.Ops[i].Err == nil {
			hits++
		}
	}
	k := &s.srv.counters
	t := &k.times[uint64(s.id)%callStripes]
	t.took.Record(&histogram.Latencies, int64(took))
	if failed {
		t.failed.Add(1)
	}
	k.calls.Add(1)
	k.operations.Add(int64(len(call.Ops)))
	k.gets.Add(gets)
	k.hits.Add(hits)
}

// isCut says whether values of a command were found to be beyond the bound of the call.
func (s *session) isCut(p *planned) bool {
	for i := p.first; i < p.end; i++ {
		if err := s.call.Ops[i].Err; err != nil && errors.Is(err, kv.ErrAnswerFull) {
			return true
		}
	}
	return false
}

// repeat does the gets again that were cut, from the command at the place from on: those that one
// more call has room for. A get that a later operation of the pipeline has overtaken is left as it
// is, since it would find what came of that.
func (s *session) repeat(from int) {
	p := &s.pending[from]
	first, end, bound := int(p.first), int(p.end), s.srv.foundMax
	if end-first > 1 {
		bound = s.srv.answerMax
	} else {
		end = len(s.call.Ops)
	}
	s.again.Reset()
	s.again.Buf = nil // what an earlier repetition has found may not be answered yet
	s.call.Buf = nil  // kept by what it has found, as long as that is not answered
	s.lighten()
	s.repeated = s.repeated[:0]
	for i := first; i < end; i++ {
		op := &s.call.Ops[i]
		if op.Kind != kv.OpGet || !errors.Is(op.Err, kv.ErrAnswerFull) || s.overtaken(i) {
			continue
		}
		s.again.Ops = append(s.again.Ops, kv.Op{Kind: kv.OpGet, Hash: op.Hash, Record: kv.Record{Key: op.Key}})
		s.repeated = append(s.repeated, int32(i))
	}
	if len(s.again.Ops) == 0 {
		return
	}
	s.again.MaxBytes = bound
	s.do(&s.again)
	for k, i := range s.repeated {
		s.call.Ops[i] = s.again.Ops[k]
	}
}

// overtaken says whether a later operation of the call has changed the key of the get at i.
func (s *session) overtaken(i int) bool {
	for k := i + 1; k < len(s.call.Ops); k++ {
		if op := &s.call.Ops[k]; op.Kind != kv.OpGet && op.Hash == s.call.Ops[i].Hash {
			return true
		}
	}
	return false
}

// flush sends the answers so far.
func (s *session) flush() error {
	if len(s.out.buf) > 0 && s.broken == nil {
		s.broken = s.conn.writeAll(s.out.buf)
	}
	s.out.buf = s.out.buf[:0]
	return s.broken
}

// abandon drops what is planned, after a panic.
func (s *session) abandon() {
	s.out.buf = s.out.buf[:min(s.mark, len(s.out.buf))]
	s.acting, s.holding = false, false
	s.forget()
}

// forget makes room for the commands to come.
func (s *session) forget() {
	clear(s.pending)
	s.pending, s.planBytes, s.planPriors, s.priorsTo = s.pending[:0], 0, 0, 0
	s.call.Reset()
	s.lighten()
}

func answerError(s *session, p *planned) { s.out.error(p.text) }
