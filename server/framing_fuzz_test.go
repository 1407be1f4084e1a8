package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// seen is a request as it was read.
type seen struct {
	method, target string
	body           string
	end            int // where the next begins
}

// readAll reads requests until one cannot be read.
func readAll(s *Server, pieces ...[]byte) (all []seen) {
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	client := &scriptConn{pieces: pieces}
	c := newConn(s, client)
	c.in = s.readers.Get().(*bufio.Reader)
	defer s.readers.Put(c.in)
	c.in.Reset(c)
	c.req.conn = c
	for {
		var h fasthttp.RequestHeader
		if _, err := c.in.Peek(1); err != nil {
			return all
		}
		c.setPhase(phaseHeader)
		if c.readHead(&h) != nil {
			return all
		}
		body, err := io.ReadAll(&c.req)
		if err != nil {
			return all
		}
		left := c.in.Buffered()
		for _, p := range client.pieces {
			left += len(p)
		}
		all = append(all, seen{string(h.Method()), string(h.RequestURI()), string(body), total - left})
	}
}

// FuzzFraming has requests read in one piece and in several, which must make no difference, and
// by net/http, which must see the same: it refuses nothing that is accepted here, but what is no
// URL, and finds the same body and the same end.
func FuzzFraming(f *testing.F) {
	for _, c := range misframed {
		f.Add([]byte(c.bytes+behind), uint16(7))
	}
	for _, in := range wellFramed {
		f.Add([]byte(in+behind), uint16(20))
	}
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	f.Fuzz(func(t *testing.T, in []byte, step uint16) { compareFraming(t, s, in, 1+int(step)%64) })
}

// The same of requests that are put together from pieces that readers differ about: it finds
// more in a moment than bytes at random do in an hour.
func TestFramingOfPieces(t *testing.T) {
	var heads []string
	for _, c := range misframed {
		heads = append(heads, c.bytes)
	}
	for _, in := range wellFramed {
		heads = append(heads, in)
	}
	slices.Sort(heads)
	pieces := []string{
		"\r\n", "\n", "\r", "\r\n ", "\r\n\t", " ", "\t", ":", ": ", ";", "=", "\"", ",", "\x00", "\x0b", "\x7f", "\xff", "0", "1", "a", "F", "+", "-",
		"HTTP/1.1", "HTTP/1.0", "HTTP/1.7", "Host: x\r\n", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n", "chunked", "X: y\r\n",
		"Expect: 100-continue\r\n", "Connection: close\r\n", "1\r\nv\r\n", "0\r\n\r\n", "1;a=b\r\n", "\r\n\r\n", behind,
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	for range 3000 {
		in := heads[rng.IntN(len(heads))]
		for range rng.IntN(5) {
			at := rng.IntN(len(in) + 1)
			end := min(len(in), at+rng.IntN(4))
			in = in[:at] + pieces[rng.IntN(len(pieces))] + in[end:]
		}
		if compareFraming(t, s, []byte(in+behind), 1+rng.IntN(64)); t.Failed() {
			return
		}
	}
}

// compareFraming reads what is in pieces of so many bytes.
func compareFraming(t *testing.T, s *Server, in []byte, size int) {
	t.Helper()
	all := readAll(s, bytes.Clone(in)) // a version may be written over
	var pieces [][]byte
	for p := range slices.Chunk(bytes.Clone(in), size) {
		pieces = append(pieces, p)
	}
	if cut := readAll(s, pieces...); !slices.Equal(all, cut) {
		t.Fatalf("%q: in one piece %+v, in pieces of %d %+v", in, all, size, cut)
	}
	rest, r := in, bufio.NewReaderSize(nil, max(4<<10, len(in)))
	for at, got := range all {
		r.Reset(bytes.NewReader(rest))
		if strings.HasPrefix(string(rest), "\r\n") {
			_, _ = r.Discard(2) // net/http does not do that
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			if knownStrict(err, got) {
				return
			}
			t.Fatalf("%q: request %d is %+v, and to net/http %v", in, at, got, err)
		}
		body, err := io.ReadAll(req.Body)
		if req.Method != got.method || req.RequestURI != got.target || err != nil || string(body) != got.body {
			t.Fatalf("%q: request %d is %+v, and to net/http %s %s %q, %v", in, at, got, req.Method, req.RequestURI, body, err)
		}
		if left := len(in) - got.end; r.Buffered() != left {
			t.Fatalf("%q: request %d ends %d bytes before the end, to net/http %d", in, at, left, r.Buffered())
		}
		rest = in[got.end:]
	}
}

// knownStrict are refusals of net/http that are not about framing.
func knownStrict(err error, got seen) bool {
	var escape interface{ Timeout() bool } // *url.Error
	return errors.As(err, &escape) || strings.Contains(err.Error(), "invalid URI") || got.method == http.MethodConnect ||
		strings.Contains(err.Error(), "malformed HTTP version")
}
