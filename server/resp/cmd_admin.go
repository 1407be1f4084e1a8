package resp

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"httpdhs/kv"
)

func adminCommands() []command {
	// What there is not is refused by an error that says so, since programs that maintain servers
	// send it, and people.
	refused := func(name string, arity int, why string) command {
		return command{name: name, arity: arity, flags: acts, run: func(s *session, _ [][]byte) { s.fail("ERR " + why) }}
	}
	const noDisk = "nothing is written to a disk: other nodes hold copies"
	return []command{
		{name: "time", arity: 1, flags: acts, run: tellTime},
		{name: "flushdb", arity: -1, flags: acts, run: flush},
		{name: "flushall", arity: -1, flags: acts, run: flush},
		{name: "role", arity: 1, flags: acts, run: role},
		{name: "latency", arity: -2, sub: latencyCommands()},
		{name: "slowlog", arity: -2, sub: slowlogCommands()},
		refused("debug", -2, "DEBUG is not offered"),
		refused("monitor", 1, "MONITOR is not offered"),
		refused("shutdown", -1, "a node is not stopped by this protocol, but by its signals: SIGTERM"),
		refused("save", 1, noDisk),
		refused("bgsave", -1, noDisk),
		refused("bgrewriteaof", 1, noDisk),
	}
}

func tellTime(s *session, _ [][]byte) {
	now := time.Now()
	s.out.array(2)
	s.out.text(strconv.FormatInt(now.Unix(), 10))
	s.out.text(strconv.Itoa(now.Nanosecond() / 1000))
}

// flush deletes all keys of the cluster, before it answers. It goes on as long as it gets ahead.
func flush(s *session, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "ASYNC") && !is(args[1], "SYNC") {
		s.fail(errSyntax)
		return
	}
	if !s.srv.opts.Flush {
		s.fail("ERR this deletes all keys of the cluster, and the node was started with --resp-flush=no")
		return
	}
	req, all := kv.ClearRequest{Write: s.write}, int64(0)
	for {
		req.Deadline = time.Now().Add(s.srv.opts.Timeout)
		done, err := s.srv.store.Clear(&req)
		all += done.Deleted
		switch {
		case !done.More && err == nil:
			s.out.ok()
			return
		case done.Next == req.From || s.srv.stopping.Load():
			err = cmp.Or(err, kv.ErrTimeout)
		case errors.Is(err, kv.ErrTimeout):
			err = nil // it has got ahead
		}
		if err != nil {
			s.fail(textOf(err) + fmt.Sprintf(" (%d keys were deleted)", all))
			return
		}
		req.From = done.Next
	}
}

// role answers that any node takes writes.
func role(s *session, _ [][]byte) {
	s.out.array(3)
	s.out.text("master")
	s.out.int(0)
	s.out.array(0)
}

// emptyArray answers that there is nothing.
func emptyArray(s *session, _ [][]byte) { s.out.array(0) }

// Nothing is noted of what was slow: metrics and the log tell of it.

func latencyCommands() []command {
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "latency|" + name, arity: arity, flags: acts, run: run}
	}
	return []command{
		one("latest", 2, emptyArray),
		one("history", 3, emptyArray),
		one("reset", -2, func(s *session, _ [][]byte) { s.out.int(0) }),
		one("histogram", -2, func(s *session, _ [][]byte) { s.out.mapping(0) }),
		one("graph", 3, func(s *session, args [][]byte) { s.failf("No samples available for event '%s'", printable(args[2])) }),
		one("doctor", 2, func(s *session, _ [][]byte) {
			s.out.verbatim("txt", "Latency is not monitored here: the metrics of the node tell of it.\n")
		}),
		{name: "latency|help", arity: 2, flags: acts, run: func(s *session, _ [][]byte) {
			s.help("LATENCY",
				"LATEST",
				"    Return the latest latency samples for all events.",
				"RESET [<event> ...]",
				"    Reset latency data of one or more <event> classes.")
		}},
	}
}

func slowlogCommands() []command {
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "slowlog|" + name, arity: arity, flags: acts, run: run}
	}
	return []command{
		one("get", -2, slowlogGet),
		one("len", 2, func(s *session, _ [][]byte) { s.out.int(0) }),
		one("reset", 2, sayOK),
		{name: "slowlog|help", arity: 2, flags: acts, run: func(s *session, _ [][]byte) {
			s.help("SLOWLOG",
				"GET [<count>]",
				"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
				"LEN",
				"    Return the length of the slowlog.",
				"RESET",
				"    Reset the slowlog.")
		}},
	}
}

func slowlogGet(s *session, args [][]byte) {
	if len(args) > 3 {
		s.failf("unknown subcommand or wrong number of arguments for '%.128s'. Try SLOWLOG HELP.", printable(args[1]))
		return
	}
	if len(args) == 3 {
		if n, ok := kv.ParseInteger(args[2]); !ok || n < -1 {
			s.fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	s.out.array(0)
}
