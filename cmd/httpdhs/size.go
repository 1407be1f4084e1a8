package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
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

// Decode reads the size of a flag; kong calls it. A number without a unit that is less than the
// flag's tag least is more likely one of the unit in its tag meant. So 64 for --max-memory is taken
// to mean 64MiB, and not 64 bytes, which hold nothing. Who means bytes writes 64B. A large number
// is a number of bytes, since nobody means 1000000MiB. The flag's check says if it is too few.
func (s *byteSize) Decode(ctx *kong.DecodeContext) error {
	text, err := textOf(ctx)
	if err != nil {
		return err
	}
	return s.read(text, ctx.Value.Tag)
}

// read reads the size of a flag that has this tag.
func (s *byteSize) read(text string, of *kong.Tag) error {
	if err := s.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	var least byteSize
	if tag := of.Get("least"); tag != "" {
		if err := least.UnmarshalText([]byte(tag)); err != nil {
			panic("BUG: a tag of a flag: " + err.Error())
		}
	}
	const fewest = 64 << 10
	if text = strings.TrimSpace(text); *s > 0 && *s < min(least, fewest) && strings.Trim(text, "0123456789.") == "" {
		if text == "1" {
			return fmt.Errorf("1 is 1 byte: did you mean 1%s? Write 1B if not", of.Get("meant"))
		}
		return fmt.Errorf("%[1]s is %[1]s bytes: did you mean %[1]s%[2]s? Write %[1]sB if not", text, of.Get("meant"))
	}
	return nil
}

// UnmarshalText reads a size.
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
		return fmt.Errorf("%q is too large: want less than 8 EiB", in)
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
