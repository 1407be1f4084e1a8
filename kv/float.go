package kv

import (
	"bytes"
	"math/big"
)

// Numbers with a fraction are those of Redis: the long double of x86, with 64 bits of mantissa. It
// is written with so many digits after the point, without zeros at its end.
const (
	floatBits   = 64
	floatDigits = 17

	// A number has to be below two to the power of the first, or it is infinite in Redis. One that
	// is not above two to the power of the second is zero.
	floatExponentMax = 16384
	floatExponentMin = -16446

	// floatBytesMax is what the text of a number has to be shorter than.
	floatBytesMax = 5 << 10

	// floatPowerMax bounds the power of ten, or two, of the first digit of a number that is looked
	// at. What is beyond is too large, or zero.
	floatPowerMax = 20000
)

func newFloat() *big.Float { return new(big.Float).SetPrec(floatBits) }

// incrFloat adds a number to a number.
func (s *state) incrFloat(by []byte) error {
	sum, more := newFloat(), newFloat()
	if s.live() && !parseFloat(sum, s.entry.Value) || !parseFloat(more, by) {
		return ErrNotFloat
	}
	if sum.IsInf() || more.IsInf() {
		return ErrInfinite // and Inf-Inf would be a panic
	}
	if sum.Add(sum, more); sum.MantExp(nil) > floatExponentMax {
		return ErrInfinite
	}
	text := sum.Append(s.value[:0], 'f', floatDigits)
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	if text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	if string(text) == "-0" {
		text = append(text[:0], '0')
	}
	s.set(text)
	return nil
}

// ValidFloat says whether the text is a number that OpIncrFloat knows. It does not add infinity.
func ValidFloat(text []byte) bool { return parseFloat(newFloat(), text) }

// parseFloat reads a number as strtold of C does: decimal or hexadecimal, with an exponent or
// without, or infinity. It is rounded once. What is too large is no number, nor is what is so small
// that it is rounded to zero.
func parseFloat(f *big.Float, text []byte) bool {
	if len(text) == 0 || len(text) >= floatBytesMax {
		return false
	}
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	if bytes.EqualFold(text, []byte("inf")) || bytes.EqualFold(text, []byte("infinity")) {
		f.SetInf(negative)
		return true
	}
	base, marks := 10, "eE"
	if len(text) > 2 && text[0] == '0' && text[1]|' ' == 'x' {
		base, marks, text = 16, "pP", text[2:]
	}
	power := 0
	if at := bytes.IndexAny(text, marks); at >= 0 {
		var ok bool
		if power, ok = parseExponent(text[at+1:]); !ok {
			return false
		}
		text = text[:at]
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	digits := append(append(make([]byte, 0, len(text)), whole...), fraction...)
	if len(digits) == 0 || !areDigits(digits, base) || !scale(f, digits, base, power, len(fraction)) {
		return false
	}
	if negative {
		f.Neg(f)
	}
	return true
}

// parseExponent reads what is behind an e or a p. It is cut where it does not matter any more.
func parseExponent(text []byte) (n int, ok bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative || len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(10*n+int(c-'0'), 10*floatPowerMax)
	}
	if negative {
		n = -n
	}
	return n, len(text) > 0
}

func areDigits(text []byte, base int) bool {
	for _, c := range text {
		if !(c >= '0' && c <= '9' || base == 16 && c|' ' >= 'a' && c|' ' <= 'f') {
			return false
		}
	}
	return true
}

// scale makes f the number of the digits, of which so many are behind the point, times a power: of
// two if they are hexadecimal, else of ten. false: it is too large, or rounded to zero.
func scale(f *big.Float, digits []byte, base, power, behind int) bool {
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) == 0 {
		f.SetInt64(0)
		return true
	}
	n, ok := new(big.Int).SetString(string(digits), base)
	if !ok {
		panic("BUG: kv: digits that are none")
	}
	switch {
	case base == 16:
		f.SetMantExp(f.SetInt(n), power-4*behind)
	case len(digits)+power-behind > floatPowerMax, len(digits)+power-behind < -floatPowerMax:
		return false
	case power >= behind:
		f.SetInt(n.Mul(n, tenTo(power-behind)))
	default:
		f.Quo(new(big.Float).SetInt(n), new(big.Float).SetInt(tenTo(behind-power))) // rounds once
	}
	least := new(big.Float).SetMantExp(big.NewFloat(1), floatExponentMin)
	return f.MantExp(nil) <= floatExponentMax && f.Cmp(least) > 0
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
