package kv

import (
	"strconv"
	"sync/atomic"
	"time"
)

// Version orders the writes of a key. It is a hybrid logical clock reading
// (Kulkarni et al., "Logical Physical Clocks", 2014) in 64 bits:
//
//	bits 63..22  wall time, milliseconds since the Unix epoch (until 2109)
//	bits 21..10  fraction of the millisecond in 1/4096 (244 ns), which is also
//	             the logical counter
//	bits  9..0   tag of the member that stamped it
//
// The counter doubles as the fraction. So two writes of one client through two nodes of one
// machine, microseconds apart, are ordered as they were made. With a counter that restarts each
// millisecond they would be ordered by chance. Zero is no version: nothing was ever written.
type Version uint64

const (
	versionTagBits      = 10
	versionFractionBits = 12
	versionMillisShift  = versionTagBits + versionFractionBits

	// MaxTag is the largest member tag that a Version can carry.
	MaxTag = 1<<versionTagBits - 1

	nanosPerMilli = int64(time.Millisecond)
)

// VersionAt is the smallest version of the given wall time.
func VersionAt(t time.Time) Version {
	ms, ns := t.UnixMilli(), int64(t.Nanosecond())%nanosPerMilli
	fraction := uint64(ns<<versionFractionBits) / uint64(nanosPerMilli)
	return Version(uint64(ms)<<versionMillisShift | fraction<<versionTagBits)
}

// Millis is the wall time of the version in milliseconds since the Unix epoch.
func (v Version) Millis() int64 { return int64(v >> versionMillisShift) }

// Time is the wall time of the version, exact to the millisecond.
func (v Version) Time() time.Time { return time.UnixMilli(v.Millis()) }

// Instant is the wall time of the version, exact to its fraction of a millisecond.
func (v Version) Instant() time.Time {
	fraction := int64(v>>versionTagBits) & (1<<versionFractionBits - 1)
	return v.Time().Add(time.Duration(fraction * nanosPerMilli >> versionFractionBits))
}

// Tag is the tag of the member that stamped the version.
func (v Version) Tag() uint16 { return uint16(v & MaxTag) }

// AppendETag appends the version as a strong entity tag, quotes included.
func (v Version) AppendETag(dst []byte) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, uint64(v), 16)
	return append(dst, '"')
}

// ParseETag reads what AppendETag wrote. A weak tag or one that is not ours
// is not ok: it names no version.
func ParseETag(s string) (v Version, ok bool) {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:len(s)-1], 16, 64)
	if err != nil || n == 0 {
		return 0, false
	}
	// Entity tags are compared byte by byte: neither "0a" nor "A" is "a".
	var buf [18]byte
	return Version(n), string(Version(n).AppendETag(buf[:0])) == s
}

// Clock stamps versions: a hybrid logical clock. Each Now is larger than every version that this
// clock stamped or observed before. So a member that has seen a write always stamps later ones
// above it, whatever its wall clock says. Safe for concurrent use.
type Clock struct {
	last    atomic.Uint64 // the last version without its tag
	resumed atomic.Uint64 // the highest that was stored before the start, without its tag
	tag     atomic.Uint64
	lead    atomic.Int64 // nanoseconds
	wall    func() time.Time
}

// NewClock makes a clock that reads wall and marks its versions with tag
// (at most MaxTag; members of a cluster have different tags).
func NewClock(tag uint16, wall func() time.Time) *Clock {
	c := &Clock{wall: wall}
	c.SetTag(tag)
	return c
}

// SetTag changes the tag of the versions to come. The last that was stamped stays the last.
func (c *Clock) SetTag(tag uint16) {
	if tag > MaxTag {
		panic("BUG: kv: clock tag does not fit a version")
	}
	c.tag.Store(uint64(tag))
}

// Now stamps a new version.
func (c *Clock) Now() Version { return c.Reserve(1) }

// Reserve stamps n new versions and returns the first: the others follow by
// Next. The wall clock is read once.
func (c *Clock) Reserve(n int) Version {
	wall := uint64(VersionAt(c.Reading()))
	for {
		last := c.last.Load()
		// A burst of more than 4096 stamps in a millisecond carries into the
		// milliseconds: the clock runs ahead of the wall until it catches up.
		next := max(wall, last+1<<versionTagBits)
		if c.last.CompareAndSwap(last, next+uint64(n-1)<<versionTagBits) {
			return Version(next | c.tag.Load())
		}
	}
}

// Next is the version after v by the same member.
func (v Version) Next() Version { return v + 1<<versionTagBits }

// MaxAhead bounds how far ahead of its own wall clock a member believes
// another: past that a clock is wrong, and following it would spread the fault
// to every version that is stamped from then on.
const MaxAhead = time.Minute

// MaxApart is how far a node's clock may be from those of the members before it is moved there.
// Half of it is what time daemons keep within on the worst of days.
const MaxApart = 500 * time.Millisecond

// Observe makes every later Now larger than v. A version that is further than
// MaxAhead ahead of the wall clock is not believed: false, and nothing changes.
func (c *Clock) Observe(v Version) bool {
	seen := uint64(v) &^ MaxTag
	last := c.last.Load()
	if seen > last && v.Millis() > c.wall().UnixMilli()+MaxAhead.Milliseconds() {
		return false
	}
	raise(&c.last, seen)
	return true
}

// Resume makes every later Now larger than v, however far ahead that is: this member has stored it
// before it was started.
func (c *Clock) Resume(v Version) {
	seen := uint64(v) &^ MaxTag
	raise(&c.resumed, seen)
	raise(&c.last, seen)
}

// raise makes the value seen, if it is less.
func raise(value *atomic.Uint64, seen uint64) {
	for v := value.Load(); seen > v && !value.CompareAndSwap(v, seen); {
		v = value.Load()
	}
}

// Resumed is the largest version that Resume was given, without a tag; 0: there was none. No other
// member can change it.
func (c *Clock) Resumed() Version { return Version(c.resumed.Load()) }

// Last is the largest version that the clock stamped or observed, without a
// tag: what a member tells its peers so that their clocks follow.
func (c *Clock) Last() Version { return Version(c.last.Load()) }

// Wall is the clock's wall time.
func (c *Clock) Wall() time.Time { return c.wall() }

// SetLead has the clock stamp by a time that is d ahead of its wall clock, as that of another
// member is.
func (c *Clock) SetLead(d time.Duration) { c.lead.Store(int64(d)) }

// Lead is what SetLead has set.
func (c *Clock) Lead() time.Duration { return time.Duration(c.lead.Load()) }

// Reading is the time by which the clock stamps. A version is later than that only where the
// clock has observed a later one.
func (c *Clock) Reading() time.Time { return c.wall().Add(c.Lead()) }
