package server

import (
	"errors"
	"fmt"

	"httpdhs/kv"
)

var (
	errPercent     = errors.New("bad percent-encoding")
	errNoKeyInPath = fmt.Errorf("%w; put it at the end of the path", kv.ErrKeyEmpty)
)

// decodeKey appends the key that the raw end of a path names to dst: decoded
// once, otherwise as it is. It stops at a key that is too long.
func decodeKey(dst, raw []byte, lim *kv.Limits) ([]byte, error) {
	if len(raw) == 0 {
		return dst, errNoKeyInPath
	}
	if len(raw) > 3*lim.MaxKeyBytes {
		return dst, kv.ErrKeyTooLong
	}
	start := len(dst)
	dst, err := unescape(dst, raw, false)
	if err != nil {
		return dst, badRequest("the key has a bad percent-encoding: write % itself as %25")
	}
	if len(dst)-start > lim.MaxKeyBytes {
		return dst, kv.ErrKeyTooLong
	}
	return dst, nil
}

// unescape appends src to dst with each %XX replaced by its byte, and each
// '+' by a space where it is form-encoded. It never writes more than src
// holds, nor ahead of where it reads, so dst may be src[:0].
func unescape(dst, src []byte, form bool) ([]byte, error) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case c == '%':
			if i+2 >= len(src) {
				return dst, errPercent
			}
			hi, lo := hexDigit(src[i+1]), hexDigit(src[i+2])
			if hi|lo > 15 {
				return dst, errPercent
			}
			c = hi<<4 | lo
			i += 2
		case c == '+' && form:
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// hexDigit is the value of a hexadecimal digit, or 255.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
