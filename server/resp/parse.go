package resp

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"httpdhs/kv"
)

const (
	argsMax       = 1 << 20  // arguments of a command, as Redis has it
	lineMax       = 64 << 10 // bytes of a command in one line, or of a line with a length
	guestArgsMax  = 10       // arguments of a command before AUTH
	guestBulkMax  = 16 << 10 // bytes of an argument before AUTH
	bulkSlack     = 1 << 20  // bytes that an argument may have beyond the longest value
	commandSlack  = 64 << 20 // bytes that a command may have beyond two of the longest arguments
	noBulk        = -1       // the length of the next argument was not read yet
	readBufBytes  = 16 << 10
	spanWeight    = 8 + 24 // memory of an argument: its span, and the slice that it becomes
	commandStarts = '*'
	bulkStarts    = '$'
)

// protocolError says what is wrong with the bytes of a client. It is the connection's last answer.
type protocolError string

func (e protocolError) Error() string { return "ERR Protocol error: " + string(e) }

// parser takes commands out of what was read. It goes on where it stopped, however the bytes of a
// command are split: each byte is looked at once.
type parser struct {
	buf        []byte // what was read and is not taken is buf[start:end]
	start, end int

	// Of the command that begins at start.
	at    int    // bytes of it that were looked at
	left  int    // arguments that are to come; 0: its first line was not read
	bulk  int    // length of the next argument, or noBulk
	spans []span // its arguments so far

	bulkMax    int
	commandMax int
	guest      bool // the client has not said who it is
}

// span is where an argument lies, from the start of its command.
type span struct{ at, n int32 }

func newParser(valueMax int) parser {
	bulkMax := min(valueMax, math.MaxInt32/4) + bulkSlack
	return parser{bulk: noBulk, bulkMax: bulkMax, commandMax: min(2*bulkMax+commandSlack, math.MaxInt32)}
}

// next takes the next command that has arrived whole, and appends its arguments to args. They alias
// the buffer. Where there is none, it is not ok. An error stays.
func (p *parser) next(args [][]byte) (_ [][]byte, ok bool, err error) {
	for p.start < p.end {
		if p.left == 0 {
			if p.buf[p.start] != commandStarts {
				before := p.start
				if args, ok, err = p.inline(args); ok || err != nil || p.start == before {
					return args, ok, err
				}
				continue // the line was empty
			}
			count, ok, err := p.length("multibulk")
			switch {
			case !ok || err != nil:
				return args, false, err
			case count > argsMax:
				return args, false, protocolError("invalid multibulk length")
			case count > guestArgsMax && p.guest:
				return args, false, protocolError("unauthenticated multibulk length")
			case count <= 0:
				p.take() // as Redis does: it is no command, and no fault
				continue
			}
			p.left = count
		}
		for p.left > 0 {
			if ok, err := p.argument(); !ok || err != nil {
				return args, false, err
			}
		}
		command := p.buf[p.start : p.start+p.at : p.start+p.at]
		for _, s := range p.spans {
			args = append(args, command[s.at:s.at+s.n:s.at+s.n])
		}
		p.take()
		return args, true, nil
	}
	return args, false, nil
}

// take begins the next command.
func (p *parser) take() {
	p.start += p.at
	p.at, p.left, p.bulk, p.spans = 0, 0, noBulk, p.spans[:0]
}

// argument reads the next argument, if all of it is there.
func (p *parser) argument() (ok bool, err error) {
	if p.bulk == noBulk {
		if p.start+p.at == p.end {
			return false, nil
		}
		if c := p.buf[p.start+p.at]; c != bulkStarts {
			return false, protocolError(fmt.Sprintf("expected '$', got '%s'", []byte{c}))
		}
		n, ok, err := p.length("bulk")
		switch {
		case !ok || err != nil:
			return false, err
		case n < 0:
			return false, protocolError("invalid bulk length")
		case n > guestBulkMax && p.guest:
			return false, protocolError("unauthenticated bulk length")
		case n > p.bulkMax:
			return false, protocolError(fmt.Sprintf("invalid bulk length: this node takes %d bytes at most (--max-value-bytes)", p.bulkMax))
		case p.at+n > p.commandMax:
			return false, protocolError(fmt.Sprintf("a command may have %d bytes at most", p.commandMax))
		}
		p.bulk = n
	}
	if p.end-p.start < p.at+p.bulk+2 {
		return false, nil
	}
	p.spans = append(p.spans, span{int32(p.at), int32(p.bulk)})
	p.at += p.bulk + 2 // Redis does not look at the two bytes behind an argument
	p.left--
	p.bulk = noBulk
	return true, nil
}

// length reads a line with a length, whose first byte says of what. It is not ok while the line is
// not complete.
func (p *parser) length(of string) (n int, ok bool, err error) {
	line := p.buf[p.start+p.at : p.end]
	for i := 1; i < min(len(line), usualDigits+2); i++ {
		switch digit := line[i] - '0'; {
		case digit <= 9 && (n > 0 || i == 1):
			n = 10*n + int(digit)
			continue
		case line[i] == '\r' && i > 1 && i+1 < len(line):
			p.at += i + 2
			return n, true, nil
		}
		break
	}
	return p.oddLength(line, of)
}

// usualDigits is how many digits a length has at most that is read in passing.
const usualDigits = 9

// oddLength is length for what is not complete, or is no number, or one that is negative or large.
func (p *parser) oddLength(line []byte, of string) (n int, ok bool, err error) {
	end := bytes.IndexByte(line, '\r')
	if end > lineMax || end < 0 && len(line) > lineMax {
		return 0, false, protocolError("too big " + strings.Replace(of, "multi", "m", 1) + " count string")
	}
	if end < 0 || end+1 == len(line) {
		return 0, false, nil
	}
	long, ok := kv.ParseInteger(line[1:end])
	if !ok {
		return 0, false, protocolError("invalid " + of + " length")
	}
	p.at += end + 2
	return int(long), true, nil
}

// inline takes a line, which is a command unless it is empty. What was looked at is not looked at
// again.
func (p *parser) inline(args [][]byte) (_ [][]byte, ok bool, err error) {
	line := p.buf[p.start:p.end]
	n := bytes.IndexByte(line[p.at:], '\n')
	if n < 0 {
		p.at = len(line)
	} else {
		n += p.at
	}
	switch {
	case p.at > lineMax, n > lineMax:
		return args, false, protocolError("too big inline request")
	case n < 0:
		return args, false, nil
	}
	before := len(args)
	args, ok = splitInline(args, bytes.TrimSuffix(line[:n], []byte("\r")))
	if !ok {
		return args[:before], false, protocolError("unbalanced quotes in request")
	}
	p.at = n + 1
	p.take()
	return args, len(args) > before, nil
}

// partial says whether a part of a command has arrived.
func (p *parser) partial() bool { return p.start < p.end }

// known is how many bytes the command at hand is known to have at least.
func (p *parser) known() int {
	if p.bulk == noBulk {
		return p.at
	}
	return p.at + p.bulk + 2
}
