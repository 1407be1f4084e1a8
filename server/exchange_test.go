package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"httpdhs/internal/poll"
	"httpdhs/internal/seal"
)

// message is one to the fixture, as another node sends it.
type message struct {
	f       *fixture
	sealer  *seal.Sealer
	purpose seal.Purpose
	to      string
	body    []byte
	seal    seal.Seal
}

func (f *fixture) message(body []byte) *message {
	return &message{f: f, sealer: f.messages.sealer, purpose: seal.Exchange, to: f.opts.Name, body: body}
}

// text is all of it, as a request.
func (m *message) text() string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n%s", m.target(), m.header(), len(m.body), m.body)
}

func (m *message) target() string {
	if m.purpose == seal.Hello {
		return "/internal/hello"
	}
	return "/internal/exchange"
}

// header is the seal as a header line.
func (m *message) header() string {
	return fmt.Sprintf("%s: %s", seal.Header, m.sealer.Request(&m.seal, m.purpose, m.to, m.body))
}

func (m *message) send(headers ...string) answer {
	m.f.t.Helper()
	return m.f.send("POST", m.target(), string(m.body), append(headers, m.header())...)
}

// opened says whether the sender takes the answer.
func (m *message) opened(a answer) error {
	return m.sealer.OpenAnswer(&m.seal, []byte(a.header.Get(seal.Header)), a.status, []byte(a.body))
}

var secrets = []string{"", "ours"}

// A message is answered, and so is a hello, whoever asks. The answer has a good seal, and so has
// each refusal.
func TestExchange(t *testing.T) {
	for _, secret := range secrets {
		f := start(t, Options{MaxExchangeBytes: 1 << 20, ClusterSecret: secret})
		body := strings.Repeat("\x00\xff", 200_000)
		m := f.message([]byte(body))
		a := m.send()
		a.want(t, 200)
		if a.body != "got "+body || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("answer of %d bytes: %v", len(a.body), a.header)
		}
		if err := m.opened(a); err != nil {
			t.Error(err)
		}
		// 400 has the sender drop the message, 503 has it try again.
		for body, status := range map[string]int{"bad": 400, "long": 400, "stop": 503, strings.Repeat("x", 1<<20+1): 413} {
			m := f.message([]byte(body))
			a := m.send()
			a.want(t, status)
			if err := m.opened(a); err != nil {
				t.Errorf("%d: %v", status, err)
			}
		}
		m = f.message([]byte("hi"))
		m.purpose, m.to = seal.Hello, "another-name:1"
		if a := m.send(); a.status != 200 || a.body != "hello hi" || m.opened(a) != nil {
			t.Errorf("hello: %d %s, %v", a.status, a.body, m.opened(a))
		}
		f.send("GET", "/internal/exchange", "").want(t, 405)
		f.send("GET", "/internal/other", "").want(t, 404)
	}
}

// A message that is not one of the cluster to this node is refused and counted, and nobody is asked
// to answer it. Its status does not have its sender drop it. The error says what to do, and the
// connection ends.
func TestMessagesAreRefused(t *testing.T) {
	for _, secret := range secrets {
		f := start(t, Options{ClusterSecret: secret})
		other := "theirs"
		for what, row := range map[string]struct {
			spoil  func(m *message)
			status int
			reason string
			text   string
		}{
			"another name":   {func(m *message) { m.to = "n2:1234" }, 421, "name", "it is for n2:1234, and this node is n1:1234"},
			"another secret": {func(m *message) { m.sealer = seal.New(other) }, 403, "secret", "--cluster-secret-file"},
		} {
			m := f.message([]byte("hi"))
			row.spoil(m)
			a := m.send()
			a.want(t, row.status)
			if !strings.Contains(a.body, row.text) || !a.close {
				t.Errorf("%s: %s, want %q; closes: %t", what, a.body, row.text, a.close)
			}
			if n := f.Stats().RefusedMessages[row.reason]; n != 1 {
				t.Errorf("%s: counted %d times", what, n)
			}
		}
		m := f.message([]byte("hi"))
		for what, a := range map[string]answer{
			"another body":   f.send("POST", "/internal/exchange", "ho", m.header()),
			"another length": f.send("POST", "/internal/exchange", "hi ", m.header()),
			"another path":   f.send("POST", "/internal/hello", "hi", m.header()),
		} {
			if a.status != 422 || !strings.Contains(a.body, "send it again") || !a.close {
				t.Errorf("secret %q: %s: %d %s; closes: %t", secret, what, a.status, a.body, a.close)
			}
		}
		if a := f.send("POST", "/internal/exchange", "hi", "X-Dht-Cluster-Secret: ours"); a.status != 403 || !strings.Contains(a.body, "run the same version") {
			t.Errorf("a node of an earlier version: %d %s", a.status, a.body)
		}
		want := map[string]int64{"name": 1, "secret": 1, "changed": 3, "unsealed": 1, "format": 0, "host": 0}
		if got := f.Stats().RefusedMessages; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("secret %q: counted %v, want %v", secret, got, want)
		}
	}
}

// A changed message ends its connection: what is left of its body is no request.
func TestNothingBehindAChangedMessage(t *testing.T) {
	f := start(t, Options{})
	m := f.message([]byte("PUT /db/alien HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv"))
	for _, length := range []string{"Content-Length: 0", "X: y"} {
		out := f.raw(fmt.Sprintf("POST /internal/exchange HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n\r\n%s", m.header(), length, m.body))
		if !strings.HasPrefix(out, "HTTP/1.1 422") || strings.Count(out, "HTTP/1.1") != 1 {
			t.Errorf("%s: answered %q", length, out)
		}
	}
	if _, ok := f.store.entry("alien"); ok {
		t.Error("the body of a message was taken for a request")
	}
}

// Strangers are refused before their bodies are read: while as many as will send what they like,
// peers have all of their budget.
func TestStrangersHoldNothing(t *testing.T) {
	f := start(t, Options{ClusterSecret: "ours", MaxExchangeBytes: 1 << 20, MaxInFlightBytes: 1 << 20})
	body := make([]byte, 1<<20)
	for i := range 20 {
		m := f.message(body)
		m.sealer = seal.New("theirs")
		c := f.dial()
		defer c.Close()
		fmt.Fprintf(c, "POST /internal/exchange HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n", m.header(), len(body))
		if _, err := c.Write(body[:9<<10]); err != nil { // more than is read ahead; the rest never comes
			t.Fatal(err)
		}
		readAnswer(t, bufio.NewReader(c), "POST").want(t, 403)
		if n := f.peerBytes.used.Load(); n != 0 {
			t.Fatalf("after %d strangers %d bytes are held", i+1, n)
		}
	}
	f.message(body).send().want(t, 200)
}

// Without a secret messages are taken from members' hosts alone, and hellos from all, within a
// budget of their own. With one it does not matter who is where.
func TestHostsOfMembers(t *testing.T) {
	var asked []netip.Addr
	member := false
	isMember := func(ip netip.Addr, _ bool) bool {
		asked = append(asked, ip)
		return member
	}
	f := start(t, Options{PeerHost: isMember})
	m := f.message([]byte("hi"))
	a := m.send()
	a.want(t, 403)
	if !strings.Contains(a.body, "127.0.0.1") || !strings.Contains(a.body, "--cluster-secret-file") || m.opened(a) != nil {
		t.Errorf("%s, %v", a.body, m.opened(a))
	}
	hello := f.message([]byte("hi"))
	hello.purpose = seal.Hello
	hello.send().want(t, 200)
	poll.True(t, "the first has given back what it took", func() bool { return f.strangeBytes.take(strangeBytesMax) })
	hello.send().want(t, 503)
	member = true
	hello.send().want(t, 200)
	m.send().want(t, 200)
	f.strangeBytes.give(strangeBytesMax)
	if len(asked) != 5 || asked[0] != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("asked for %v", asked)
	}

	asked, member = nil, false
	g := start(t, Options{PeerHost: isMember, ClusterSecret: "ours"})
	g.message([]byte("hi")).send().want(t, 200)
	if len(asked) != 0 {
		t.Errorf("asked for %v", asked)
	}
}

// A long hello is refused, even one of a member.
func TestHellosAreShort(t *testing.T) {
	f := start(t, Options{})
	m := f.message(make([]byte, helloBytesMax+1))
	m.purpose = seal.Hello
	m.send().want(t, 413)
}

// What waits for the word to go on is told at once that it is refused, or that it is not.
func TestExpectWithASeal(t *testing.T) {
	f := start(t, Options{ClusterSecret: "ours"})
	m := f.message(bytes.Repeat([]byte("b"), 5000))
	c := f.dial()
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprintf(c, "POST /internal/exchange HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\nContent-Length: %d\r\n\r\n", m.header(), len(m.body))
	if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("answer is %q, want 100", line)
	}
	_, _ = r.ReadString('\n')
	_, _ = c.Write(m.body)
	readAnswer(t, r, "POST").want(t, 200)
	m.sealer = seal.New("theirs")
	f.refusesAtOnce(t, "POST /internal/exchange HTTP/1.1", m.header()+"\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n", 403)
}

// Every reason for which a message is refused has a status. It is no fault of this node's, and not
// one for which the sender drops the message for good.
func TestRefusalsAreTriedAgain(t *testing.T) {
	for i := range messageFaults {
		fault := &messageFaults[i]
		if status, _ := statusOf(fmt.Errorf("why: %w", fault.err)); status/100 != 4 || status == 400 || status == 413 {
			t.Errorf("%s: status %d", fault.name, status)
		}
		if errors.Is(fault.err, seal.ErrSecret) != strings.Contains(fault.log, "without this cluster's secret") {
			t.Errorf("%s: %s", fault.name, fault.log)
		}
	}
}
