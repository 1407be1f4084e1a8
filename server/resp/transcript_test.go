package resp_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/ports"
)

// With -record, TestRedisAnswersAsStored stores what redis-server answers.
var record = flag.Bool("record", false, "write what redis-server answers to testdata/redis7")

// answerMax is how long an answer of a transcript may take.
const answerMax = 10 * time.Second

// What testdata/redis7 says is what redis-server 7.0 answers, byte for byte. No answer depends on a
// command in which httpdhs differs.
func TestRedisAnswersAsStored(t *testing.T) {
	addr := startRedis(t)
	for _, script := range readTranscripts(t) {
		t.Run(script.name, func(t *testing.T) {
			for _, s := range script.sessions {
				t.Run(s.title, func(t *testing.T) { (&player{addr: addr, file: script.name, record: *record}).play(t, s) })
			}
			if *record {
				script.write(t)
			}
		})
	}
	t.Run("without what differs", func(t *testing.T) { playAll(t, addr) })
}

// playAll plays all transcripts against the server at addr. What differs on purpose is not sent.
func playAll(t *testing.T, addr string) {
	t.Helper()
	for _, script := range readTranscripts(t) {
		t.Run(script.name, func(t *testing.T) { playOne(t, addr, script) })
	}
}

func playOne(t *testing.T, addr string, script *transcript) {
	t.Helper()
	for _, s := range script.sessions {
		t.Run(s.title, func(t *testing.T) {
			if s.differs != "" {
				t.Skip(s.differs)
			}
			(&player{addr: addr, file: script.name, skipDifferent: true}).play(t, s)
		})
	}
}

// startRedis starts a redis-server without a disk, and returns its address.
func startRedis(t *testing.T) (addr string) {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	version, err := exec.Command(binary, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(version), " v=7.0.") {
		t.Skipf("the answers are those of redis-server 7.0, and this is %s", version)
	}
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(binary, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--slowlog-log-slower-than", "-1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	poll.Until(t, "redis-server answers", func() error {
		p := player{addr: addr}
		defer p.close()
		return p.connect(&session{})
	})
	return addr
}

// player plays a session over one connection at a time.
type player struct {
	addr, file    string
	record        bool // and takes what is answered for what is right
	skipDifferent bool

	conn net.Conn
	in   *bufio.Reader
}

// connect opens a connection, with the protocol's third version where the session has that.
func (p *player) connect(s *session) (err error) {
	if p.conn, err = net.DialTimeout("tcp", p.addr, answerMax); err != nil {
		p.conn = nil
		return err
	}
	p.in = bufio.NewReader(p.conn)
	hello := []string{"PING"}
	if s.resp3 {
		hello = []string{"HELLO", "3"}
	}
	answer, err := p.ask(encode(hello))
	if err == nil && strings.HasPrefix(answer, "-") {
		err = fmt.Errorf("%s is answered with %q", hello, answer)
	}
	return err
}

func (p *player) close() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

// ask sends bytes and reads one answer.
func (p *player) ask(request string) (answer string, err error) {
	if err := p.conn.SetDeadline(time.Now().Add(answerMax)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(p.conn, request); err != nil {
		return "", err
	}
	return readValue(p.in)
}

// play begins with an empty database and a new connection. After one that is to be closed comes
// another, and the database stays.
func (p *player) play(t *testing.T, s *session) {
	t.Helper()
	defer p.close()
	if err := p.connect(s); err != nil {
		t.Fatal(err)
	}
	if answer, err := p.ask(encode([]string{"FLUSHALL"})); err != nil || answer != "+OK\r\n" {
		t.Fatalf("FLUSHALL is answered with %q: %v", answer, err)
	}
	for _, step := range s.steps {
		if p.skipDifferent && step.differs != "" {
			continue
		}
		if p.conn == nil {
			if err := p.connect(s); err != nil {
				t.Fatal(err)
			}
		}
		p.step(t, step)
	}
}

// step sends one request and reads all answers to it.
func (p *player) step(t *testing.T, step *step) {
	t.Helper()
	where := fmt.Sprintf("%s:%d: %s", p.file, step.line, step.text)
	if err := p.conn.SetDeadline(time.Now().Add(answerMax)); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if _, err := io.WriteString(p.conn, step.request); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for i := range step.wants {
		want := &step.wants[i]
		if want.kind == closed {
			p.awaitClose(t, where)
			return
		}
		got, err := readValue(p.in)
		if err != nil {
			t.Fatalf("%s: %q was answered, then %v; want %s", where, got, err, want)
		}
		switch {
		case want.matches(got):
		case p.record && want.kind <= unordered:
			want.text = got
		default:
			t.Errorf("%s\n got %q\nwant %s", where, got, want)
		}
	}
	if n := p.in.Buffered(); n > 0 {
		rest, _ := p.in.Peek(n)
		t.Fatalf("%s: there is more of an answer: %q", where, rest)
	}
}

// awaitClose waits until the server closes the connection, and fails if it says more before.
func (p *player) awaitClose(t *testing.T, where string) {
	t.Helper()
	rest, err := io.ReadAll(p.in)
	p.close()
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: the connection is not closed: %v", where, err)
	}
	if len(rest) > 0 {
		t.Errorf("%s: the connection is closed, but before comes %q", where, rest)
	}
}

func readTranscripts(t *testing.T) (all []*transcript) {
	t.Helper()
	names, err := filepath.Glob("testdata/redis7/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d transcripts: %v", len(names), err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		script, err := parseTranscript(name, string(body))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, script)
	}
	return all
}
