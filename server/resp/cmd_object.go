package resp

import (
	"errors"
	"math"

	"httpdhs/kv"
)

func objectCommands() []command {
	key := func(name string, answer func(s *session, op *kv.Op)) command {
		planned := func(s *session, p *planned) {
			switch op := &s.ops(p)[0]; {
			case op.Err == nil:
				answer(s, op)
			case errors.Is(op.Err, kv.ErrNotFound):
				s.out.null()
			default:
				s.failed(op)
			}
		}
		run := func(s *session, args [][]byte) {
			s.plan(planned)
			s.op(kv.OpGet, args[2])
		}
		return command{name: name, arity: 3, first: 2, last: 2, step: 1, run: run}
	}
	return []command{
		key("object|encoding", func(s *session, op *kv.Op) { s.out.text(encodingOf(op.Value)) }),
		key("object|refcount", func(s *session, op *kv.Op) { s.out.int(refsOf(op.Value)) }),
		key("object|idletime", func(s *session, _ *kv.Op) { s.out.int(0) }),
		key("object|freq", func(s *session, _ *kv.Op) { s.out.error(errNoFreq) }),
		{name: "object|help", arity: 2, flags: acts, run: objectHelp},
	}
}

const errNoFreq = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. " +
	"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

// encodingOf is how Redis keeps a value that was set.
func encodingOf(value []byte) string {
	const embedded = 44 // bytes of the longest string that Redis keeps with its object
	switch _, ok := kv.ParseInteger(value); {
	case ok:
		return "int"
	case len(value) <= embedded:
		return "embstr"
	}
	return "raw"
}

// refsOf is how many references Redis counts: small integers are shared by all.
func refsOf(value []byte) int64 {
	const shared = 10000
	if n, ok := kv.ParseInteger(value); ok && n >= 0 && n < shared {
		return math.MaxInt32
	}
	return 1
}

func objectHelp(s *session, _ [][]byte) {
	s.help("OBJECT",
		"ENCODING <key>",
		"    Return the kind of internal representation used in order to store the value",
		"    associated with a <key>.",
		"FREQ <key>",
		"    Return the access frequency index of the <key>. The returned integer is",
		"    proportional to the logarithm of the recent access frequency of the key.",
		"IDLETIME <key>",
		"    Return the idle time of the <key>, that is the approximated number of",
		"    seconds elapsed since the last access to the key.",
		"REFCOUNT <key>",
		"    Return the number of references of the value associated with the specified",
		"    <key>.")
}

// help answers as HELP of a container of subcommands does.
func (s *session) help(name string, lines ...string) {
	s.out.array(len(lines) + 3)
	s.out.simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		s.out.simple(line)
	}
	s.out.simple("HELP")
	s.out.simple("    Prints this help.")
}

func memoryUsage(s *session, args [][]byte) {
	if len(args) > 3 && (len(args) != 5 || !is(args[3], "SAMPLES")) {
		s.fail(errSyntax)
		return
	}
	if len(args) == 5 {
		if n, ok := s.integer(args[4]); !ok || n < 0 {
			if ok {
				s.fail(errSyntax)
			}
			return
		}
	}
	s.plan(answerUsage)
	s.op(kv.OpGet, args[2])
}

// answerUsage answers with the bytes of a record; the index takes some more.
func answerUsage(s *session, p *planned) {
	switch op := &s.ops(p)[0]; {
	case op.Err == nil:
		s.out.int(int64(kv.RecordSizeMax(len(op.Key), len(op.Meta), len(op.Value))))
	case errors.Is(op.Err, kv.ErrNotFound):
		s.out.null()
	default:
		s.failed(op)
	}
}

func memoryHelp(s *session, _ [][]byte) {
	s.help("MEMORY",
		"USAGE <key> [SAMPLES <count>]",
		"    Return memory in bytes used by <key> and its value.")
}
