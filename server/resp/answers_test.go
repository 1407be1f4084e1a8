package resp

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
)

// cutAnswer takes an answer from the start of b, and says whether there is one.
func cutAnswer(b []byte) (rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, false
	}
	n, err := strconv.Atoi(string(line[1:]))
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return rest, true
	case '$', '=':
		if n < 0 {
			return rest, true
		}
		if err != nil || len(rest) < n+2 || string(rest[n:n+2]) != "\r\n" {
			return nil, false
		}
		return rest[n+2:], true
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			if rest, ok = cutAnswer(rest); !ok {
				return nil, false
			}
		}
		return rest, err == nil
	}
	return nil, false
}

func countAnswers(t *testing.T, b []byte) (n int) {
	t.Helper()
	for ; len(b) > 0; n++ {
		rest, ok := cutAnswer(b)
		if !ok {
			t.Fatalf("no answer: %.200q", b)
		}
		b = rest
	}
	return n
}

// Each command has one answer, whatever commands there are and whatever is wrong with them, until
// the connection is closed.
func FuzzAnswersAreInStep(f *testing.F) {
	f.Add([]byte("SET a 1\r\nINCR a\r\nMGET a b\r\nSCAN 0\r\nKEYS *\r\nDEL a b\r\nEXPIRE a 1 NX XX\r\nOBJECT ENCODING a\r\nOBJECT X\r\nfoo\r\n"), uint64(1))
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\r\n\r\r\nGETEX k EX 5\r\nGETEX k EX x\r\nset k v ex 10 get\r\nCOPY k l\r\nRENAME l l\r\n*2\r\n$a\r\n"), uint64(2))
	f.Add([]byte("SETRANGE a 10 b\r\nGETRANGE a 0 -1\r\nAPPEND a b\r\nINCRBYFLOAT a 1\r\nGETDEL a\r\nDBSIZE\r\nRANDOMKEY\r\nQUIT\r\nPING\r\n"), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		store := newFakeStore()
		srv := New(Options{}, store, fakeCluster{store})
		random := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		answers, c := exchange(srv, pieces...)
		got, want := countAnswers(t, answers), int(srv.Stats().Commands+srv.Stats().Malformed)
		all := parsePiecesOf(srv, in)
		switch {
		case srv.Stats().Panics > 0:
			t.Errorf("%q: a panic: %q", in, answers)
		case got != want && !bytes.Contains(bytes.ToLower(in), []byte("host:")) && !bytes.Contains(bytes.ToLower(in), []byte("post")):
			t.Errorf("%q: %d commands, %d answers: %q", in, want, got, answers)
		case !c.session.closing && int(srv.Stats().Commands) != all:
			t.Errorf("%q has %d commands, and %d were answered", in, all, srv.Stats().Commands)
		}
	})
}

// parsePiecesOf is how many commands an input has for a server.
func parsePiecesOf(srv *Server, in []byte) (n int) {
	p := newParser(srv.opts.Limits.MaxValueBytes)
	p.buf, p.end = in, len(in)
	for {
		if _, ok, err := p.next(nil); !ok || err != nil {
			return n
		}
		n++
	}
}
