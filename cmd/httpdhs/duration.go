package main

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"httpdhs/kv"
)

// ttl is how long a value is kept, as ?ttl= has it; here also 0, for ever.
type ttl time.Duration

// UnmarshalText reads a ttl; kong calls it for a flag.
func (t *ttl) UnmarshalText(text []byte) error {
	if d, ok := kv.ParseDuration(string(text)); ok && d == 0 {
		*t = 0
		return nil
	}
	d, err := kv.ParseTTL(string(text))
	*t = ttl(d)
	return err
}

// decodeDuration reads the time.Duration of a flag, zero or more, with days and weeks too. A number
// without a unit is refused, since nobody can tell what it means. The error names the unit that is
// likely meant.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := textOf(ctx)
	if err != nil {
		return err
	}
	d, ok := kv.ParseDuration(text)
	switch {
	case !ok:
		return fmt.Errorf("%q is no duration: use one like 500ms, 90s, 5m, 12h or 7d", text)
	case d != 0 && strings.Trim(text, "0123456789") == "":
		return fmt.Errorf("%s has no unit: did you mean %s%s?", text, text, likelyUnit(ctx.Value, d.Seconds()))
	}
	target.SetInt(int64(d))
	return nil
}

// likelyUnit is the unit that makes n nearest to the flag's default, of seconds, milliseconds, and
// the one in its tag meant: of --evict-after, 5m by default, 5 is 5m, and 300 is 300s.
func likelyUnit(flag *kong.Value, n float64) string {
	usual, _ := kv.ParseDuration(cmp.Or(flag.Default, flag.Tag.PlaceHolder))
	if usual == 0 {
		return "s"
	}
	best, least := "", math.Inf(1)
	for _, unit := range []string{cmp.Or(flag.Tag.Get("meant"), "s"), "s", "ms"} {
		one, _ := kv.ParseDuration("1" + unit)
		if off := math.Abs(math.Log(n * one.Seconds() / usual.Seconds())); off < least {
			best, least = unit, off
		}
	}
	return best
}
