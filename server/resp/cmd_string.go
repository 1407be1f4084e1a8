package resp

import (
	"errors"

	"httpdhs/kv"
)

func stringCommands() []command {
	key := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: name, arity: arity, first: 1, last: 1, step: 1, run: run}
	}
	return []command{
		key("get", 2, get),
		key("set", -3, set),
		key("setex", 4, func(s *session, args [][]byte) { setFor(s, args, "setex", &unitEX) }),
		key("psetex", 4, func(s *session, args [][]byte) { setFor(s, args, "psetex", &unitPX) }),
		key("setnx", 3, setnx),
		key("getset", 3, getset),
		key("getdel", 2, getdel),
		key("getex", -2, getex),
		key("strlen", 2, strlen),
		key("append", 3, appendTo),
		key("getrange", 4, getrange),
		key("substr", 4, getrange),
		key("setrange", 4, setrange),
		key("incr", 2, func(s *session, args [][]byte) { add(s, args[1], 1) }),
		key("decr", 2, func(s *session, args [][]byte) { add(s, args[1], -1) }),
		key("incrby", 3, incrby),
		key("decrby", 3, decrby),
		key("incrbyfloat", 3, incrbyfloat),
		key("delifeq", 3, delifeq),
		{name: "mget", arity: -2, first: 1, last: -1, step: 1, run: mget},
		{name: "mset", arity: -3, first: 1, last: -1, step: 2, run: mset},
		{name: "msetnx", arity: -3, first: 1, last: -1, step: 2, run: msetnx},
	}
}

func get(s *session, args [][]byte) {
	s.plan(answerValue)
	s.op(kv.OpGet, args[1])
}

// answerValue answers with the value that was found, or none.
func answerValue(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err == nil:
		s.out.bulk(op.Value)
	case errors.Is(op.Err, kv.ErrNotFound):
		s.out.null()
	default:
		s.failed(op)
	}
}

func set(s *session, args [][]byte) {
	if !s.fits(args[2]) {
		return
	}
	if len(args) == 3 {
		s.plan(answerSet)
		s.op(kv.OpPut, args[1]).Value = args[2]
		return
	}
	var o setOptions
	if !o.parse(args[3:], false) {
		s.fail(errSyntax)
		return
	}
	expires := int64(0)
	if o.unit != nil {
		var ok bool
		if expires, ok = s.expiry("set", o.expiry, o.unit); !ok {
			return
		}
	}
	if o.get {
		s.plan(answerPrior)
	} else {
		s.plan(answerSet)
	}
	op := s.op(kv.OpPut, args[1])
	op.Value, op.Expires, op.Cond, op.Keep, op.Prior = args[2], expires, o.cond, o.keep, o.get
}

// answerSet answers OK, or nothing if the condition did not hold.
func answerSet(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err == nil:
		s.out.ok()
	case errors.Is(op.Err, kv.ErrConditionFailed):
		s.out.null()
	default:
		s.failed(op)
	}
}

// answerPrior answers with the value that was there before a write, whether that was done or not.
func answerPrior(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err != nil && !errors.Is(op.Err, kv.ErrConditionFailed) && !errors.Is(op.Err, kv.ErrNotFound):
		s.failed(op)
	case op.Existed:
		s.out.bulk(op.Value)
	default:
		s.out.null()
	}
}

// answerDone answers 1 if the write was done, and 0 if there was nothing to do.
func answerDone(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err == nil:
		s.out.int(1)
	case errors.Is(op.Err, kv.ErrConditionFailed), errors.Is(op.Err, kv.ErrNotFound):
		s.out.int(0)
	default:
		s.failed(op)
	}
}

func setFor(s *session, args [][]byte, name string, unit *timeUnit) {
	if !s.fits(args[3]) {
		return
	}
	if at, ok := s.expiry(name, args[2], unit); ok {
		s.plan(answerSet)
		op := s.op(kv.OpPut, args[1])
		op.Value, op.Expires = args[3], at
	}
}

func setnx(s *session, args [][]byte) {
	if s.fits(args[2]) {
		s.plan(answerDone)
		op := s.op(kv.OpPut, args[1])
		op.Value, op.Cond.Kind = args[2], kv.IfAbsent
	}
}

func getset(s *session, args [][]byte) {
	if s.fits(args[2]) {
		s.plan(answerPrior)
		op := s.op(kv.OpPut, args[1])
		op.Value, op.Prior = args[2], true
	}
}

func getdel(s *session, args [][]byte) {
	s.plan(answerPrior)
	op := s.op(kv.OpDelete, args[1])
	op.Prior, op.Cond.Kind = true, kv.IfPresent
}

func getex(s *session, args [][]byte) {
	var o setOptions
	if !o.parse(args[2:], true) {
		s.fail(errSyntax)
		return
	}
	if o.unit == nil && !o.persist {
		get(s, args)
		return
	}
	expires := int64(0)
	if o.unit != nil {
		at, fault := expiryOf("getex", o.expiry, o.unit)
		if fault != "" {
			// As in Redis, that is of no interest if there is no such key.
			s.plan(answerFault).text = fault
			s.op(kv.OpGet, args[1])
			return
		}
		expires = at
	}
	s.plan(answerPrior)
	op := s.op(kv.OpExpire, args[1])
	if op.Prior, op.Expires = true, expires; expires == 0 {
		op.Cond.Kind = kv.IfExpiring
	}
}

// answerFault answers with an error, if there is such a key.
func answerFault(s *session, p *planned) {
	if s.ops(p)[0].Err == nil {
		s.out.error(p.text)
	} else {
		answerValue(s, p)
	}
}

func strlen(s *session, args [][]byte) {
	s.plan(answerLength)
	s.op(kv.OpGet, args[1])
}

func answerLength(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err == nil:
		s.out.int(int64(len(op.Value)))
	case errors.Is(op.Err, kv.ErrNotFound):
		s.out.int(0)
	default:
		s.failed(op)
	}
}

func appendTo(s *session, args [][]byte) {
	if s.fits(args[2]) {
		s.plan(answerNumber)
		s.op(kv.OpAppend, args[1]).Value = args[2]
	}
}

// answerNumber answers with the length that a value has now.
func answerNumber(s *session, p *planned) {
	if op := &s.ops(p)[0]; op.Err != nil {
		s.failed(op)
	} else {
		s.out.int(op.Number)
	}
}

func getrange(s *session, args [][]byte) {
	if _, ok := s.integer(args[2]); !ok {
		return
	}
	if _, ok := s.integer(args[3]); ok {
		s.plan(answerRange).args = args[2:]
		s.op(kv.OpGet, args[1])
	}
}

func answerRange(s *session, p *planned) {
	op := &s.ops(p)[0]
	if op.Err != nil && !errors.Is(op.Err, kv.ErrNotFound) {
		s.failed(op)
		return
	}
	n := int64(len(op.Value))
	if op.Err != nil {
		n = 0
	}
	start, _ := kv.ParseInteger(p.args[0])
	end, _ := kv.ParseInteger(p.args[1])
	if start < 0 && end < 0 && start > end {
		n = 0
	}
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	if end = min(end, n-1); start > end || n == 0 {
		s.out.raw("$0\r\n\r\n")
		return
	}
	s.out.bulk(op.Value[start : end+1])
}

func setrange(s *session, args [][]byte) {
	at, ok := s.integer(args[2])
	if !ok {
		return
	}
	if at < 0 {
		s.fail("ERR offset is out of range")
		return
	}
	if s.fits(args[3]) {
		s.plan(answerNumber)
		op := s.op(kv.OpSetRange, args[1])
		op.Number, op.Value = at, args[3]
	}
}

func incrby(s *session, args [][]byte) {
	if n, ok := s.integer(args[2]); ok {
		add(s, args[1], n)
	}
}

func decrby(s *session, args [][]byte) {
	n, ok := s.integer(args[2])
	switch {
	case !ok:
	case n == -n && n != 0:
		s.fail("ERR decrement would overflow")
	default:
		add(s, args[1], -n)
	}
}

func add(s *session, key []byte, n int64) {
	s.plan(answerSum)
	s.op(kv.OpIncr, key).Number = n
}

func answerSum(s *session, p *planned) {
	op := &s.ops(p)[0]
	if op.Err != nil {
		s.failed(op)
		return
	}
	s.out.raw(":")
	s.out.buf = append(s.out.buf, op.Value...)
	s.out.raw("\r\n")
}

func incrbyfloat(s *session, args [][]byte) {
	if !kv.ValidFloat(args[2]) {
		s.fail(textOf(kv.ErrNotFloat))
		return
	}
	s.plan(answerValue)
	s.op(kv.OpIncrFloat, args[1]).Value = args[2]
}

func delifeq(s *session, args [][]byte) {
	s.plan(answerDone)
	op := s.op(kv.OpDelete, args[1])
	op.Cond = kv.Condition{Kind: kv.IfEqual, Value: args[2]}
}

func mget(s *session, args [][]byte) {
	s.each(args[1:], 1, false, answerValues, func(s *session, args [][]byte) { s.op(kv.OpGet, args[0]) })
}

func mset(s *session, args [][]byte) {
	if s.pairsFit("mset", args) {
		s.each(args[1:], 2, false, answerStored, func(s *session, args [][]byte) { s.op(kv.OpPut, args[0]).Value = args[1] })
	}
}

func msetnx(s *session, args [][]byte) {
	switch {
	case !s.pairsFit("msetnx", args):
	case len(args) > 3:
		s.fail("ERR MSETNX of more than one key would not be atomic here: use SETNX for each, or MSET")
	default:
		setnx(s, args)
	}
}

// pairsFit looks at keys and their values.
func (s *session) pairsFit(name string, args [][]byte) bool {
	if len(args)%2 == 0 {
		s.fail("ERR wrong number of arguments for '" + name + "' command")
		return false
	}
	for i := 2; i < len(args); i += 2 {
		if !s.fits(args[i]) {
			return false
		}
	}
	return true
}
