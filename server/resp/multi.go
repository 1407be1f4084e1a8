package resp

import "bytes"

func transactionCommands() []command {
	const common = acts | aside
	return []command{
		{name: "multi", arity: 1, flags: common, run: multi},
		{name: "exec", arity: -1, flags: common, run: exec},
		{name: "discard", arity: 1, flags: common, run: discard},
		{name: "watch", arity: -2, flags: common, first: 1, last: -1, step: 1, run: watch},
		{name: "unwatch", arity: 1, flags: acts, run: sayOK},
	}
}

// transaction is what MULTI has begun. Its commands wait for EXEC, and are then carried out in one
// call, or as few as there is room for. In a call, those of one key are carried out together, and
// nothing comes between. Those of several keys are not: somebody else may see a part of them done.
type transaction struct {
	faulty bool // a command could not be queued: EXEC has to fail
	queue  []queued
	bytes  int   // what the queue takes
	held   int64 // of memory.in for it
}

// queued is a command of a transaction, with arguments of its own.
type queued struct {
	cmd  *command
	args [][]byte
}

// queuedBytes is what a command takes beside its arguments, and what an argument takes beside its
// bytes.
const queuedBytes = 24

// add queues a command.
func (t *transaction) add(s *session, cmd *command, args [][]byte) {
	size := queuedBytes
	for _, arg := range args {
		size += queuedBytes + len(arg)
	}
	if more := heavy(t.bytes+size) - t.held; more > 0 {
		if !s.srv.memory.in.take(more) {
			s.srv.counters.overloaded.Add(1)
			s.fail(errInFull.Error())
			return
		}
		t.held += more
	}
	t.bytes += size
	kept := make([][]byte, len(args))
	for i, arg := range args {
		kept[i] = bytes.Clone(arg)
	}
	t.queue = append(t.queue, queued{cmd, kept})
	s.plan(answerQueued)
}

func answerQueued(s *session, _ *planned) { s.out.simple("QUEUED") }

// discard ends the transaction, if there is one.
func (s *session) discard() {
	if s.tx != nil {
		s.srv.memory.in.give(s.tx.held)
		s.tx = nil
	}
}

func multi(s *session, _ [][]byte) {
	if s.tx != nil {
		s.out.error("ERR MULTI calls can not be nested") // which does no harm to the transaction
		return
	}
	s.tx = new(transaction)
	s.out.ok()
}

func discard(s *session, _ [][]byte) {
	if s.tx == nil {
		s.fail("ERR DISCARD without MULTI")
		return
	}
	s.discard()
	s.out.ok()
}

func exec(s *session, args [][]byte) {
	tx := s.tx
	switch {
	case len(args) > 1:
		s.fail("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
	case tx == nil:
		s.fail("ERR EXEC without MULTI")
	case tx.faulty:
		s.fail("EXECABORT Transaction discarded because of previous errors.")
	default:
		s.tx = nil
		defer s.srv.memory.in.give(tx.held)
		s.out.array(len(tx.queue))
		s.together(func() {
			for _, q := range tx.queue {
				s.start(q.cmd, q.args)
			}
		})
	}
	s.discard()
}

// watch is refused: an owner of a key does not tell connections that it has changed, and EXEC is
// not carried out at one place.
func watch(s *session, _ [][]byte) {
	if s.tx != nil {
		s.out.error("ERR WATCH inside MULTI is not allowed")
		return
	}
	s.fail("ERR WATCH is not offered, since the keys of a transaction have different owners: " +
		"SET key value IFEQ old writes only if nobody else has")
}
