package resp

import (
	"errors"

	"httpdhs/kv"
)

func keyCommands() []command {
	key := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: name, arity: arity, first: 1, last: 1, step: 1, run: run}
	}
	keys := func(name string, run func(*session, [][]byte)) command {
		return command{name: name, arity: -2, first: 1, last: -1, step: 1, run: run}
	}
	pair := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: name, arity: arity, flags: acts, first: 1, last: 2, step: 1, run: run}
	}
	return []command{
		keys("del", del),
		keys("unlink", del),
		keys("exists", exists),
		keys("touch", exists),
		key("type", 2, typeOf),
		pair("rename", 3, rename),
		pair("renamenx", 3, renamenx),
		pair("copy", -3, copyKey),
		{name: "object", arity: -2, sub: objectCommands()},
		{name: "memory", arity: -2, sub: []command{
			{name: "memory|usage", arity: -3, first: 2, last: 2, step: 1, run: memoryUsage},
			{name: "memory|help", arity: 2, flags: acts, run: memoryHelp},
		}},
	}
}

func del(s *session, args [][]byte) {
	s.each(args[1:], 1, false, answerDeleted, func(s *session, args [][]byte) { s.op(kv.OpDelete, args[0]) })
}

func exists(s *session, args [][]byte) {
	s.each(args[1:], 1, true, answerExisting, func(s *session, args [][]byte) { s.op(kv.OpGet, args[0]) })
}

func typeOf(s *session, args [][]byte) {
	s.plan(answerType)
	s.op(kv.OpGet, args[1])
}

func answerType(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err == nil:
		s.out.simple("string")
	case errors.Is(op.Err, kv.ErrNotFound):
		s.out.simple("none")
	default:
		s.failed(op)
	}
}

// What follows takes several operations on two keys, one after the other. They are not atomic:
// others may see and change what is between.

// one has one operation carried out.
func (s *session) one(op kv.Op) *kv.Op {
	op.Hash = kv.Hash(op.Key)
	call := kv.Call{Ops: []kv.Op{op}, Hold: s.call.Hold}
	s.do(&call)
	return &call.Ops[0]
}

// move copies the value of a key, with its expiry, to another. It says whether that was done; if
// not, an error was answered, or what none says.
func (s *session) move(from, to []byte, cond kv.ConditionKind, none func()) bool {
	found := s.one(kv.Op{Kind: kv.OpGet, Record: kv.Record{Key: from}})
	if errors.Is(found.Err, kv.ErrNotFound) {
		none()
		return false
	}
	if found.Err != nil {
		s.failed(found)
		return false
	}
	put := kv.Op{Kind: kv.OpPut, Record: kv.Record{Key: to, Entry: found.Entry}}
	put.Version, put.Cond.Kind = 0, cond
	stored := s.one(put)
	switch {
	case stored.Err == nil:
		return true
	case errors.Is(stored.Err, kv.ErrConditionFailed):
		s.out.int(0)
	default:
		s.failed(stored)
	}
	return false
}

// drop deletes a key that was moved, and says whether that was done.
func (s *session) drop(key []byte) bool {
	op := s.one(kv.Op{Kind: kv.OpDelete, Record: kv.Record{Key: key}})
	if op.Err != nil && !errors.Is(op.Err, kv.ErrNotFound) {
		s.failed(op)
		return false
	}
	return true
}

func (s *session) noSuchKey() { s.out.error("ERR no such key") }

// sameKey answers a command whose two keys are one. It says whether they are.
func (s *session) sameKey(args [][]byte, answer func()) bool {
	if string(args[1]) != string(args[2]) {
		return false
	}
	switch op := s.one(kv.Op{Kind: kv.OpGet, Record: kv.Record{Key: args[1]}}); {
	case op.Err == nil:
		answer()
	case errors.Is(op.Err, kv.ErrNotFound):
		s.noSuchKey()
	default:
		s.failed(op)
	}
	return true
}

func rename(s *session, args [][]byte) {
	if s.sameKey(args, s.out.ok) {
		return
	}
	if s.move(args[1], args[2], kv.Always, s.noSuchKey) && s.drop(args[1]) {
		s.out.ok()
	}
}

func renamenx(s *session, args [][]byte) {
	if s.sameKey(args, func() { s.out.int(0) }) {
		return
	}
	if s.move(args[1], args[2], kv.IfAbsent, s.noSuchKey) && s.drop(args[1]) {
		s.out.int(1)
	}
}

func copyKey(s *session, args [][]byte) {
	cond := kv.IfAbsent
	for rest := args[3:]; len(rest) > 0; {
		switch {
		case is(rest[0], "REPLACE"):
			cond, rest = kv.Always, rest[1:]
		case is(rest[0], "DB") && len(rest) > 1:
			db, ok := s.integer(rest[1])
			if !ok {
				return
			}
			if db != 0 {
				s.fail("ERR DB index is out of range")
				return
			}
			rest = rest[2:]
		default:
			s.fail(errSyntax)
			return
		}
	}
	if string(args[1]) == string(args[2]) {
		s.fail("ERR source and destination objects are the same")
		return
	}
	if s.move(args[1], args[2], cond, func() { s.out.int(0) }) {
		s.out.int(1)
	}
}
