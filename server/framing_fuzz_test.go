package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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
	c := &conn{Conn: client, srv: s, in: s.readers.New().(*bufio.Reader)}
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

// FuzzFraming has requests read in one piece and in several, which must make no difference, and by net/http,
// which must see the same: it refuses nothing that is accepted here, but what is no URL, and finds the same body and the
// same end.
func FuzzFraming(f *testing.F) {
	for _, c := range misframed {
		f.Add([]byte(c.bytes+behind), uint16(7))
	}
	for _, in := range wellFramed {
		f.Add([]byte(in+behind), uint16(20))
	}
	s := New(Options{}, newFakeStore(), &fakeCluster{}, fakePeers{})
	f.Fuzz(func(t *testing.T, in []byte, step uint16) {
		all := readAll(s, bytes.Clone(in)) // a version may be written over
		var pieces [][]byte
		for p := range slices.Chunk(bytes.Clone(in), 1+int(step)%64) {
			pieces = append(pieces, p)
		}
		if cut := readAll(s, pieces...); !slices.Equal(all, cut) {
			t.Fatalf("in one piece %+v, in pieces of %d %+v", all, 1+int(step)%64, cut)
		}
		rest := in
		for at, got := range all {
			r := bufio.NewReaderSize(bytes.NewReader(rest), 64<<10)
			if strings.HasPrefix(string(rest), "\r\n") {
				_, _ = r.Discard(2) // net/http does not do that
			}
			req, err := http.ReadRequest(r)
			if err != nil {
				if knownStrict(err, got) {
					return
				}
				t.Fatalf("request %d is %+v, and to net/http %v", at, got, err)
			}
			body, err := io.ReadAll(req.Body)
			if req.Method != got.method || req.RequestURI != got.target || err != nil || string(body) != got.body {
				t.Fatalf("request %d is %+v, and to net/http %s %s %q, %v", at, got, req.Method, req.RequestURI, body, err)
			}
			left := len(in) - got.end
			if buffered := r.Buffered(); buffered != left && len(rest) < 64<<10 {
				t.Fatalf("request %d ends %d bytes before the end, to net/http %d", at, left, buffered)
			}
			rest = in[got.end:]
		}
	})
}

// knownStrict are refusals of net/http that are not about framing.
func knownStrict(err error, got seen) bool {
	var escape interface{ Timeout() bool } // *url.Error
	return errors.As(err, &escape) || strings.Contains(err.Error(), "invalid URI") || got.method == http.MethodConnect ||
		strings.Contains(err.Error(), "malformed HTTP version")
}
