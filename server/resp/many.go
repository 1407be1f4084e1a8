package resp

import (
	"errors"

	"httpdhs/kv"
)

// tally is what a command on many keys has come to so far.
type tally struct {
	n      int64
	failed kv.Op // the first that did; its Err is nil: none
}

// each plans an operation for each key of a command: add is called with step arguments at a time.
// Where they are more than a call takes, the command is carried out in parts, and its answer is
// held until the last.
func (s *session) each(args [][]byte, step int, blind bool, answer func(*session, *planned), add func(s *session, args [][]byte)) {
	bound := callOps * step
	if len(args) > freeOps*step && !s.holdOps() {
		bound = freeOps * step
	}
	total, parts, outer := len(args)/step, len(args) > bound, s.holding
	if parts {
		s.carryOut()
		s.holding = true
	}
	for later := false; len(args) > 0; later = true {
		part := args[:min(len(args), bound)]
		args = args[len(part):]
		p := s.plan(answer)
		p.blind, p.n, p.later, p.more = blind, int64(total), later, len(args) > 0
		for ; len(part) > 0; part = part[step:] {
			add(s, part[:step])
		}
		if parts {
			s.carryOut()
		}
	}
	s.holding = outer
	if parts {
		s.spill()
	}
}

// addUp notes the first operation that failed.
func (s *session) addUp(p *planned, count func(op *kv.Op) int64) {
	if !p.later {
		s.tally = tally{}
	}
	ops := s.ops(p)
	for i := range ops {
		switch op := &ops[i]; {
		case op.Err == nil, errors.Is(op.Err, kv.ErrNotFound), p.blind && tooLarge(op.Err):
			s.tally.n += count(op)
		case s.tally.failed.Err == nil:
			s.tally.failed = *op
		}
	}
}

// tooLarge says whether a value was found, and there is no room for it.
func tooLarge(err error) bool {
	return errors.Is(err, kv.ErrAnswerFull) || errors.Is(err, kv.ErrAnswersHeld) && !errors.Is(err, kv.ErrUndecided)
}

// total answers with what the operations have come to, or with the first error.
func (s *session) total(p *planned, answer func(n int64)) {
	switch {
	case p.more:
	case s.tally.failed.Err != nil:
		s.failed(&s.tally.failed)
	default:
		answer(s.tally.n)
	}
}

// answerDeleted answers with how many keys there were.
func answerDeleted(s *session, p *planned) {
	s.addUp(p, func(op *kv.Op) int64 {
		if op.Existed {
			return 1
		}
		return 0
	})
	s.total(p, s.out.int)
}

// answerExisting answers with how many keys there are.
func answerExisting(s *session, p *planned) {
	s.addUp(p, func(op *kv.Op) int64 {
		if errors.Is(op.Err, kv.ErrNotFound) {
			return 0
		}
		return 1
	})
	s.total(p, s.out.int)
}

// answerStored answers that all were stored.
func answerStored(s *session, p *planned) {
	s.addUp(p, func(*kv.Op) int64 { return 1 })
	s.total(p, func(int64) { s.out.ok() })
}

// answerValues answers with an array of the values.
func answerValues(s *session, p *planned) {
	if !p.later {
		s.out.array(int(p.n))
	}
	s.addUp(p, func(op *kv.Op) int64 {
		if op.Err != nil {
			s.out.null()
		} else {
			s.out.bulk(op.Value)
		}
		return 1
	})
	if len(s.out.buf)-s.mark > s.srv.answerMax && s.tally.failed.Err == nil {
		s.tally.failed = kv.Op{Err: kv.ErrAnswerFull}
	}
	if s.tally.failed.Err == nil && heavy(cap(s.out.buf)) > 0 && !s.holdOut() {
		s.tally.failed = kv.Op{Err: kv.ErrAnswersHeld}
	}
	if s.tally.failed.Err != nil {
		s.out.buf = s.out.buf[:s.mark]
	}
	s.total(p, func(int64) {})
}
