package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// What is asked for everywhere.
const (
	conns = 64
	keys  = 100_000
	depth = rig.Depth
	batch = 100 // operations of a request of /batch
)

var memcachedSet = bench.Exchange{
	Request: func(dst []byte, k int) []byte {
		dst = append(rig.AppendKey(append(dst, "set "...), k), " 0 0 100\r\n"...)
		return append(append(dst, rig.Value...), "\r\n"...)
	},
	Answer: rig.Exactly("STORED\r\n"),
}

var memcachedGet = bench.Exchange{
	Request: func(dst []byte, k int) []byte { return append(rig.AppendKey(append(dst, "get "...), k), "\r\n"...) },
	Answer: func(b []byte) (int, error) {
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		switch {
		case !ok:
			return 0, nil
		case !bytes.HasPrefix(line, []byte("VALUE ")) || !bytes.HasSuffix(line, []byte(" 0 100")):
			return 0, rig.Unexpected(b)
		}
		n, err := rig.Exactly(rig.Value + "\r\nEND\r\n")(rest)
		if n > 0 {
			n += len(line) + 2
		}
		return n, err
	},
}

var webdisSet = bench.Exchange{
	Request: func(dst []byte, k int) []byte {
		dst = append(rig.AppendKey(append(dst, "GET /SET/"...), k), '/')
		return append(append(dst, rig.Value...), " HTTP/1.1\r\nHost: webdis\r\n\r\n"...)
	},
	Answer: ok(`{"SET":[true,"OK"]}`),
}

var webdisGet = bench.Exchange{
	Request: func(dst []byte, k int) []byte {
		return append(rig.AppendKey(append(dst, "GET /GET/"...), k), " HTTP/1.1\r\nHost: webdis\r\n\r\n"...)
	},
	Answer: ok(`{"GET":"` + rig.Value + `"}`),
}

func post(dst []byte, path string, body []byte) []byte {
	dst = fmt.Appendf(dst, "POST %s HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, len(body))
	return append(dst, body...)
}

var etcdValue = base64.StdEncoding.EncodeToString([]byte(rig.Value))

func appendEtcdPut(dst []byte, k int) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, `{"key":"`...), rig.AppendKey(nil, k))
	return append(append(append(dst, `","value":"`...), etcdValue...), `"}`...)
}

var etcdPut = bench.Exchange{
	Request: func(dst []byte, k int) []byte { return post(dst, "/v3/kv/put", appendEtcdPut(nil, k)) },
	Answer:  ok(`"revision"`),
}

var etcdGet = bench.Exchange{
	Request: func(dst []byte, k int) []byte {
		body := base64.StdEncoding.AppendEncode([]byte(`{"key":"`), rig.AppendKey(nil, k))
		return post(dst, "/v3/kv/range", append(body, `"}`...))
	},
	Answer: ok(etcdValue),
}

// etcdBlock is how many keys etcdFill stores in a transaction.
const etcdBlock = 50

// etcdFill stores a block of keys.
var etcdFill = bench.Exchange{
	Request: func(dst []byte, block int) []byte {
		body := []byte(`{"success":[`)
		for i := range etcdBlock {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendEtcdPut(append(body, `{"requestPut":`...), block*etcdBlock+i)
			body = append(body, '}')
		}
		return post(dst, "/v3/kv/txn", append(body, "]}"...))
	},
	Answer: ok(`"succeeded":true`),
}

// ok expects a 200 whose body contains part.
func ok(part string) func([]byte) (int, error) {
	want := []byte(part)
	return func(b []byte) (int, error) {
		head, rest, whole := bytes.Cut(b, []byte("\r\n\r\n"))
		if !whole {
			return 0, nil
		}
		body, n, err := bodyOf(head, rest)
		if n == 0 || err != nil {
			return 0, err
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || !bytes.Contains(body, want) {
			return 0, rig.Unexpected(b)
		}
		return len(head) + 4 + n, nil
	}
}

// bodyOf is the body that rest starts with, and how much of rest it takes: 0
// if that is not all there.
func bodyOf(head, rest []byte) (body []byte, n int, err error) {
	for line := range bytes.Lines(head) {
		name, v, _ := bytes.Cut(line, []byte(":"))
		v = bytes.TrimSpace(v)
		switch {
		case bytes.EqualFold(name, []byte("Transfer-Encoding")) && string(v) == "chunked":
			return chunked(rest)
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.Atoi(string(v))
			switch {
			case err != nil || n < 1:
				return nil, 0, rig.Unexpected(head)
			case n > len(rest):
				return nil, 0, nil
			}
			return rest[:n], n, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: no length: %q", rig.ErrAnswer, head)
}

// chunked is a body in chunks, and how much of b they take.
func chunked(b []byte) (body []byte, n int, err error) {
	for {
		line, rest, ok := bytes.Cut(b[n:], []byte("\r\n"))
		if !ok {
			return nil, 0, nil
		}
		size, err := strconv.ParseUint(string(line), 16, 24)
		if err != nil {
			return nil, 0, rig.Unexpected(b)
		}
		if len(rest) < int(size)+2 {
			return nil, 0, nil
		}
		body = append(body, rest[:size]...)
		if n += len(line) + 2 + int(size) + 2; size == 0 {
			return body, n, nil
		}
	}
}

func portNumber(addr string) int {
	n, _ := strconv.Atoi(rig.Port(addr))
	return n
}
