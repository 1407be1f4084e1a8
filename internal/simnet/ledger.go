package simnet

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
)

// ledger is what a node's disk has to have, whatever ends its process: what docs/guarantees.md
// promises, worked out from what the node has stored and when, and not from what is found.
//
//	always    What was stored before a Durable that succeeded lasts.
//	interval  A process that is killed loses what it stored in the last killedWithin. A power cut
//	          takes what was stored in the last cutWithin.
//	never     A process that is killed loses as much. A power cut may take all.
//
// In all of them lasts what was there when the node had loaded and synced, and what was stored
// before a Sync that succeeded. While a disk does not take what it should, and until it has caught
// up, the bounds count from before that. While syncs fail, a process that is killed loses as much
// as a power cut takes: with never that may be all. It is for one goroutine at a time:
// notedStore.mu guards it.
type ledger struct {
	mode    disk.Sync
	entries []entry // in the order in which they were stored
	sure    int     // so many of them last, come what may
	down    bool    // the node has not loaded since it fell
	trouble []trouble
	ever    map[string]map[kv.Version]int64 // what the node has ever had: entry.dead by key and version
}

// entry is that a key was stored, or dropped.
type entry struct {
	at      time.Duration
	key     string
	version kv.Version // 0: it was dropped
	dead    int64      // when it ends to be a value, Unix milliseconds; 0: never
}

const (
	// killedWithin is what a killed process loses: what is gathered, and not written yet.
	killedWithin = 10 * time.Millisecond

	// cutWithin is what a power cut takes, with a sync each second.
	cutWithin = syncEvery + 2*killedWithin

	// catchUp is how long a disk that works again takes until all lasts that should: a second until
	// it is tried again, as long to begin to write all again, and a sync.
	catchUp = 5 * time.Second
)

// trouble is a time in which the disk did not do what it should.
type trouble struct {
	Span
	kind FaultKind
}

func newLedger(mode disk.Sync) *ledger {
	return &ledger{mode: mode, ever: make(map[string]map[kv.Version]int64)}
}

func (l *ledger) stored(e entry) {
	l.entries = append(l.entries, e)
	if l.ever[e.key] == nil {
		l.ever[e.key] = make(map[kv.Version]int64)
	}
	l.ever[e.key][e.version] = e.dead
}

// copy is the ledger of a copy of the disk.
func (l *ledger) copy() *ledger {
	with := *l
	with.entries = append([]entry(nil), l.entries...)
	with.ever = make(map[string]map[kv.Version]int64)
	for key, versions := range l.ever {
		with.ever[key] = maps.Clone(versions)
	}
	return &with
}

// before is how many entries were stored by now less a time, or as much earlier as the disk was in
// trouble.
func (l *ledger) before(now, within time.Duration, power bool) (n int) {
	until := now - within
	for _, t := range l.trouble {
		switch open := t.To == Never || t.To+catchUp > now; {
		case !open, t.kind == SlowDisk && !power:
		case t.kind == Unsyncable && l.mode == disk.SyncNever: // nobody knows when the last sync was
			return l.sure
		case t.kind == Unsyncable: // what was written and not synced is not believed any more
			until = min(until, t.From-cutWithin)
		default:
			until = min(until, t.From-within)
		}
	}
	for n < len(l.entries) && l.entries[n].at <= until {
		n++
	}
	return max(n, l.sure)
}

// fall is what happens to the disk when its node is killed, or when the power is cut: what need not
// last is taken out. What is left of it lasts a process that is killed again, but no power cut.
func (l *ledger) fall(now time.Duration, power bool) {
	cut, killed := l.sure, l.sure
	switch {
	case l.down: // nobody has written or synced since
		killed = len(l.entries)
	case l.mode == disk.SyncInterval:
		cut, killed = l.before(now, cutWithin, true), l.before(now, killedWithin, false)
	case l.mode == disk.SyncNever:
		killed = l.before(now, killedWithin, false)
	}
	l.sure, l.down = min(cut, killed), true
	if power {
		killed = l.sure
	}
	l.keep(killed)
}

// keep takes out all entries but the first. A drop may have lasted, or not.
func (l *ledger) keep(n int) {
	rest := l.entries[n:]
	l.entries = l.entries[:n]
	for _, e := range rest {
		if e.version == 0 {
			l.entries = append(l.entries, e)
		}
	}
}

// lasts is what the disk has at least of a key.
func (l *ledger) lasts(key string) entry { return newestOf(l.entries, key) }

// newestOf is what a key has after some entries.
func newestOf(entries []entry, key string) (newest entry) {
	for _, e := range entries {
		switch {
		case e.key != key:
		case e.version == 0:
			newest = entry{}
		case e.version > newest.version:
			newest = e
		}
	}
	return newest
}

// troubled says whether the disk does not do what it should, or has still to catch up.
func (l *ledger) troubled(now time.Duration) bool {
	n := len(l.trouble)
	return n > 0 && (l.trouble[n-1].To == Never || l.trouble[n-1].To+catchUp > now)
}

// loaded is what a node has loaded, which it syncs before it takes part. A disk that is in trouble
// may not take that sync: then what was sure before still is, and no more.
func (l *ledger) loaded(all []entry, now time.Duration) {
	l.down = false
	if slices.ContainsFunc(l.trouble, func(t trouble) bool { return t.kind != SlowDisk && (t.To == Never || t.To+catchUp > now) }) {
		var sure []entry // of a key that is gone, a drop has lasted
		for _, e := range all {
			if s := newestOf(l.entries[:l.sure], e.key); s.version != 0 {
				sure = append(sure, s)
			}
		}
		l.entries, l.sure = append(sure, all...), len(sure)
		return
	}
	l.entries, l.sure = all, len(all)
}

// emptied is that a node has given up all that it had, and synced that.
func (l *ledger) emptied() { l.entries, l.sure, l.down = nil, 0, false }

// wrong says what is wrong with what was loaded of a key. What is dead since before a time, Unix
// milliseconds, may have been collected.
func (l *ledger) wrong(key string, v kv.Version, collected int64) string {
	last := l.lasts(key)
	_, had := l.ever[key][v]
	switch {
	case v == 0 && (last.version == 0 || l.mayBeCollected(last, collected)), v != 0 && v >= last.version && had:
		return ""
	case v < last.version:
		return fmt.Sprintf("has loaded version %x of %s, and had to keep %x, stored at %.6f", uint64(v), key, uint64(last.version), last.at.Seconds())
	}
	return fmt.Sprintf("has loaded version %x of %s, which it never had", uint64(v), key)
}

// mayBeCollected says whether an entry, or a newer one, is dead since before a time.
func (l *ledger) mayBeCollected(e entry, since int64) bool {
	for v, dead := range l.ever[e.key] {
		if v >= e.version && dead != 0 && dead <= since {
			return true
		}
	}
	return false
}
