package resp

import "bytes"

// globMatch says whether a key fits a pattern as Redis has it (stringmatchlen): * and ? and [a-z]
// and [^a-z], and a backslash before what stands for itself.
func globMatch(pattern, key []byte) bool {
	dead := false
	return globFrom(pattern, key, &dead)
}

// globFrom is globMatch. dead becomes true where no longer match of an earlier * can help: so the
// time is bounded by the product of the lengths.
func globFrom(pattern, key []byte, dead *bool) bool {
	for len(pattern) > 0 && len(key) > 0 {
		switch pattern[0] {
		case '*':
			return globStar(pattern, key, dead)
		case '?':
		case '[':
			match, rest := globClass(pattern[1:], key[0])
			if !match {
				return false
			}
			pattern = rest
		case '\\':
			if len(pattern) >= 2 {
				pattern = pattern[1:]
			}
			fallthrough
		default:
			if pattern[0] != key[0] {
				return false
			}
		}
		key = key[1:]
		if len(pattern) > 0 {
			pattern = pattern[1:]
		}
		if len(key) == 0 {
			pattern = bytes.TrimLeft(pattern, "*")
		}
	}
	return len(pattern) == 0 && len(key) == 0
}

// globStar matches a pattern that begins with a star.
func globStar(pattern, key []byte, dead *bool) bool {
	pattern = bytes.TrimLeft(pattern, "*")
	if len(pattern) == 0 {
		return true
	}
	for ; len(key) > 0; key = key[1:] {
		if globFrom(pattern, key, dead) {
			return true
		}
		if *dead {
			return false
		}
	}
	*dead = true
	return false
}

// globClass matches a byte with what follows a bracket. rest begins with the bracket that ends it;
// where there is none it is empty.
func globClass(pattern []byte, c byte) (match bool, rest []byte) {
	not := len(pattern) > 0 && pattern[0] == '^'
	if not {
		pattern = pattern[1:]
	}
	for len(pattern) > 0 && pattern[0] != ']' {
		switch {
		case len(pattern) >= 2 && pattern[0] == '\\':
			pattern = pattern[1:]
			match = match || pattern[0] == c
		case len(pattern) >= 3 && pattern[1] == '-':
			// They are signed in C.
			low, high := int8(pattern[0]), int8(pattern[2])
			if low > high {
				low, high = high, low
			}
			match = match || int8(c) >= low && int8(c) <= high
			pattern = pattern[2:]
		default:
			match = match || pattern[0] == c
		}
		pattern = pattern[1:]
	}
	return match != not, pattern
}

// globPrefix is how all keys begin that fit a pattern.
func globPrefix(pattern []byte) []byte {
	if i := bytes.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}
