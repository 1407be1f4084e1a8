package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a number of bytes as people write it: 512MiB, 8MB, 64k, 1.5GiB.
// A bare letter counts in powers of 1024, as memory is sold.
type byteSize int64

var sizeUnits = map[string]int64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

// UnmarshalText reads a size; kong calls it for a flag.
func (s *byteSize) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	digits := strings.IndexFunc(in, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if digits < 0 {
		digits = len(in)
	}
	unit, ok := sizeUnits[strings.ToLower(strings.TrimSpace(in[digits:]))]
	n, err := strconv.ParseFloat(in[:digits], 64)
	if !ok || err != nil {
		return fmt.Errorf("%q is no size: use a number of bytes, or one with KiB, MiB or GiB", in)
	}
	if n *= float64(unit); n >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", in)
	}
	*s = byteSize(n)
	return nil
}

// humanBytes is n with three digits or so, for a table.
func humanBytes(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	scale, unit := unitOf(n)
	return fmt.Sprintf("%.1f %s", float64(n)/scale, unit)
}

// unitOf is the largest unit of which n is one or more, or KiB.
func unitOf(n int64) (scale float64, name string) {
	scale = 1 << 10
	for _, unit := range "KMGTPE" {
		name = string(unit) + "iB"
		if float64(n) < scale*(1<<10) {
			break
		}
		scale *= 1 << 10
	}
	return scale, name
}
