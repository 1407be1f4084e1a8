package resp

import "testing"

// Where there is a password, nothing is answered before it was sent, but what it is sent by.
func TestPasswordComesFirst(t *testing.T) {
	_, store, addr := start(t, Options{AuthToken: "s3cret"})
	c := dial(t, addr)
	const noAuth = "-NOAUTH Authentication required.\r\n"
	for _, command := range []string{
		"PING", "SET a 1", "MULTI", "EXEC", "CLIENT LIST", "CLUSTER SLOTS", "INFO", "SCRIPT FLUSH", "FLUSHALL", "COMMAND", "WAIT 0 0",
		"HTTPDHS.LEVEL",
	} {
		c.say(command+"\r\n", noAuth)
	}
	c.say("HELLO 3\r\n", "-"+errNoHello+"\r\n")
	for _, command := range []string{"AUTH wrong", "AUTH default wrong", "AUTH other s3cret", "HELLO 3 AUTH default wrong", "AUTH ''"} {
		c.say(command+"\r\n", "-"+errWrongPass+"\r\n")
	}
	c.say("GET a\r\n", noAuth)
	if store.calls > 0 {
		t.Error("the store was asked")
	}
	c.say("AUTH s3cret\r\nPING\r\n", "+OK\r\n+PONG\r\n")
	c.say("RESET\r\nPING\r\n", "+RESET\r\n"+noAuth)
	c.say("AUTH default s3cret\r\nPING\r\n", "+OK\r\n+PONG\r\n")

	c = dial(t, addr)
	c.say("HELLO 3 AUTH default s3cret\r\n", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:2\r\n"+
		"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n")
	c.say("GET a\r\n", "_\r\n")
}

// There is one database.
func TestOtherDatabasesAreRefused(t *testing.T) {
	_, _, addr := start(t, Options{})
	dial(t, addr).say("SELECT 0\r\nSELECT 1\r\n",
		"+OK\r\n-ERR there is one database, 0: instead of another, use keys with a prefix of their own\r\n")
}
