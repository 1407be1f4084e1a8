package rig

import (
	"errors"
	"fmt"
	"strings"

	"httpdhs/bench"
)

// KeyBytes is the length of the keys that other stores are asked for.
const KeyBytes = 16

// Value is what other stores are given: 100 bytes.
var Value = strings.Repeat("0123456789", 10)

// AppendKey appends the key of a number, as redis-benchmark writes it.
func AppendKey(dst []byte, k int) []byte { return fmt.Appendf(dst, "key:%0*d", KeyBytes-4, k) }

// ErrAnswer marks an answer that is not what was asked for.
var ErrAnswer = errors.New("not the answer to that")

// Unexpected is the error of an answer that begins with b.
func Unexpected(b []byte) error {
	return fmt.Errorf("%w: %q", ErrAnswer, b[:min(len(b), 500)])
}

// Exactly expects the same answer always.
func Exactly(want string) func([]byte) (int, error) {
	return func(b []byte) (int, error) {
		switch {
		case len(b) >= len(want) && string(b[:len(want)]) == want:
			return len(want), nil
		case len(b) < len(want) && strings.HasPrefix(want, string(b)):
			return 0, nil
		}
		return 0, Unexpected(b)
	}
}

// AppendSet appends the request of redis that stores Value under a key.
func AppendSet(dst []byte, k int) []byte {
	dst = append(AppendKey(append(dst, "*3\r\n$3\r\nSET\r\n$16\r\n"...), k), "\r\n$100\r\n"...)
	return append(append(dst, Value...), "\r\n"...)
}

// respFlag is what a node takes the port of RESP with.
const respFlag = "--resp-port"

// RESP is where the nodes at addrs speak the protocol of Redis; nil: not all of them do.
func (r *Rig) RESP(addrs ...string) (resp []string) {
	for _, addr := range addrs {
		at, ok := r.resp[addr]
		if !ok {
			return nil
		}
		resp = append(resp, at)
	}
	return resp
}

// speaksRESP says whether a binary can, which one from before RESP cannot.
func (r *Rig) speaksRESP(binary string) bool {
	can, known := r.speakers[binary]
	if !known {
		help, err := r.Run(binary, "server", "--help")
		if can = err == nil && strings.Contains(help, respFlag); !can {
			r.Now("rows of %s over RESP are left out: it has no %s", binary, respFlag)
		}
		r.speakers[binary] = can
	}
	return can
}

// Depth is how many requests are under way on a connection where that is said.
const Depth = 16

// RedisWaitPipeline sets Depth keys and then waits until one replica has confirmed them all. So it
// counts as so many operations.
var RedisWaitPipeline = bench.Exchange{
	Request: func(dst []byte, k int) []byte {
		for i := range Depth {
			dst = AppendSet(dst, (k+i*waitStride)%waitKeys)
		}
		return append(dst, waitOne...)
	},
	Answer: Exactly(strings.Repeat("+OK\r\n", Depth) + ":1\r\n"),
}

const (
	waitOne = "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n"

	waitKeys   = 100_000 // as many as the load generator asks for
	waitStride = 6257    // so the keys of a pipeline lie apart
)

// RedisWait sets a key and waits until one replica has confirmed it.
var RedisWait = bench.Exchange{
	Request: func(dst []byte, k int) []byte {
		return append(AppendSet(dst, k), waitOne...)
	},
	Answer: Exactly("+OK\r\n:1\r\n"),
}

// Redis starts a redis that keeps nothing on disk, and waits for it.
func (r *Rig) Redis(args ...string) (addr string, err error) {
	if addr, err = FreeAddr(); err != nil {
		return "", err
	}
	// A replica writes what it gets to begin with to a file, and every redis
	// reads that of its name when it starts.
	args = append([]string{"--port", Port(addr), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", r.Dir, "--dbfilename", Port(addr) + ".rdb"}, args...)
	if err := r.Start("redis-server", args...); err != nil {
		return "", err
	}
	return addr, r.WaitOpen(addr)
}

// RedisReplicated starts a redis and its replica, and waits until that has all.
func (r *Rig) RedisReplicated() (master, replica string, err error) {
	if master, err = r.Redis("--repl-diskless-sync-delay", "0"); err != nil {
		return "", "", err
	}
	if replica, err = r.Redis("--replicaof", "127.0.0.1 "+Port(master)); err != nil {
		return "", "", err
	}
	return master, replica, r.Wait("the replica", func() error {
		out, err := r.Run("redis-cli", "-p", Port(master), "info", "replication")
		if err == nil && !strings.Contains(out, "state=online") {
			err = errors.New("not online")
		}
		return err
	})
}
