package resp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// parsed is what comes of an input.
type parsed struct {
	commands [][]string
	err      error
}

// parsePieces has a parser take the input in pieces, each of which comes with the buffer in another
// place.
func parsePieces(guest bool, pieces ...[]byte) (out parsed) {
	p := newParser(1 << 10)
	p.guest = guest
	for _, piece := range pieces {
		p.buf = slices.Concat(p.buf[p.start:p.end], piece)
		p.start, p.end = 0, len(p.buf)
		for {
			args, ok, err := p.next(nil)
			if err != nil {
				out.err = err
				return out
			}
			if !ok {
				break
			}
			var command []string
			for _, arg := range args {
				command = append(command, string(arg))
			}
			out.commands = append(out.commands, command)
		}
	}
	return out
}

// Commands are taken out of what arrives, whatever form they have.
func TestCommandsAreParsed(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "",
		"*1\r\n$4\r\nPING\r\n":                `["PING"]`,
		"*2\r\n$3\r\nGET\r\n$0\r\n\r\nPING\n": `["GET" ""]["PING"]`,
		"*0\r\n*-5\r\n\r\n  \r\nPING\r\n":     `["PING"]`,
		"set a 'b\\'c' \"\\x41\\n\\\"\"\r\n":  `["set" "a" "b'c" "A\n\""]`,
		"*1\r\n$4\r\nPIN":                     "",
		"*1\r\n:4\r\n":                        "ERR Protocol error: expected '$', got ':'",
		"*a\r\n":                              "ERR Protocol error: invalid multibulk length",
		"*1\r\n$01\r\na\r\n":                  "ERR Protocol error: invalid bulk length",
		"*1\r\n$1049601\r\n":                  "ERR Protocol error: invalid bulk length: this node takes 1049600 bytes at most (--max-value-bytes)",
		"PING\r\nget \"a\r\n":                 `["PING"]ERR Protocol error: unbalanced quotes in request`,
		strings.Repeat("a", lineMax+1):        "ERR Protocol error: too big inline request",
		"*" + strings.Repeat("1", lineMax):    "ERR Protocol error: too big mbulk count string",
	} {
		out := parsePieces(false, []byte(in))
		got := ""
		for _, command := range out.commands {
			got += fmt.Sprintf("%q", command)
		}
		if out.err != nil {
			got += out.err.Error()
		}
		if got != want {
			t.Errorf("%.60q is %s, want %s", in, got, want)
		}
	}
}

// Before AUTH, commands are short.
func TestGuestsSendLittle(t *testing.T) {
	for in, want := range map[string]string{
		"*11\r\n":             "ERR Protocol error: unauthenticated multibulk length",
		"*1\r\n$16385\r\n":    "ERR Protocol error: unauthenticated bulk length",
		"*10\r\n$16384\r\nab": "<nil>",
	} {
		if out := parsePieces(true, []byte(in)); fmt.Sprint(out.err) != want {
			t.Errorf("%q: %v, want %s", in, out.err, want)
		}
	}
}

// A command that arrives in many pieces is not looked at from its start for each of them.
func TestParserGoesOnWhereItStopped(t *testing.T) {
	const n = 100_000
	in := fmt.Appendf(nil, "*%d\r\n", n)
	in = append(in, bytes.Repeat([]byte("$1\r\nx\r\n"), n)...)
	p := newParser(1 << 10)
	p.buf = in
	for p.end < len(in) {
		p.end += min(100, len(in)-p.end)
		before := p.at
		args, ok, err := p.next(nil)
		if err != nil || ok != (p.end == len(in)) || ok && len(args) != n {
			t.Fatal(len(args), ok, err)
		}
		if !ok && p.at < before {
			t.Fatalf("after %d bytes it began again", p.end)
		}
	}
}

// However the bytes of an input are cut, they are the same commands, and the same error.
func FuzzParse(f *testing.F) {
	for _, in := range []string{
		"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\nPING\r\n", "*1\r\n$4\r\nPINGxxPING 'a' \"\\x00\"\r\n",
		"*0\r\n*-1\r\n*1\r\r", "*1\r\n$-1\r\n", "a\rb\nc\r\r\n", "*2\r\n$1\r\na\r\n+1\r\n", "*9223372036854775807\r\n", "\"a\"b\r\n",
	} {
		f.Add([]byte(in), uint64(1), false)
		f.Add([]byte(in), uint64(2), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, guest bool) {
		want := parsePieces(guest, in)
		random := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 20+len(in)/50))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got := parsePieces(guest, pieces...)
		if !slices.EqualFunc(got.commands, want.commands, slices.Equal[[]string]) || got.err != want.err {
			t.Errorf("%q in pieces %q:\n%q, %v\nwant\n%q, %v", in, pieces, got.commands, got.err, want.commands, want.err)
		}
	})
}
