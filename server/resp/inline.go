package resp

import "bytes"

// splitInline appends the arguments of a line. They are separated by blanks, and may be quoted as
// redis-cli does. Not ok: a quote has no end.
func splitInline(args [][]byte, line []byte) (_ [][]byte, ok bool) {
	if nul := bytes.IndexByte(line, 0); nul >= 0 {
		line = line[:nul] // as for Redis, which takes a line for a string of C
	}
	for i := 0; ; {
		for i < len(line) && isBlank(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		var arg []byte
		if arg, i, ok = nextInline(line, i); !ok {
			return args, false
		}
		args = append(args, arg)
	}
}

// nextInline reads the argument that begins at i, and says where it ends.
func nextInline(line []byte, i int) (arg []byte, end int, ok bool) {
	arg = []byte{}
	for i < len(line) && !isBlank(line[i]) {
		quote := line[i]
		if quote != '"' && quote != '\'' {
			arg = append(arg, quote)
			i++
			continue
		}
		for i++; ; i++ {
			if i == len(line) {
				return nil, 0, false
			}
			if line[i] == quote {
				break
			}
			var n int
			if arg, n = appendQuoted(arg, line[i:], quote); n > 1 {
				i += n - 1
			}
		}
		i++
		if i < len(line) && !isBlank(line[i]) {
			return nil, 0, false // something is glued to the end of a quote
		}
	}
	return arg, i, true
}

// appendQuoted appends the next byte within quotes, and says how many bytes stand for it.
func appendQuoted(arg, line []byte, quote byte) (_ []byte, n int) {
	if line[0] != '\\' || len(line) < 2 {
		return append(arg, line[0]), 1
	}
	if quote == '\'' {
		if line[1] == '\'' {
			return append(arg, '\''), 2
		}
		return append(arg, '\\'), 1
	}
	if line[1] == 'x' && len(line) >= 4 {
		high, low := hexDigit(line[2]), hexDigit(line[3])
		if high >= 0 && low >= 0 {
			return append(arg, byte(high<<4|low)), 4
		}
	}
	c := line[1]
	switch c {
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'b':
		c = '\b'
	case 'a':
		c = '\a'
	}
	return append(arg, c), 2
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// isBlank is isspace of C.
func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
