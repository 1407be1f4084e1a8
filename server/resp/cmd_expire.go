package resp

import (
	"errors"
	"time"

	"httpdhs/kv"
)

func expiryCommands() []command {
	key := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: name, arity: arity, first: 1, last: 1, step: 1, run: run}
	}
	expire := func(name string, unit *timeUnit) command {
		return key(name, -3, func(s *session, args [][]byte) { expireKey(s, args, name, unit) })
	}
	tell := func(name string, answer func(expires int64) int64) command {
		planned := func(s *session, p *planned) { s.answerExpiry(&s.ops(p)[0], answer) }
		return key(name, 2, func(s *session, args [][]byte) {
			s.plan(planned)
			s.op(kv.OpGet, args[1])
		})
	}
	left := func(expires int64) int64 { return max(expires-time.Now().UnixMilli(), 0) }
	seconds := func(millis int64) int64 { return millis/1000 + millis%1000/500 }
	return []command{
		expire("expire", &unitEX),
		expire("pexpire", &unitPX),
		expire("expireat", &unitEXAT),
		expire("pexpireat", &unitPXAT),
		key("persist", 2, persist),
		tell("ttl", func(expires int64) int64 { return seconds(left(expires)) }),
		tell("pttl", left),
		tell("expiretime", seconds),
		tell("pexpiretime", func(expires int64) int64 { return expires }),
	}
}

func expireKey(s *session, args [][]byte, name string, unit *timeUnit) {
	cond, ok := s.expireCondition(args[3:])
	if !ok {
		return
	}
	n, ok := s.integer(args[2])
	if !ok {
		return
	}
	at, ok := unit.at(n)
	if !ok {
		s.fail("ERR invalid expire time in '" + name + "' command")
		return
	}
	s.plan(answerDone)
	op := s.op(kv.OpExpire, args[1])
	op.Expires, op.Cond.Kind = stored(at), cond
}

// expireCondition reads the options of EXPIRE.
func (s *session) expireCondition(options [][]byte) (kind kv.ConditionKind, ok bool) {
	var nx, xx, gt, lt bool
	for _, option := range options {
		switch {
		case is(option, "NX"):
			nx = true
		case is(option, "XX"):
			xx = true
		case is(option, "GT"):
			gt = true
		case is(option, "LT"):
			lt = true
		default:
			s.failf("Unsupported option %s", printable(option))
			return 0, false
		}
	}
	switch {
	case nx && (xx || gt || lt):
		s.fail("ERR NX and XX, GT or LT options at the same time are not compatible")
		return 0, false
	case gt && lt:
		s.fail("ERR GT and LT options at the same time are not compatible")
		return 0, false
	case nx:
		return kv.IfLasting, true
	case gt:
		return kv.IfLater, true
	case xx && lt:
		return kv.IfExpiresSooner, true
	case lt:
		return kv.IfSooner, true
	case xx:
		return kv.IfExpiring, true
	}
	return kv.Always, true
}

func persist(s *session, args [][]byte) {
	s.plan(answerDone)
	s.op(kv.OpExpire, args[1]).Cond.Kind = kv.IfExpiring
}

// answerExpiry answers with something of a value's expiry: -1 if it has none, -2 if there is no
// value.
func (s *session) answerExpiry(op *kv.Op, answer func(expires int64) int64) {
	switch {
	case errors.Is(op.Err, kv.ErrNotFound):
		s.out.int(-2)
	case op.Err != nil:
		s.failed(op)
	case op.Expires == 0:
		s.out.int(-1)
	default:
		s.out.int(answer(op.Expires))
	}
}
