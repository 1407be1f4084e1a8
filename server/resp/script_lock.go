package resp

import (
	"bytes"
	"errors"
	"math"
	"time"

	"httpdhs/kv"
)

// lockScript is what a script on a lock does. A lock is a key, with a value that only its holder
// knows.
type lockScript struct {
	args int // how many it needs, the value first

	// do carries it out; not ok: an error was answered.
	do func(s *session, key []byte, args [][]byte) (found lockState, ok bool)

	// The answers, encoded, if the lock was held; if it was not; and if nobody had it, where that
	// is another one. No text is a null, but for yes: do has answered.
	yes, no, free string
}

// lockState is what a script has found.
type lockState int

const (
	lockHeld  lockState = iota
	lockOther           // it is somebody else's
	lockFree            // it is nobody's
)

// lockScripts are the scripts that are known, by their normal form. They are those of the
// documentation of Redis, of redis-py, redlock (of Node, Ruby and Python), redsync, redislock,
// Laravel and Spring Integration, and what people write alike.
func lockScripts() map[string]*lockScript {
	all := make(map[string]*lockScript)
	add := func(script lockScript, texts ...string) {
		for _, text := range texts {
			all[normalScript([]byte(text))] = &script
		}
	}
	for _, c := range []struct {
		act string
		do  func(*session, []byte, [][]byte) (lockState, bool)

		args int
		yes  string
	}{
		{"redis.call('del', KEYS[1])", releaseLock, 1, ":1\r\n"},
		{"redis.call('pexpire', KEYS[1], ARGV[2])", renewLock(&unitPX), 2, ":1\r\n"},
		{"redis.call('expire', KEYS[1], ARGV[2])", renewLock(&unitEX), 2, ":1\r\n"},
		{"redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])", replaceLock(&unitPX), 2, "+OK\r\n"},
		{"redis.call('set', KEYS[1], ARGV[1], 'ex', ARGV[2])", replaceLock(&unitEX), 2, "+OK\r\n"},
		{"redis.call('pttl', KEYS[1])", lockLeft, 1, ""},
	} {
		for value, no := range map[string]string{"0": ":0\r\n", "-1": ":-1\r\n", "-3": ":-3\r\n", "nil": "", "false": ""} {
			add(lockScript{c.args, c.do, c.yes, no, ""}, ifHeld("return "+c.act, "return "+value)...)
		}
		add(lockScript{c.args, c.do, c.yes, "", ""}, ifHeld("return "+c.act, "")...)
		if c.yes == "" {
			continue
		}
		add(lockScript{c.args, c.do, ":1\r\n", ":0\r\n", ""}, ifHeld(c.act+" return 1", "return 0")...)
		add(lockScript{c.args, c.do, ":1\r\n", "", ""}, ifHeld(c.act+" return true", "return false")...)
		add(lockScript{c.args, c.do, ":1\r\n", ":0\r\n", ""}, unlessHeld(c.act+" return 1"))
	}
	add(lockScript{3, extendLock, ":1\r\n", ":0\r\n", ""}, unlessHeld(extendText))
	for value, no := range map[string]string{"true": "", "1": ":0\r\n"} {
		add(lockScript{2, takeLock, ":1\r\n", no, ""}, takeTexts(value)...)
	}
	add(lockScript{3, takeLockIf, "+OK\r\n", "", ""}, takeIfText)
	add(lockScript{2, setLock, ":1\r\n", ":0\r\n", ""}, eachAcquire)
	add(lockScript{2, replaceLock(&unitPX), ":1\r\n", ":0\r\n", ""}, eachExtend)
	add(lockScript{1, releaseLock, ":1\r\n", ":0\r\n", ""}, eachRelease)
	add(lockScript{1, releaseLock, ":1\r\n", ":0\r\n", ":-1\r\n"}, "local v = redis.call('get', KEYS[1]) "+
		"if v == ARGV[1] then return redis.call('del', KEYS[1]) elseif v == false then return -1 else return 0 end")
	add(lockScript{0, lockShown, "", "", ""}, "return { redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1]) }")
	return all
}

// ifHeld are the ways to write that something is done if the lock is held, and something else if
// not.
func ifHeld(then, otherwise string) (texts []string) {
	for _, start := range []string{
		"if redis.call('get', KEYS[1]) == ARGV[1] then ", "if ARGV[1] == redis.call('get', KEYS[1]) then ",
		"local v = redis.call('get', KEYS[1]) if v == ARGV[1] then ",
	} {
		texts = append(texts, start+then+" end "+otherwise)
		if otherwise != "" {
			texts = append(texts, start+then+" else "+otherwise+" end")
		}
	}
	return texts
}

// unlessHeld is the way of redis-py.
func unlessHeld(then string) string {
	return "local v = redis.call('get', KEYS[1]) if not v or v ~= ARGV[1] then return 0 end " + then
}

// takeTexts are those of Spring Integration and redsync.
func takeTexts(yes string) []string {
	no := map[string]string{"true": "false", "1": "0"}[yes]
	spring := "local v = redis.call('get', KEYS[1]) if v == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return " + yes +
		" elseif not v then redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return " + yes
	return []string{
		spring + " end return " + no,
		spring + " else return " + no + " end",
		"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) " +
			"elseif redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2], 'nx') then return " + yes + " else return " + no + " end",
	}
}

const (
	// Of redis-py: the third argument says whether the time is added to what is left.
	extendText = "local t = redis.call('pttl', KEYS[1]) if not t then t = 0 end if t < 0 then return 0 end " +
		"local n = ARGV[2] if ARGV[3] == '0' then n = ARGV[2] + t end redis.call('pexpire', KEYS[1], n) return 1"

	// Of redlock for Ruby: the third argument says whether a lock that nobody has is taken.
	takeIfText = "if (redis.call('exists', KEYS[1]) == 0 and ARGV[3] == 'yes') or redis.call('get', KEYS[1]) == ARGV[1] then " +
		"return redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) end"

	// Of redlock for Node: they take several keys.
	eachStart   = "for i, key in ipairs(KEYS) do if redis.call("
	eachSet     = " then return 0 end end for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'px', ARGV[2]) end return #KEYS"
	eachAcquire = eachStart + "'exists', key) == 1" + eachSet
	eachExtend  = eachStart + "'get', key) ~= ARGV[1]" + eachSet
	eachRelease = "local count = 0 " + eachStart + "'get', key) == ARGV[1] then redis.call('del', key) count = count + 1 end end return count"
)

// lockOps carries operations on a lock out together, and answers what the last has found.
func (s *session) lockOps(ops ...kv.Op) (lockState, bool) {
	s.again.Reset()
	for i := range ops {
		ops[i].Hash = kv.Hash(ops[i].Key)
	}
	s.again.Ops = append(s.again.Ops, ops...)
	s.do(&s.again)
	for i := range s.again.Ops {
		switch op := &s.again.Ops[i]; {
		case op.Err == nil, errors.Is(op.Err, kv.ErrConditionFailed), errors.Is(op.Err, kv.ErrNotFound):
		default:
			s.failed(op)
			return lockOther, false
		}
	}
	switch last := &s.again.Ops[len(ops)-1]; {
	case last.Err == nil:
		return lockHeld, true
	case errors.Is(last.Err, kv.ErrConditionFailed) && last.Version != 0:
		return lockOther, true
	}
	return lockFree, true
}

// ifHeldOp is an operation that is done if the lock is held.
func ifHeldOp(kind kv.OpKind, key, holder []byte, expires int64) kv.Op {
	return kv.Op{Kind: kind, Cond: kv.Condition{Kind: kv.IfEqual, Value: holder}, Record: kv.Record{Key: key, Entry: kv.Entry{Expires: expires}}}
}

// ifFreeOp takes a lock that nobody has.
func ifFreeOp(key, holder []byte, expires int64) kv.Op {
	return kv.Op{Kind: kv.OpPut, Cond: kv.Condition{Kind: kv.IfAbsent}, Record: kv.Record{Key: key, Entry: kv.Entry{Value: holder, Expires: expires}}}
}

func releaseLock(s *session, key []byte, args [][]byte) (lockState, bool) {
	return s.lockOps(ifHeldOp(kv.OpDelete, key, args[0], 0))
}

// renewLock gives the lock a time to live, as EXPIRE does.
func renewLock(unit *timeUnit) func(*session, []byte, [][]byte) (lockState, bool) {
	return func(s *session, key []byte, args [][]byte) (lockState, bool) {
		n, ok := s.integer(args[1])
		if !ok {
			return lockOther, false
		}
		at, ok := unit.at(n)
		if !ok {
			s.fail("ERR invalid expire time in '" + map[bool]string{true: "p"}[unit == &unitPX] + "expire' command")
			return lockOther, false
		}
		return s.lockOps(ifHeldOp(kv.OpExpire, key, args[0], stored(at)))
	}
}

// replaceLock gives it a time to live as SET does. The value stays what it is.
func replaceLock(unit *timeUnit) func(*session, []byte, [][]byte) (lockState, bool) {
	return func(s *session, key []byte, args [][]byte) (lockState, bool) {
		at, ok := s.expiry("set", args[1], unit)
		if !ok {
			return lockOther, false
		}
		return s.lockOps(ifHeldOp(kv.OpExpire, key, args[0], at))
	}
}

// setLock takes a lock that nobody has.
func setLock(s *session, key []byte, args [][]byte) (lockState, bool) {
	at, ok := s.expiry("set", args[1], &unitPX)
	if !ok {
		return lockOther, false
	}
	return s.lockOps(ifFreeOp(key, args[0], at))
}

// takeLock takes a lock that nobody has, or renews it. The primary does both in one step.
func takeLock(s *session, key []byte, args [][]byte) (lockState, bool) {
	at, ok := s.expiry("set", args[1], &unitPX)
	if !ok {
		return lockOther, false
	}
	return s.lockOps(ifFreeOp(key, args[0], at), ifHeldOp(kv.OpExpire, key, args[0], at))
}

func takeLockIf(s *session, key []byte, args [][]byte) (lockState, bool) {
	if string(args[2]) == "yes" {
		return takeLock(s, key, args)
	}
	return replaceLock(&unitPX)(s, key, args)
}

// lockLeft answers how long the lock is still held.
func lockLeft(s *session, key []byte, args [][]byte) (lockState, bool) {
	held, ok := s.peekLock(key)
	if !ok || !held.is(args[0]) {
		return lockOther, ok
	}
	s.out.int(held.left())
	return lockHeld, true
}

// lockShown answers who holds the lock, and how long.
func lockShown(s *session, key []byte, _ [][]byte) (lockState, bool) {
	held, ok := s.peekLock(key)
	if !ok {
		return lockOther, false
	}
	s.out.array(2)
	if held.free {
		s.out.null()
	} else {
		s.out.bulk(held.Value)
	}
	s.out.int(held.left())
	return lockHeld, true
}

// lockEntry is what is there of a lock, if it is somebody's.
type lockEntry struct {
	kv.Entry
	free bool
}

func (e *lockEntry) is(holder []byte) bool { return !e.free && bytes.Equal(e.Value, holder) }

// left is what PTTL answers.
func (e *lockEntry) left() int64 {
	switch {
	case e.free:
		return -2
	case e.Expires == 0:
		return -1
	}
	return max(e.Expires-time.Now().UnixMilli(), 0)
}

// peekLock reads a lock where it is decided who holds it: a write whose condition never holds finds
// what is there.
func (s *session) peekLock(key []byte) (held lockEntry, ok bool) {
	op := kv.Op{Kind: kv.OpExpire, Prior: true, Cond: kv.Condition{Kind: kv.IfVersion}, Record: kv.Record{Key: key}}
	state, ok := s.lockOps(op)
	return lockEntry{Entry: s.again.Ops[0].Entry, free: state == lockFree}, ok
}

// extendTries bounds how often a lock is read again that changes meanwhile.
const extendTries = 8

// extendLock adds to the time that is left, or replaces it. A lock without such a time stays as it
// is. What was read must still be there when the new time is set.
func extendLock(s *session, key []byte, args [][]byte) (lockState, bool) {
	n, ok := s.integer(args[1])
	if !ok {
		return lockOther, false
	}
	at, ok := unitPX.at(n)
	if !ok {
		s.fail("ERR invalid expire time in 'pexpire' command")
		return lockOther, false
	}
	for range extendTries {
		held, ok := s.peekLock(key)
		if !ok || !held.is(args[0]) || held.Expires == 0 {
			return lockOther, ok
		}
		until := at
		if string(args[2]) == "0" {
			until = min(held.Expires, math.MaxInt64-max(n, 0)) + n
		}
		op := kv.Op{Kind: kv.OpExpire, Cond: kv.Condition{Kind: kv.IfVersion, Versions: []kv.Version{held.Version}}}
		op.Key, op.Expires = key, stored(until)
		if state, ok := s.lockOps(op); state == lockHeld || !ok {
			return state, ok
		}
	}
	s.fail("TRYAGAIN the lock changes all the time, and nothing was done")
	return lockOther, false
}

// answerLock writes the answer of a script.
func (l *lockScript) answer(s *session, state lockState) {
	text := l.no
	switch {
	case state == lockHeld && l.yes == "":
		return
	case state == lockHeld:
		text = l.yes
	case state == lockFree && l.free != "":
		text = l.free
	}
	if text == "" {
		s.out.null()
		return
	}
	s.out.raw(text)
}
