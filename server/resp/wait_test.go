package resp

import (
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// WAIT counts the replicas that have all writes of the connection. It asks the owners where not all
// have acknowledged.
func TestWaitCountsReplicas(t *testing.T) {
	var owners []api.KeyOwner
	looks := 0
	store, addr, _ := startThree(t, Options{Timeout: time.Minute}, func() api.Key {
		looks++
		if looks == 3 {
			owners[1].Version = owners[0].Version
		}
		return api.Key{Owners: owners}
	})
	c := dial(t, addr)
	c.say("WAIT 2 10\r\n", ":2\r\n") // nothing was written, and three replicas are up
	c.say("WAIT 9 60000\r\n", ":2\r\n")

	tag := func() string { return string(store.version.AppendETag(nil)[1 : len(store.version.AppendETag(nil))-1]) }
	store.acks, store.replicas = 3, 3
	c.say("SET a 1\r\nWAIT 2 60000\r\n", "+OK\r\n:2\r\n")
	store.acks = 1
	older := tag()
	c.say("SET a 2\r\n", "+OK\r\n")
	owners = []api.KeyOwner{{Found: true, Version: tag()}, {Found: true, Version: older}, {Error: "down", Version: tag()}}
	c.say("WAIT 0 60000\r\n", ":0\r\n")
	if looks != 0 {
		t.Errorf("the owners were asked %d times", looks)
	}
	c.say("WAIT 1 60000\r\n", ":1\r\n")
	if looks != 3 {
		t.Errorf("the owners were asked %d times, want 3", looks)
	}
	c.say("WAIT 2 1\r\n", ":1\r\n") // the third stays down
	c.say("MULTI\r\nWAIT 9 100000\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
	owners[2] = owners[0]
	c.say("WAIT 2 60000\r\nMULTI\r\nWAIT 9 60000\r\nEXEC\r\n", ":2\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n")
	c.say("WAIT x 1\r\nWAIT 1 x\r\nWAIT 1 -1\r\n", "-ERR value is not an integer or out of range\r\n"+
		"-ERR timeout is not an integer or out of range\r\n-ERR timeout is negative\r\n")
}

// What WAIT remembers is bounded. A write that there was no room for counts with what it had.
func TestWaitRemembersSome(t *testing.T) {
	var w wrote
	for i := range shortMax + 5 {
		w.add(&kv.Op{Acks: 2, Replicas: 3, Record: kv.Record{Key: []byte{byte(i)}}})
	}
	if len(w.short) != shortMax || w.replicas(3) != 2 {
		t.Errorf("%d writes, %d replicas", len(w.short), w.replicas(3))
	}
	w.short = nil
	if w.replicas(3) != 2 {
		t.Errorf("%d replicas have all writes, want 2", w.replicas(3))
	}
}

// A connection has levels of its own.
func TestLevels(t *testing.T) {
	_, store, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("HTTPDHS.LEVEL\r\n", "*4\r\n$1\r\nw\r\n$4\r\nlive\r\n$1\r\nr\r\n$3\r\none\r\n")
	c.say("httpdhs.level w=quorum R=2\r\nHTTPDHS.LEVEL\r\n", "+OK\r\n*4\r\n$1\r\nw\r\n$6\r\nquorum\r\n$1\r\nr\r\n$1\r\n2\r\n")
	c.say("SET a 1\r\n", "+OK\r\n")
	if store.write != kv.LevelQuorum || store.read != 2 {
		t.Errorf("levels %d and %d", store.write, store.read)
	}
	c.say("HTTPDHS.LEVEL w=all r=live\r\n", "-ERR r is \"live\": use one, quorum, all or a number of replicas\r\n")
	c.say("HTTPDHS.LEVEL x=1\r\n", "-ERR the levels are w=LEVEL, of writes, and r=LEVEL, of reads\r\n")
	c.say("HTTPDHS.LEVEL w=all\r\nRESET\r\nHTTPDHS.LEVEL\r\n", "+OK\r\n+RESET\r\n*4\r\n$1\r\nw\r\n$4\r\nlive\r\n$1\r\nr\r\n$3\r\none\r\n")
}
