package resp

import (
	"fmt"
	"testing"

	"httpdhs/kv"
)

// FLUSHALL and FLUSHDB delete only where that is allowed.
func TestFlushIsAllowed(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	const refused = "-ERR this deletes all keys of the cluster, and the node was started with --resp-flush=no\r\n"
	c.say("SET a 1\r\nFLUSHALL\r\nFLUSHDB ASYNC\r\nEXISTS a\r\n", "+OK\r\n"+refused+refused+":1\r\n")
}

// All keys are deleted before the answer, in as many calls as it takes.
func TestFlushGoesOn(t *testing.T) {
	_, store, addr := start(t, Options{Flush: true})
	for i := range 2500 {
		store.entries[fmt.Sprint(i)] = kv.Entry{Version: 1, Value: []byte("x")}
	}
	store.clears = 1
	dial(t, addr).say("FLUSHALL\r\nDBSIZE\r\n", "+OK\r\n:0\r\n")
	if left := store.live(); left != 0 {
		t.Errorf("%d keys are left", left)
	}
}

// An error says how much was deleted before it.
func TestFlushTellsHowFarItCame(t *testing.T) {
	_, store, addr := start(t, Options{Flush: true})
	c := dial(t, addr)
	c.say("MSET a 1 b 2\r\n", "+OK\r\n")
	store.fail = func(op *kv.Op) error {
		if string(op.Key) == "b" {
			return kv.ErrUnavailable
		}
		return nil
	}
	c.say("FLUSHALL\r\n", "-UNAVAILABLE too few replicas are up (1 keys were deleted)\r\n")
}
