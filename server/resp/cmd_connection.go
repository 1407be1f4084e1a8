package resp

func connectionCommands() []command {
	return []command{
		{name: "ping", arity: -1, run: ping},
		{name: "echo", arity: 2, run: echo},
		{name: "quit", arity: -1, flags: acts | aside | forGuests, run: quit},
		{name: "post", arity: -1, flags: acts | aside | forGuests, run: strayHTTP},
		{name: "host:", arity: -1, flags: acts | aside | forGuests, run: strayHTTP},
	}
}

func ping(s *session, args [][]byte) {
	switch len(args) {
	case 1:
		s.plan(answerPong)
	case 2:
		s.plan(answerArg).args = args[1:]
	default:
		s.fail("ERR wrong number of arguments for 'ping' command")
	}
}

func answerPong(s *session, _ *planned) { s.out.simple("PONG") }

func echo(s *session, args [][]byte) { s.plan(answerArg).args = args[1:] }

// answerArg answers with an argument as it came.
func answerArg(s *session, p *planned) { s.out.bulk(p.args[0]) }

func quit(s *session, _ [][]byte) {
	s.out.ok()
	s.closing = true
}

// strayHTTP closes the connection of a browser, which a page on the web has had send commands in
// the body of a request. Its first lines are a method and Host.
func strayHTTP(s *session, _ [][]byte) {
	s.closing = true
	s.srv.journal.note("an HTTP request came to the port of the Redis protocol: the connection was closed", "from", s.conn.RemoteAddr().String())
}
