package resp

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"sync"
)

// Scripts are not run. Those of locks are recognised, and each is carried out as an operation on
// the key of the lock, which its primary decides.
func scriptCommands() []command {
	const common = acts
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "script|" + name, arity: arity, flags: acts, run: run}
	}
	return []command{
		{name: "eval", arity: -3, flags: common, run: eval},
		{name: "evalsha", arity: -3, flags: common, run: evalSHA},
		{name: "script", arity: -2, sub: []command{
			one("load", 3, scriptLoad),
			one("exists", -3, scriptExists),
			one("flush", -2, scriptFlush),
			{name: "script|kill", arity: 2, flags: acts, run: func(s *session, _ [][]byte) {
				s.fail("NOTBUSY No scripts in execution right now.")
			}},
			{name: "script|help", arity: 2, flags: acts, run: scriptHelp},
		}},
	}
}

// digest is what EVALSHA calls a script by.
type digest [sha1.Size]byte

// scriptsMax bounds the digests that are remembered.
const scriptsMax = 1024

// scripts are the scripts that are known.
type scripts struct {
	texts map[string]*lockScript // by normal form; it does not change

	mu      sync.Mutex // guards the rest
	digests map[digest]*lockScript
}

func (x *scripts) init() {
	x.texts = lockScripts()
	x.forget()
}

// forget drops what EVAL and SCRIPT LOAD have brought.
func (x *scripts) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.digests = make(map[digest]*lockScript)
}

// learn recognises a script, or returns nil. Its digest is remembered while there is room: clients
// that find that it is not send the text again.
func (x *scripts) learn(text []byte) (sum digest, script *lockScript) {
	sum = sha1.Sum(text)
	if script = x.find(sum); script != nil {
		return sum, script
	}
	normal := normalScript(text)
	if script = x.texts[normal]; script == nil || normal == "" {
		return sum, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.digests) < scriptsMax {
		x.digests[sum] = script
	}
	return sum, script
}

// find returns the script with that digest, or nil.
func (x *scripts) find(sum digest) *lockScript {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.digests[sum]
}

// findHex is find by an argument, in hexadecimal.
func (x *scripts) findHex(arg []byte) *lockScript {
	var sum digest
	if len(arg) != hex.EncodedLen(len(sum)) {
		return nil
	}
	if _, err := hex.Decode(sum[:], arg); err != nil {
		return nil
	}
	return x.find(sum)
}

const (
	errNoScript = "NOSCRIPT No matching script. Please use EVAL."
	errScript   = "ERR scripts are not run here, but for those of locks, which compare a value and then delete or renew it: " +
		"SET with NX, GET or IFEQ, GETDEL, INCR and MULTI do much of what others do"
)

func eval(s *session, args [][]byte) {
	keys, ok := s.scriptKeys(args)
	if !ok {
		return
	}
	_, script := s.srv.scripts.learn(args[1])
	if script == nil {
		s.fail(errScript)
		return
	}
	s.runScript(script, keys, args)
}

func evalSHA(s *session, args [][]byte) {
	script := s.srv.scripts.findHex(args[1])
	if script == nil {
		s.fail(errNoScript)
		return
	}
	if keys, ok := s.scriptKeys(args); ok {
		s.runScript(script, keys, args)
	}
}

// scriptKeys is how many of the arguments are keys.
func (s *session) scriptKeys(args [][]byte) (keys int, ok bool) {
	n, ok := s.integer(args[2])
	switch {
	case !ok:
		return 0, false
	case n > int64(len(args)-3):
		s.fail("ERR Number of keys can't be greater than number of args")
		return 0, false
	case n < 0:
		s.fail("ERR Number of keys can't be negative")
		return 0, false
	}
	return int(n), true
}

func (s *session) runScript(script *lockScript, keys int, args [][]byte) {
	locks := command{first: 3, last: 3, step: 1}
	switch params := args[3+keys:]; {
	case keys > 1:
		s.fail("ERR a lock of several keys is not offered: take one lock for each")
	case keys == 0 || len(params) < script.args:
		s.fail("ERR Lua redis lib command arguments must be strings or integers")
	case !s.keysFit(&locks, args):
	case len(params) > 0 && !s.fits(params[0]):
	default:
		if held, ok := script.do(s, args[3], params); ok {
			script.answer(s, held)
		}
	}
}

func scriptLoad(s *session, args [][]byte) {
	sum, script := s.srv.scripts.learn(args[2])
	if script == nil {
		s.fail(errScript)
		return
	}
	s.out.text(hex.EncodeToString(sum[:]))
}

func scriptExists(s *session, args [][]byte) {
	s.out.array(len(args) - 2)
	for _, arg := range args[2:] {
		n := int64(0)
		if s.srv.scripts.findHex(bytes.ToLower(arg)) != nil {
			n = 1
		}
		s.out.int(n)
	}
}

func scriptFlush(s *session, args [][]byte) {
	if len(args) > 3 || len(args) == 3 && !is(args[2], "SYNC") && !is(args[2], "ASYNC") {
		s.fail("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
		return
	}
	s.srv.scripts.forget()
	s.out.ok()
}

func scriptHelp(s *session, _ [][]byte) {
	s.help("SCRIPT",
		"EXISTS <sha1> [<sha1> ...]",
		"    Return information about the existence of the scripts in the script cache.",
		"FLUSH [ASYNC|SYNC]",
		"    Flush the script cache.",
		"LOAD <script>",
		"    Load a script into the script cache, which is one of a lock.")
}
