package kv

import (
	"bytes"
	"time"

	"github.com/zeebo/xxh3"
)

// Entry is what the cluster holds for a key: a value, or the tombstone that a
// delete leaves so that an older value cannot come back.
type Entry struct {
	Version Version

	// Expires is when the entry stops being readable, in milliseconds since
	// the Unix epoch; 0 is never. The tombstone that an expired value turns
	// into keeps it (Bury): its grace counts from there. A delete's has none.
	Expires int64

	// Tombstone marks a deleted key; Value and Meta are empty then.
	Tombstone bool

	// Meta is the value's media type, and how it is cached and coded; at most
	// MaxMetaBytes.
	Meta Meta

	Value []byte
}

// Record is an entry under its key: the unit that is stored, replicated and
// listed.
type Record struct {
	Key []byte
	Entry
}

// Hash is the one hash of a key, computed once per request: its high bits are
// the partition, its low bits find the slot (xxh3, 64 bits).
func Hash(key []byte) uint64 { return xxh3.Hash(key) }

// HashString is Hash of a key that is a string.
func HashString(key string) uint64 { return xxh3.HashString(key) }

// Exists says whether there is an entry at all. A tombstone is one.
func (e *Entry) Exists() bool { return e.Version != 0 }

// Live says whether a reader at the time nowMillis (Unix milliseconds) sees a
// value here.
func (e *Entry) Live(nowMillis int64) bool {
	return e.Version != 0 && !e.Tombstone && !e.Expired(nowMillis)
}

// Expired says whether the entry's time to live is over. An expired value
// counts as a tombstone everywhere at once.
func (e *Entry) Expired(nowMillis int64) bool {
	return e.Expires != 0 && nowMillis >= e.Expires
}

// Collectable says whether the entry no longer counts at all: it is a
// tombstone or expired, and has been for longer than grace. Such an entry is
// neither sent nor accepted, and is removed when it is met.
func (e *Entry) Collectable(nowMillis int64, grace Grace) bool {
	return (e.Tombstone || e.Expired(nowMillis)) && nowMillis >= grace.End(e)
}

// ExpiresMax is the latest expiry that HTTP and RFC 3339 can write, the end of the year 9999, Unix
// milliseconds. Clients can store none beyond it; an earlier build may have.
const ExpiresMax = 253402300799999

// ExpiryTime is an expiry as it is shown. One beyond the latest that can be written is shown as the
// latest.
func ExpiryTime(expires int64) time.Time { return time.UnixMilli(min(expires, ExpiresMax)).UTC() }

// Bury turns the entry into the tombstone of itself: same version, same
// expiry, no value.
func (e *Entry) Bury() {
	e.Tombstone, e.Value, e.Meta = true, nil, nil
}

// equal compares entries of the same version that are both tombstones or both
// values.
func (e *Entry) equal(o *Entry) bool {
	return e.Expires == o.Expires &&
		(e.Tombstone || bytes.Equal(e.Meta, o.Meta) && bytes.Equal(e.Value, o.Value))
}

// Supersedes is the merge rule: whether e takes the place of old. It is a strict total order on
// different entries, so merging by it is commutative, associative and idempotent. The higher
// version wins. At equal versions, which do not occur while members' tags differ, a tombstone beats
// a value. Between two of a kind the larger encoded record wins.
func (e *Entry) Supersedes(old *Entry) bool {
	if e.Version != old.Version {
		return e.Version > old.Version
	}
	if e.Tombstone != old.Tombstone {
		return e.Tombstone
	}
	if e.equal(old) {
		return false // the common case, a record that came twice, decided without encoding it
	}
	mine := AppendRecord(nil, &Record{Entry: *e})
	theirs := AppendRecord(nil, &Record{Entry: *old})
	return bytes.Compare(mine, theirs) > 0
}
