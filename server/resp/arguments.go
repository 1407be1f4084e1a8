package resp

import (
	"math"
	"time"

	"httpdhs/kv"
)

const (
	errSyntax     = "ERR syntax error"
	errNotInteger = "ERR value is not an integer or out of range"
)

// is says whether an argument is a word, which is in upper case.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, c := range arg {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// integer reads an argument, or answers that it is none.
func (s *session) integer(arg []byte) (n int64, ok bool) {
	if n, ok = kv.ParseInteger(arg); !ok {
		s.fail(errNotInteger)
	}
	return n, ok
}

// timeUnit is how a client gives an expiry.
type timeUnit struct {
	name     string // the option
	millis   int64  // in it
	relative bool   // from now on
}

var (
	unitEX   = timeUnit{"EX", 1000, true}
	unitPX   = timeUnit{"PX", 1, true}
	unitEXAT = timeUnit{"EXAT", 1000, false}
	unitPXAT = timeUnit{"PXAT", 1, false}

	timeUnits = [...]*timeUnit{&unitEX, &unitPX, &unitEXAT, &unitPXAT}
)

// at is when a value expires, in Unix milliseconds; not ok: that is beyond what 64 bits can say.
func (u *timeUnit) at(n int64) (at int64, ok bool) {
	if n > math.MaxInt64/u.millis || n < math.MinInt64/u.millis {
		return 0, false
	}
	n *= u.millis
	if !u.relative {
		return n, true
	}
	now := time.Now().UnixMilli()
	if n > math.MaxInt64-now {
		return 0, false
	}
	return n + now, true
}

// expiry reads the expiry of a value that is stored, or answers what is wrong with it. It is in the
// future as it is given, though a time may be over by now.
func (s *session) expiry(command string, arg []byte, unit *timeUnit) (at int64, ok bool) {
	at, fault := expiryOf(command, arg, unit)
	if fault != "" {
		s.fail(fault)
		return 0, false
	}
	return at, true
}

func expiryOf(command string, arg []byte, unit *timeUnit) (at int64, fault string) {
	n, ok := kv.ParseInteger(arg)
	if !ok {
		return 0, errNotInteger
	}
	if at, ok = unit.at(n); !ok || n <= 0 {
		return 0, "ERR invalid expire time in '" + command + "' command"
	}
	return stored(at), ""
}

// stored is an expiry as the store takes it: 0 is none there, and it has none before the epoch.
func stored(at int64) int64 { return max(at, 1) }

// setOptions are those of SET and GETEX.
type setOptions struct {
	cond    kv.Condition
	get     bool
	keep    bool
	persist bool
	unit    *timeUnit // nil: no expiry was given
	expiry  []byte
}

// parse reads the options of SET, or those of GETEX (reading).
func (o *setOptions) parse(args [][]byte, reading bool) (ok bool) {
	for len(args) > 0 {
		n := 1
		switch arg := args[0]; {
		case !reading && is(arg, "NX") && o.allows(kv.IfAbsent):
			o.cond.Kind = kv.IfAbsent
		case !reading && is(arg, "XX") && o.allows(kv.IfPresent):
			o.cond.Kind = kv.IfPresent
		case !reading && is(arg, "IFEQ") && o.allows(kv.IfEqual) && len(args) > 1:
			o.cond.Kind, o.cond.Value, n = kv.IfEqual, args[1], 2
		case !reading && is(arg, "GET"):
			o.get = true
		case !reading && is(arg, "KEEPTTL") && o.unit == nil:
			o.keep = true
		case reading && is(arg, "PERSIST") && o.unit == nil:
			o.persist = true
		case len(args) > 1 && !o.keep && !o.persist && o.takeUnit(arg):
			o.expiry, n = args[1], 2
		default:
			return false
		}
		args = args[n:]
	}
	return true
}

func (o *setOptions) allows(kind kv.ConditionKind) bool {
	return o.cond.Kind == kv.Always || o.cond.Kind == kind
}

// takeUnit reads the name of a unit. As in Redis, one may be given twice, but not two.
func (o *setOptions) takeUnit(arg []byte) bool {
	for _, u := range timeUnits {
		if is(arg, u.name) && (o.unit == nil || o.unit == u) {
			o.unit = u
			return true
		}
	}
	return false
}
