package resp

import (
	"strings"
	"testing"
)

// The commands of a transaction are carried out in one call.
func TestTransactionIsOneCall(t *testing.T) {
	_, store, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("MULTI\r\nSET a 1\r\nINCR a\r\nMGET a b\r\nGET a\r\n", "+OK\r\n"+strings.Repeat("+QUEUED\r\n", 4))
	if store.calls != 0 {
		t.Errorf("%d calls before EXEC", store.calls)
	}
	c.say("EXEC\r\n", "*4\r\n+OK\r\n:2\r\n*2\r\n$1\r\n2\r\n$-1\r\n$1\r\n2\r\n")
	if store.calls != 1 {
		t.Errorf("%d calls, want 1", store.calls)
	}
}

// WATCH is refused with what to do instead, and a transaction goes on without it.
func TestWatchIsRefused(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	const refused = "-ERR WATCH is not offered, since the keys of a transaction have different owners: " +
		"SET key value IFEQ old writes only if nobody else has\r\n"
	c.say("WATCH a\r\nUNWATCH\r\n", refused+"+OK\r\n")
	c.say("MULTI\r\nWATCH a\r\nUNWATCH\r\nEXEC\r\n", "+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n*1\r\n+OK\r\n")
}

// What waits for EXEC is counted among what commands take in memory, until the transaction ends.
func TestQueueIsBounded(t *testing.T) {
	srv, _, addr := start(t, Options{MaxInBytes: 256 << 10})
	c := dial(t, addr)
	c.say("MULTI\r\n", "+OK\r\n")
	set := "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10000\r\n" + strings.Repeat("x", 10000) + "\r\n"
	for range 20 {
		c.say(set, "+QUEUED\r\n")
	}
	if held := srv.memory.in.used.Load(); held < 200000 {
		t.Errorf("%d bytes are held", held)
	}
	for range 5 {
		c.say(set, "+QUEUED\r\n")
	}
	c.say(set, "-"+errInFull.Error()+"\r\n")
	c.say("EXEC\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n")
	if held := srv.memory.in.used.Load(); held != 0 {
		t.Errorf("%d bytes are held after EXEC", held)
	}
	c.say("MULTI\r\n"+set+set+"QUIT\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n+OK\r\n")
	c.closed()
	if held := srv.memory.in.used.Load(); held != 0 {
		t.Errorf("%d bytes are held after the connection", held)
	}
}
