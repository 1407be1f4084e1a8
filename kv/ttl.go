package kv

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// ParseTTL reads a time to live: a duration as ParseDuration has it, more than zero. The longest
// is that of time.Duration, 292 years.
func ParseTTL(s string) (time.Duration, error) {
	life, ok := ParseDuration(s)
	if !ok || life == 0 {
		return 0, fmt.Errorf("ttl is %.40q: use a duration like 90s, 12h, 7d or 2w, or whole seconds, "+
			"more than zero and at most 292 years (106751d)", s)
	}
	return life, nil
}

// ParseDuration reads a duration, zero or more: one of Go, with days (d, of 24 hours) and weeks
// (w) beside its other units, such as 1h30m, 1.5d or 1w2d; or a number of whole seconds. It is
// not ok if s is none, or is longer than a time.Duration can be.
func ParseDuration(s string) (total time.Duration, ok bool) {
	if s == "" {
		return 0, false
	}
	if strings.Trim(s, "0123456789") == "" {
		s += "s"
	}
	for s != "" {
		var part time.Duration
		if part, s, ok = cutDuration(s); !ok || part > math.MaxInt64-total {
			return 0, false
		}
		total += part
	}
	return total, true
}

// cutDuration reads the number and the unit at the start of s.
func cutDuration(s string) (d time.Duration, rest string, ok bool) {
	number := s[:len(s)-len(strings.TrimLeft(s, "0123456789."))]
	unit, rest := s[len(number):], ""
	if next := strings.IndexAny(unit, "0123456789."); next >= 0 {
		unit, rest = unit[:next], unit[next:]
	}
	hours := time.Duration(1)
	switch unit {
	case "d":
		unit, hours = "h", 24
	case "w":
		unit, hours = "h", 7*24
	}
	d, err := time.ParseDuration(number + unit)
	if err != nil || d < 0 || d > math.MaxInt64/hours {
		return 0, "", false
	}
	return d * hours, rest, true
}
