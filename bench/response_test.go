package bench

import (
	"errors"
	"strings"
	"testing"
)

// Of an answer's head the status and the lengths are read, and what is ambiguous is an error.
func TestParseHead(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, in string
		want     response
		err      error
	}{
		{"get", ok + "Server: x\r\nContent-Length: 3\r\n\r\nabc", response{status: 200, head: 49, body: 3, close: false}, nil},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", response{status: 204, head: 27, body: 0, close: false}, nil},
		{"204 has no body whatever it says", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", response{status: 204, head: 46, body: 0, close: false}, nil},
		{"no reason", "HTTP/1.1 503\r\ncontent-length:0\r\n\r\n", response{status: 503, head: 34, body: 0, close: false}, nil},
		{"close", ok + "connection: Close\r\nContent-Length: 0\r\n\r\n", response{status: 200, head: 57, body: 0, close: true}, nil},
		{"length twice, the same", ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", response{status: 200, head: 57, body: 1, close: false}, nil},
		{"length twice, not the same", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", response{}, errMalformed},
		{"no length", ok + "\r\n", response{}, errNoLength},
		{"negative length", ok + "Content-Length: -1\r\n\r\n", response{}, errMalformed},
		{"no digits", ok + "Content-Length: \r\n\r\n", response{}, errMalformed},
		{"a length beyond all", ok + "Content-Length: 99999999999999999999\r\n\r\n", response{}, errTooLarge},
		{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n", response{}, errChunked},
		{"other protocol", "HTTP/1.0 200 OK\r\n\r\n", response{}, errMalformed},
		{"no status", "HTTP/1.1 2x0 OK\r\n\r\n", response{}, errMalformed},
		{"long status", "HTTP/1.1 2000 OK\r\n\r\n", response{}, errMalformed},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\n", response{}, errMalformed},
		{"bare newline", "HTTP/1.1 200 OK\nA: b\r\n\r\n", response{}, errMalformed},
		{"no colon", ok + "nonsense\r\n\r\n", response{}, errMalformed},
		{"no name", ok + ": x\r\n\r\n", response{}, errMalformed},
		{"endless head", ok + strings.Repeat("A: b\r\n", headBytesMax), response{}, errTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r response
			ok, err := parseHead([]byte(test.in), &r)
			if !errors.Is(err, test.err) || ok != (test.err == nil) {
				t.Fatalf("ok %v, error %v, want %v", ok, err, test.err)
			}
			if ok && r != test.want {
				t.Errorf("read as %+v, want %+v", r, test.want)
			}
		})
	}
}

// However a stream of answers is cut into reads, the same answers come out.
func TestAnswersSplitAtEveryByte(t *testing.T) {
	stream := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345" +
		"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno" +
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n54321")
	for cut := range len(stream) + 1 {
		w, c := newTestWorker(t, pacer{to: 1 << 40, left: unlimited}, 3)
		w.dispatch(0)
		used, err := w.receive(c, stream[:cut], 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.receive(c, stream[used:], 1); err != nil {
			t.Fatal(err)
		}
		if got := w.rec.requests; got != 2 || w.rec.errors[kindMissing] != 1 {
			t.Fatalf("cut at %d: %d answered well and errors %v, want 2 and one %s", cut, got, w.rec.errors, kindMissing)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, again response
		ok, err := parseHead(in, &r)
		if !ok || err != nil {
			return
		}
		if r.head > len(in) || r.body < 0 || r.body > bodyBytesMax || r.status < 200 || r.status > 999 {
			t.Fatalf("%q read as %+v", in, r)
		}
		// What follows the head does not matter, and no part of it is enough.
		if ok, err := parseHead(in[:r.head], &again); !ok || err != nil || again != r {
			t.Fatalf("the head alone read as %+v, %v", again, err)
		}
		if ok, err := parseHead(in[:r.head-1], &again); ok || err != nil {
			t.Fatalf("%q without its end: ok %v, %v", in, ok, err)
		}
	})
}
