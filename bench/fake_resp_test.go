package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeRESP is a small server of RESP.
type fakeRESP struct {
	mu     sync.Mutex // guards what follows
	values map[string]string
	writes int
	seen   map[string]int // commands, by name
	token  string         // that AUTH has to bring; "": none is wanted

	// A fault, made on purpose; nil: none. It is told of write n, and says whether that is done and
	// what is answered; "" is what belongs there. It is called with the lock held.
	onWrite func(n int, name, key string) (done bool, answer string)
}

// newFakeRESP starts n nodes over one map.
func newFakeRESP(t *testing.T, n int) (*fakeRESP, []string) {
	t.Helper()
	s := &fakeRESP{values: map[string]string{}, seen: map[string]int{}}
	var addrs []string
	for range n {
		addrs = append(addrs, respServer(t, s.session))
	}
	return s, addrs
}

// set changes it.
func (s *fakeRESP) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// respServer answers commands: each connection by what session makes for it; "" hangs up.
func respServer(t *testing.T, session func() func(args []string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				answer := session()
				for in := bufio.NewReader(c); ; {
					args, err := readCommand(in)
					if err != nil {
						return
					}
					text := answer(args)
					if _, err = io.WriteString(c, text); err != nil || text == "" {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

// readCommand reads an array of strings, and nothing else.
func readCommand(in *bufio.Reader) ([]string, error) {
	number := func(kind byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] != kind || !strings.HasSuffix(line, "\r\n") {
			return 0, fmt.Errorf("not a command: %q", line)
		}
		return strconv.Atoi(line[1 : len(line)-2])
	}
	n, err := number('*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := number('$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, err
		}
		if string(text[size:]) != "\r\n" {
			return nil, fmt.Errorf("no end of %q", text)
		}
		args[i] = string(text[:size])
	}
	return args, nil
}

func (s *fakeRESP) session() func([]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.token == ""
	return func(args []string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[args[0]]++
		switch {
		case args[0] == "AUTH":
			if known = args[1] == s.token; !known {
				return "-WRONGPASS no\r\n"
			}
			return "+OK\r\n"
		case !known:
			return "-NOAUTH Authentication required.\r\n"
		}
		return s.carryOut(args)
	}
}

func (s *fakeRESP) carryOut(args []string) string {
	switch name := args[0]; name {
	case "PING":
		return "+PONG\r\n"
	case "INFO":
		const text = "# Server\r\nredis_version:7.0.15\r\n"
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	case "GET":
		if value, ok := s.values[args[1]]; ok {
			return fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		}
		return "$-1\r\n"
	case "SET", "DEL", "INCR":
		done, said := true, ""
		if s.writes++; s.onWrite != nil {
			done, said = s.onWrite(s.writes, name, args[1])
		}
		if !done && said != "" {
			return said
		}
		if answer := s.write(args, done); said == "" {
			return answer
		}
		return said
	}
	return fmt.Sprintf("-ERR unknown command '%s'\r\n", args[0])
}

// write carries a write out, or only says so.
func (s *fakeRESP) write(args []string, done bool) string {
	key, old := args[1], s.values[args[1]]
	answer := "+OK\r\n"
	switch args[0] {
	case "SET":
		s.values[key] = args[2]
	case "DEL":
		answer = fmt.Sprintf(":%d\r\n", len(old))
		delete(s.values, key)
	case "INCR":
		n, err := strconv.Atoi("0" + old)
		if err != nil {
			return "-ERR value is not an integer or out of range\r\n"
		}
		answer, s.values[key] = fmt.Sprintf(":%d\r\n", n+1), strconv.Itoa(n+1)
	}
	if !done {
		s.values[key] = old
		if old == "" {
			delete(s.values, key)
		}
	}
	return answer
}

// respConfig is a short run over RESP.
func respConfig(addrs []string, w Workload) Config {
	c := testConfig(addrs, w)
	c.Protocol = RESP
	return c
}
