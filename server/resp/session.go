package resp

import (
	"bytes"
	"fmt"
	"time"

	"httpdhs/kv"
)

// session is what a connection has agreed on with its client, and the commands that it has sent
// together.
type session struct {
	srv      *Server
	conn     *conn
	*scratch // while there are commands; nil between them

	id      int64
	created time.Time
	resp3   bool
	authed  bool  // it needs no password any more
	closing bool  // after the answers so far
	broken  error // why answers do not reach the client

	write, read kv.Level

	name, libName, libVersion string // what CLIENT was told

	mute     bool // CLIENT REPLY OFF
	muteNext bool // CLIENT REPLY SKIP: for the next command
	muted    bool // the command at hand has no answer

	acting  bool // a handler that acts is at work
	holding bool // answers stay in out, for whoever has asked for that

	tx    *transaction // of MULTI; nil: none
	last  *command     // the one at hand, or before
	wrote wrote        // for WAIT
}

// fail answers the command at hand with an error, which begins with its code.
func (s *session) fail(text string) {
	if s.tx != nil {
		s.tx.faulty = true
	}
	if s.acting {
		s.out.error(text)
		return
	}
	s.plan(answerError).text = text
}

// failf is fail, with the code ERR.
func (s *session) failf(format string, args ...any) { s.fail("ERR " + fmt.Sprintf(format, args...)) }

// dispatch looks a command up, checks it and has it run.
func (s *session) dispatch(args [][]byte) {
	s.muted, s.muteNext = s.mute || s.muteNext, false
	s.commands++
	cmd := s.srv.commands.find(args[0])
	if cmd == nil {
		s.fail(unknownCommand(args))
		return
	}
	if cmd.sub != nil && len(args) > 1 {
		container := cmd
		if cmd = container.findSub(args[1]); cmd == nil {
			s.failf("unknown subcommand '%.128s'. Try %s HELP.", printable(args[1]), bytes.ToUpper([]byte(container.name)))
			return
		}
	}
	s.last = cmd
	switch {
	case !cmd.takes(len(args)):
		s.fail(wrongArity(cmd))
	case !s.authed && cmd.flags&forGuests == 0:
		s.fail("NOAUTH Authentication required.")
	case !s.keysFit(cmd, args):
	case s.tx != nil && cmd.flags&aside == 0:
		s.tx.add(s, cmd, args)
	default:
		s.start(cmd, args)
	}
}

// start runs a command that was checked.
func (s *session) start(cmd *command, args [][]byte) {
	if cmd.flags&acts == 0 {
		s.makeRoom(args)
		cmd.run(s, args)
		return
	}
	s.carryOut()
	mark := len(s.out.buf)
	s.mark, s.acting = mark, true
	cmd.run(s, args)
	s.mark, s.acting = mark, false
	s.answered(s.muted) // which CLIENT REPLY changes
}

// together has commands run (by start) whose answers are parts of the answer of the command that
// acts: they stay in s.out, behind what it has written.
func (s *session) together(run func()) {
	outer := s.holding
	s.acting, s.holding = false, true
	run()
	s.carryOut()
	s.acting, s.holding = true, outer
}

// speak makes RESP2 or RESP3 the language of the answers from now on, that of a command that acts
// included.
func (s *session) speak(resp3 bool) { s.resp3, s.out.resp3 = resp3, resp3 }

// keysFit looks at the keys of a command.
func (s *session) keysFit(cmd *command, args [][]byte) bool {
	if cmd.first == 0 {
		return true
	}
	for i, last := cmd.first, cmd.lastKey(len(args)); i <= last && i < len(args); i += cmd.step {
		switch n := len(args[i]); {
		case n == 0:
			s.fail(textOf(kv.ErrKeyEmpty))
			return false
		case n > s.srv.opts.Limits.MaxKeyBytes:
			s.fail(textOf(kv.ErrKeyTooLong))
			return false
		}
	}
	return true
}

// fits looks at a value that is to be stored.
func (s *session) fits(value []byte) bool {
	if len(value) <= s.srv.opts.Limits.MaxValueBytes {
		return true
	}
	s.fail(textOf(kv.ErrValueTooLarge))
	return false
}

func wrongArity(cmd *command) string {
	return "ERR wrong number of arguments for '" + cmd.name + "' command"
}

// unknownCommand is what Redis says to a command that it does not know.
func unknownCommand(args [][]byte) string {
	const most = 128
	var rest []byte
	for _, arg := range args[1:] {
		if len(rest) >= most {
			break
		}
		arg = printable(arg)
		rest = fmt.Appendf(rest, "'%s' ", arg[:min(len(arg), most-len(rest))])
	}
	name := printable(args[0])
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", name[:min(len(name), most)], rest)
}

// printable is an argument as an error shows it: up to its first zero byte.
func printable(arg []byte) []byte {
	if nul := bytes.IndexByte(arg, 0); nul >= 0 {
		return arg[:nul]
	}
	return arg
}
