package resp

import (
	"strings"

	"httpdhs/kv"
)

func clientCommands() []command {
	const common = acts
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "client|" + name, arity: arity, flags: common, run: run}
	}
	return []command{{name: "client", arity: -2, sub: []command{
		one("id", 2, func(s *session, _ [][]byte) { s.out.int(s.id) }),
		one("getname", 2, clientGetName),
		one("setname", 3, clientSetName),
		one("setinfo", 4, clientSetInfo),
		one("info", 2, clientInfo),
		one("list", -2, clientList),
		one("kill", -3, clientKill),
		one("reply", 3, clientReply),

		// Nothing is evicted for the memory that a client takes, and reads note nothing.
		one("no-evict", 3, clientSwitch),
		one("no-touch", 3, clientSwitch),

		// No command waits for another client, or is told of what others do.
		one("unpause", 2, sayOK),
		one("pause", -3, clientPause),
		one("unblock", -3, clientUnblock),
		one("tracking", -3, clientTracking),
		one("trackinginfo", 2, clientTrackingInfo),
		one("caching", 3, clientCaching),
		one("getredir", 2, func(s *session, _ [][]byte) { s.out.int(-1) }),
		{name: "client|help", arity: 2, flags: acts, run: clientHelp},
	}}}
}

func clientGetName(s *session, _ [][]byte) {
	if s.name == "" {
		s.out.null()
		return
	}
	s.out.text(s.name)
}

func clientSetName(s *session, args [][]byte) {
	if s.setName(args[2]) {
		s.out.ok()
	}
}

// setName gives the connection a name, or answers that it is none.
func (s *session) setName(name []byte) bool {
	if !isPlain(name) {
		s.fail("ERR Client names cannot contain spaces, newlines or special characters.")
		return false
	}
	s.name = string(name)
	s.present()
	return true
}

// isPlain says whether a text can stand in a line of CLIENT LIST.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

func clientSetInfo(s *session, args [][]byte) {
	var field *string
	switch {
	case is(args[2], "LIB-NAME"):
		field = &s.libName
	case is(args[2], "LIB-VER"):
		field = &s.libVersion
	default:
		s.failf("Unrecognized option '%s'", printable(args[2]))
		return
	}
	if !isPlain(args[3]) {
		s.failf("%s cannot contain spaces, newlines or special characters.", strings.ToLower(string(args[2])))
		return
	}
	*field = string(args[3])
	s.present()
	s.out.ok()
}

func clientInfo(s *session, _ [][]byte) {
	s.conn.last.Store(s.last)
	s.out.verbatim("txt", s.conn.describe()+"\n")
}

func clientList(s *session, args [][]byte) {
	wanted := func(*conn) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 4 && is(args[2], "TYPE"):
		kind, ok := s.clientType(args[3])
		if !ok {
			return
		}
		wanted = func(*conn) bool { return kind == clientNormal }
	case len(args) > 3 && is(args[2], "ID"):
		ids := make(map[int64]bool)
		for _, arg := range args[3:] {
			id, ok := kv.ParseInteger(arg)
			if !ok {
				s.fail("ERR Invalid client ID")
				return
			}
			ids[id] = true
		}
		wanted = func(c *conn) bool { return ids[c.session.id] }
	default:
		s.fail(errSyntax)
		return
	}
	s.conn.last.Store(s.last)
	var text strings.Builder
	for _, c := range s.srv.clients() {
		if wanted(c) {
			text.WriteString(c.describe())
			text.WriteByte('\n')
		}
	}
	s.out.verbatim("txt", text.String())
}

// The types of clients that Redis tells apart. There are only normal ones here.
const (
	clientNormal = iota
	clientOther
)

func (s *session) clientType(arg []byte) (kind int, ok bool) {
	switch {
	case is(arg, "NORMAL"):
		return clientNormal, true
	case is(arg, "MASTER"), is(arg, "REPLICA"), is(arg, "SLAVE"), is(arg, "PUBSUB"):
		return clientOther, true
	}
	s.failf("Unknown client type '%s'", printable(arg))
	return 0, false
}

// clientFilter says which clients CLIENT KILL closes. What is empty does not matter.
type clientFilter struct {
	id          int64
	addr, laddr string
	none        bool // of a type that there is not
	self        bool // the client that asks as well
}

func (f *clientFilter) takes(c *conn) bool {
	return !f.none && (f.id == 0 || f.id == c.session.id) &&
		(f.addr == "" || f.addr == c.RemoteAddr().String()) && (f.laddr == "" || f.laddr == c.LocalAddr().String())
}

func clientKill(s *session, args [][]byte) {
	if len(args) == 3 {
		if s.kill(&clientFilter{addr: string(args[2]), self: true, none: len(args[2]) == 0}) == 0 {
			s.fail("ERR No such client")
			return
		}
		s.out.ok()
		return
	}
	var f clientFilter
	for rest := args[2:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 {
			s.fail(errSyntax)
			return
		}
		if !s.clientFilter(&f, rest[0], rest[1]) {
			return
		}
	}
	s.out.int(s.kill(&f))
}

// clientFilter reads one condition of CLIENT KILL.
func (s *session) clientFilter(f *clientFilter, name, value []byte) bool {
	switch {
	case is(name, "ID"):
		id, ok := kv.ParseInteger(value)
		if !ok || id < 1 {
			s.fail("ERR client-id should be greater than 0")
			return false
		}
		f.id = id
	case is(name, "TYPE"):
		kind, ok := s.clientType(value)
		if !ok {
			return false
		}
		f.none = f.none || kind != clientNormal
	case is(name, "ADDR"):
		f.addr, f.none = string(value), f.none || len(value) == 0
	case is(name, "LADDR"):
		f.laddr, f.none = string(value), f.none || len(value) == 0
	case is(name, "USER"):
		if string(value) != defaultUser {
			s.failf("No such user '%s'", printable(value))
			return false
		}
	case is(name, "SKIPME") && is(value, "YES"):
		f.self = false
	case is(name, "SKIPME") && is(value, "NO"):
		f.self = true
	default:
		s.fail(errSyntax)
		return false
	}
	return true
}

// kill closes connections, this one after its answer.
func (s *session) kill(f *clientFilter) (killed int64) {
	for _, c := range s.srv.clients() {
		switch {
		case !f.takes(c):
			continue
		case c != s.conn:
			_ = bare(c.Conn).Close()
		case f.self:
			s.closing = true
		default:
			continue
		}
		killed++
	}
	return killed
}

func clientReply(s *session, args [][]byte) {
	switch {
	case is(args[2], "ON"):
		s.mute, s.muted = false, false
		s.out.ok()
	case is(args[2], "OFF"):
		s.mute, s.muted = true, true
	case is(args[2], "SKIP"):
		s.muteNext, s.muted = !s.mute, true
	default:
		s.fail(errSyntax)
	}
}

// clientSwitch takes what makes no difference here.
func clientSwitch(s *session, args [][]byte) {
	if !is(args[2], "ON") && !is(args[2], "OFF") {
		s.fail(errSyntax)
		return
	}
	s.out.ok()
}

func clientPause(s *session, _ [][]byte) {
	s.fail("ERR CLIENT PAUSE is not offered: clients of other nodes would go on")
}

func clientUnblock(s *session, args [][]byte) {
	if len(args) > 4 || len(args) == 4 && !is(args[3], "TIMEOUT") && !is(args[3], "ERROR") {
		s.fail(errSyntax)
		return
	}
	if _, ok := s.integer(args[2]); ok {
		s.out.int(0)
	}
}

func clientTracking(s *session, args [][]byte) {
	switch {
	case is(args[2], "OFF"):
		s.out.ok()
	case is(args[2], "ON"):
		s.fail("ERR CLIENT TRACKING is not offered: connections are not told of what has changed")
	default:
		s.fail(errSyntax)
	}
}

func clientTrackingInfo(s *session, _ [][]byte) {
	s.out.mapping(3)
	s.out.text("flags")
	s.out.set(1)
	s.out.text("off")
	s.out.text("redirect")
	s.out.int(-1)
	s.out.text("prefixes")
	s.out.array(0)
}

func clientCaching(s *session, args [][]byte) {
	if !is(args[2], "YES") && !is(args[2], "NO") {
		s.fail(errSyntax)
		return
	}
	s.fail("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
}

func clientHelp(s *session, _ [][]byte) {
	s.help("CLIENT",
		"GETNAME",
		"    Return the name of the current connection.",
		"ID",
		"    Return the ID of the current connection.",
		"INFO",
		"    Return information about the current client connection.",
		"KILL <ip:port>",
		"    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]",
		"    Kill connections: ADDR <ip:port>, LADDR <ip:port>, TYPE normal, USER default, SKIPME (YES|NO), ID <id>.",
		"LIST [TYPE normal | ID <id> [<id> ...]]",
		"    Return information about client connections of this node.",
		"REPLY (ON|OFF|SKIP)",
		"    Control the replies sent to the current connection.",
		"SETINFO (LIB-NAME|LIB-VER) <value>",
		"    Say which library the client uses.",
		"SETNAME <name>",
		"    Assign the name <name> to the current connection.")
}
