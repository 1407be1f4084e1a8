package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// redis is a redis-server that keeps nothing on disk. Each of its uses has a
// connection of its own, so that they may go on at the same time.
type redis struct {
	house                 *house
	addr                  string
	data, reader, control *resp
}

func (h *house) startRedis(args ...string) (*redis, error) {
	addr, err := h.Redis(args...)
	if err != nil {
		return nil, err
	}
	s := &redis{house: h, addr: addr}
	for _, c := range []**resp{&s.data, &s.reader, &s.control} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		*c = newResp(conn)
	}
	return s, nil
}

func (s *redis) name() string   { return "redis" }
func (s *redis) prefix() string { return "redis " }
func (s *redis) pid() int       { return s.house.PID(s.addr) }

func (s *redis) stop() {
	for _, c := range []*resp{s.data, s.reader, s.control} {
		c.conn.Close()
	}
	s.house.Kill(s.addr)
}

// redisAsks are what nodes are asked by the load generator: the value that was loaded is there, and
// stored again.
var redisAsks = map[bench.Workload]bench.Exchange{
	bench.Get: {
		Request: func(dst []byte, k int) []byte { return appendCommand(dst, "GET", keyOf(k)) },
		Answer:  rig.Exactly(fmt.Sprintf("$%d\r\n%s\r\n", valueBytes, filler[:valueBytes])),
	},
	bench.Put: {
		Request: func(dst []byte, k int) []byte { return appendCommand(dst, "SET", keyOf(k), filler[:valueBytes]) },
		Answer:  rig.Exactly("+OK\r\n"),
	},
}

// pipeline is how many commands are sent before their answers are read.
const pipeline = 1000

func (s *redis) load(src *pass) error {
	for more := true; more; {
		n := 0
		for ; n < pipeline; n++ {
			rec, err := src.Next()
			if err == io.EOF {
				more = false
				break
			}
			if err != nil {
				return err
			}
			if rec.Tombstone {
				s.data.send("DEL", rec.Key)
			} else {
				s.data.send("SET", rec.Key, rec.Value)
			}
		}
		if err := s.data.flush(); err != nil {
			return err
		}
		for range n {
			if _, _, err := s.data.reply(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *redis) get(key []byte) error {
	s.reader.send("GET", key)
	_, ok, err := s.reader.ask()
	if err == nil && !ok {
		err = fmt.Errorf("key %s is not there", key)
	}
	return err
}

func (s *redis) readThrough(keys, updates []sized) (hits, refused int, err error) {
	var writes []sized
	for _, k := range keys {
		s.data.send("GET", keyOf(k.key))
	}
	if err := s.data.flush(); err != nil {
		return 0, 0, err
	}
	for _, k := range keys {
		switch _, ok, err := s.data.reply(); {
		case err != nil:
			return 0, 0, err
		case ok:
			hits++
		default:
			writes = append(writes, k)
		}
	}
	writes = append(writes, updates...)
	for _, w := range writes {
		s.data.send("SET", keyOf(w.key), filler[:w.size])
	}
	if err := s.data.flush(); err != nil {
		return 0, 0, err
	}
	for range writes {
		_, _, err := s.data.reply()
		switch {
		case errors.Is(err, errRedis) && strings.Contains(err.Error(), "OOM"):
			refused++
		case err != nil:
			return 0, 0, err
		}
	}
	return hits, refused, nil
}

var (
	usedPattern    = regexp.MustCompile(`(?m)^used_memory:(\d+)`)
	startupPattern = regexp.MustCompile(`(?m)^used_memory_startup:(\d+)`)
)

func (s *redis) held() (holding, error) {
	s.control.send("DBSIZE")
	size, _, err := s.control.ask()
	if err != nil {
		return holding{}, err
	}
	keys, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil {
		return holding{}, err
	}
	s.control.send("INFO", []byte("memory"))
	info, _, err := s.control.ask()
	if err != nil {
		return holding{}, err
	}
	used, err := number(usedPattern, string(info))
	if err != nil {
		return holding{}, err
	}
	startup, err := number(startupPattern, string(info))
	return holding{keys: keys, data: -1, taken: int64(used - startup)}, err
}

// collect has the allocator give back what it holds.
func (s *redis) collect() error {
	s.control.send("MEMORY", []byte("PURGE"))
	_, _, err := s.control.ask()
	return err
}

// resp is a connection that speaks RESP, version 2.
type resp struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

func newResp(conn net.Conn) *resp {
	return &resp{conn, bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)}
}

// send writes a command. An error is that of the next flush.
func (c *resp) send(command string, args ...[]byte) {
	c.w.Write(appendCommand(c.w.AvailableBuffer(), command, args...))
}

func appendCommand(dst []byte, command string, args ...[]byte) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n$%d\r\n%s\r\n", len(args)+1, len(command), command)
	for _, a := range args {
		dst = strconv.AppendInt(append(dst, '$'), int64(len(a)), 10)
		dst = append(append(append(dst, "\r\n"...), a...), "\r\n"...)
	}
	return dst
}

// ask sends what was written, and reads one answer.
func (c *resp) ask() ([]byte, bool, error) {
	if err := c.flush(); err != nil {
		return nil, false, err
	}
	return c.reply()
}

// flush sends what was written. Its answers have to be there within
// answerTimeout.
func (c *resp) flush() error {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	return c.w.Flush()
}

// errRedis marks what redis answers with an error.
var errRedis = errors.New("redis")

// reply reads an answer that is no array. Not ok: there is no value.
func (c *resp) reply() (text []byte, ok bool, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, false, err
	}
	if len(line) < 3 {
		return nil, false, fmt.Errorf("%w: not an answer: %q", errRedis, line)
	}
	kind, line := line[0], line[1:len(line)-2]
	switch kind {
	case '+', ':':
		return append([]byte(nil), line...), true, nil
	case '-':
		return nil, false, fmt.Errorf("%w: %s", errRedis, line)
	case '$':
		n, err := strconv.Atoi(string(line))
		if err != nil || n < 0 {
			return nil, false, err
		}
		text = make([]byte, n+2)
		_, err = io.ReadFull(c.r, text)
		return text[:n], true, err
	}
	return nil, false, fmt.Errorf("%w: not an answer: %c%s", errRedis, kind, line)
}
