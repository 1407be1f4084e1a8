package resp

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

func waitCommands() []command {
	return []command{
		{name: "wait", arity: 3, flags: acts, run: wait},
		{name: "httpdhs.level", arity: -1, flags: acts, run: setLevels},
	}
}

// wrote is what WAIT goes by: the writes of the connection that not all replicas are known to have.
type wrote struct {
	short []shortWrite
	least int // replicas that have one of those that there was no room for; 0: there was
}

// shortWrite is a write that too few replicas have acknowledged so far.
type shortWrite struct {
	key     []byte
	version kv.Version
	acks    int
}

// shortMax bounds the writes that are remembered.
const shortMax = 64

// noteWrites remembers the writes of a call that not all replicas have acknowledged.
func (s *session) noteWrites(call *kv.Call) {
	for i := range call.Ops {
		if op := &call.Ops[i]; op.Kind != kv.OpGet && op.Err == nil && op.Acks < op.Replicas && !op.Kept {
			s.wrote.add(op)
		}
	}
}

func (w *wrote) add(op *kv.Op) {
	for i := range w.short {
		if bytes.Equal(w.short[i].key, op.Key) {
			w.short[i].version, w.short[i].acks = op.Version, op.Acks
			return
		}
	}
	if len(w.short) < shortMax {
		w.short = append(w.short, shortWrite{bytes.Clone(op.Key), op.Version, op.Acks})
		return
	}
	if w.least == 0 || op.Acks < w.least {
		w.least = op.Acks
	}
}

// replicas is how many replicas have all writes, of so many at most.
func (w *wrote) replicas(most int) int {
	if w.least > 0 {
		most = min(most, w.least)
	}
	for i := range w.short {
		most = min(most, w.short[i].acks)
	}
	return most
}

// look asks the owners of the keys what they hold by now. What all have is forgotten.
func (w *wrote) look(cluster Cluster, deadline time.Time) {
	kept := w.short[:0]
	for _, short := range w.short {
		if time.Now().Before(deadline) {
			doc := cluster.Key(short.key, deadline)
			n := holders(&doc, short.version)
			if short.acks = max(short.acks, n); len(doc.Owners) > 0 && n == len(doc.Owners) {
				continue
			}
		}
		kept = append(kept, short)
	}
	clear(w.short[len(kept):])
	w.short = kept
}

// holders counts the owners that have a version, or a later one.
func holders(doc *api.Key, version kv.Version) (n int) {
	for i := range doc.Owners {
		o := &doc.Owners[i]
		if v, ok := kv.ParseETag(`"` + o.Version + `"`); o.Error == "" && ok && v >= version {
			n++
		}
	}
	return n
}

// waitEvery is how often WAIT asks the owners.
const waitEvery = 20 * time.Millisecond

// wait answers how many replicas beyond one have the connection's writes. It waits until these are
// as many as were asked for, or until its time is over. Without a time that is the timeout of an
// operation, since nobody may ever come.
func wait(s *session, args [][]byte) {
	millis, ok := kv.ParseInteger(args[2])
	switch {
	case !ok:
		s.fail("ERR timeout is not an integer or out of range")
		return
	case millis < 0:
		s.fail("ERR timeout is negative")
		return
	}
	want, ok := s.integer(args[1])
	if !ok {
		return
	}
	limit := s.srv.opts.Timeout
	if millis > 0 && millis < math.MaxInt64/int64(time.Millisecond) {
		limit = time.Duration(millis) * time.Millisecond
	}
	deadline := time.Now().Add(limit)
	have := func() int64 { return int64(s.wrote.replicas(s.replicasElsewhere()+1) - 1) }
	for have() < want && len(s.wrote.short) > 0 {
		s.wrote.look(s.srv.cluster, deadline)
		// Within EXEC nothing is waited for, as in Redis.
		if have() >= want || s.holding || !s.pause(waitEvery, deadline) {
			break
		}
	}
	s.out.int(max(have(), 0))
}

// pause waits a while, if there is time for it.
func (s *session) pause(d time.Duration, deadline time.Time) bool {
	if d = min(d, time.Until(deadline)); d <= 0 {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.srv.stop:
		return false
	}
}

// setLevels sets how many replicas the commands of the connection wait for from now on. Without
// arguments it tells.
func setLevels(s *session, args [][]byte) {
	if len(args) == 1 {
		s.out.mapping(2)
		s.out.text("w")
		s.out.text(levelName(s.write, "live"))
		s.out.text("r")
		s.out.text(levelName(s.read, "one"))
		return
	}
	write, read := s.write, s.read
	for _, arg := range args[1:] {
		name, value, _ := bytes.Cut(arg, []byte("="))
		var err error
		switch {
		case is(name, "W"):
			write, err = kv.ParseWriteLevel(string(value))
		case is(name, "R"):
			read, err = kv.ParseReadLevel(string(value))
		default:
			s.fail("ERR the levels are w=LEVEL, of writes, and r=LEVEL, of reads")
			return
		}
		if err != nil {
			s.fail("ERR " + err.Error())
			return
		}
	}
	s.write, s.read = write, read
	s.out.ok()
}

// levelName is a level as HTTPDHS.LEVEL takes it.
func levelName(l kv.Level, usual string) string {
	switch l {
	case 0:
		return usual
	case kv.LevelOne:
		return "one"
	case kv.LevelQuorum:
		return "quorum"
	case kv.LevelAll:
		return "all"
	case kv.LevelLive:
		return "live"
	}
	return strconv.Itoa(int(l))
}
