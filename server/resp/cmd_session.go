package resp

import (
	"crypto/sha256"
	"crypto/subtle"
	"math"

	"httpdhs/kv"
)

// sessionCommands are those that say who the client is, and what it has agreed on.
func sessionCommands() []command {
	const common = acts
	return []command{
		{name: "hello", arity: -1, flags: common | forGuests, run: hello},
		{name: "auth", arity: -2, flags: common | forGuests, run: auth},
		{name: "reset", arity: 1, flags: common | forGuests | aside, run: reset},
		{name: "select", arity: 2, flags: acts, run: selectDatabase},

		// Any node answers for any key: there is nothing to ask for.
		{name: "readonly", arity: 1, flags: acts, run: sayOK},
		{name: "readwrite", arity: 1, flags: acts, run: sayOK},
		{name: "asking", arity: 1, flags: acts, run: sayOK},
	}
}

func sayOK(s *session, _ [][]byte) { s.out.ok() }

// What HELLO and INFO say that this is. Libraries choose commands by the version of a server that
// is called redis, and take an unknown name for an unknown server.
//
// The mode is standalone although CLUSTER answers. A library that reads "cluster" here refuses
// commands on keys of several slots, which any node carries out. Those that want to know the nodes
// ask CLUSTER, and look at cluster_enabled of INFO at most.
const (
	redisServer  = "redis"
	redisVersion = "7.0.15"
	redisMode    = "standalone"
)

const (
	errWrongPass = "WRONGPASS invalid username-password pair or user is disabled."
	errNoHello   = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> " +
		"option can be used to authenticate the client and select the RESP protocol version at the same time"
	errNoPassword = "ERR AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?"
)

func hello(s *session, args [][]byte) {
	version, ok := s.helloVersion(args)
	if !ok || len(args) > 2 && !s.helloOptions(args[2:]) {
		return
	}
	if !s.authed {
		s.fail(errNoHello)
		return
	}
	s.speak(version == 3)
	s.present()
	s.out.mapping(7)
	s.out.text("server")
	s.out.text(redisServer)
	s.out.text("version")
	s.out.text(redisVersion)
	s.out.text("proto")
	s.out.int(version)
	s.out.text("id")
	s.out.int(s.id)
	s.out.text("mode")
	s.out.text(redisMode)
	s.out.text("role")
	s.out.text("master")
	s.out.text("modules")
	s.out.array(0)
}

// helloVersion is the version of the protocol that the client asks for, or speaks.
func (s *session) helloVersion(args [][]byte) (version int64, ok bool) {
	if len(args) < 2 {
		if s.resp3 {
			return 3, true
		}
		return 2, true
	}
	if version, ok = kv.ParseInteger(args[1]); !ok {
		s.fail("ERR Protocol version is not an integer or out of range")
		return 0, false
	}
	if version != 2 && version != 3 {
		s.fail("NOPROTO unsupported protocol version")
		return 0, false
	}
	return version, true
}

// helloOptions carries the options of HELLO out, up to the first that is wrong.
func (s *session) helloOptions(options [][]byte) bool {
	for len(options) > 0 {
		n := 0
		switch {
		case is(options[0], "AUTH") && len(options) > 2:
			if !s.authenticate(options[1], options[2]) {
				return false
			}
			n = 3
		case is(options[0], "SETNAME") && len(options) > 1:
			if !s.setName(options[1]) {
				return false
			}
			n = 2
		default:
			s.failf("Syntax error in HELLO option '%s'", printable(options[0]))
			return false
		}
		options = options[n:]
	}
	return true
}

func auth(s *session, args [][]byte) {
	switch {
	case len(args) > 3:
		s.fail(errSyntax)
	case len(args) == 3:
		if s.authenticate(args[1], args[2]) {
			s.out.ok()
		}
	case s.srv.opts.AuthToken == "":
		s.fail(errNoPassword)
	case s.authenticate([]byte(defaultUser), args[1]):
		s.out.ok()
	}
}

// defaultUser is the only user there is.
const defaultUser = "default"

// authenticate lets the client in, or answers that it may not. How long that takes does not depend
// on the password.
func (s *session) authenticate(user, password []byte) bool {
	token := s.srv.opts.AuthToken
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256(password)
	right := token == "" || subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if !right || string(user) != defaultUser {
		s.fail(errWrongPass)
		return false
	}
	s.authed = true
	return true
}

// reset makes the session what it was when the connection was opened.
func reset(s *session, _ [][]byte) {
	s.discard()
	s.authed = s.srv.opts.AuthToken == ""
	s.write, s.read = s.srv.opts.Write, s.srv.opts.Read
	s.name = ""
	s.mute, s.muted = false, false
	s.wrote = wrote{}
	s.speak(false)
	s.present()
	s.out.simple("RESET")
}

func selectDatabase(s *session, args [][]byte) {
	n, ok := s.integer(args[1])
	switch {
	case !ok:
	case n < math.MinInt32 || n > math.MaxInt32:
		s.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n == 0:
		s.out.ok()
	case n < 0 || n > 15:
		s.fail("ERR DB index is out of range")
	default:
		s.fail("ERR there is one database, 0: instead of another, use keys with a prefix of their own")
	}
}
