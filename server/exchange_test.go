package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/seal"
)

// upgrade asks for a link.
const upgrade = "GET " + linkPath + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + linkProtocol + "\r\n\r\n"

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

// text is all that a node says to send it over a new connection.
func (m *message) text() string { return upgrade + m.frame() }

func (m *message) frame() string {
	sealed := m.sealer.Request(&m.seal, m.purpose, m.to, m.body)
	return frameOf(seal.Head{Body: len(m.body), Seal: len(sealed), Code: int(m.purpose)}, sealed, m.body)
}

func frameOf(h seal.Head, sealed, body []byte) string {
	return string(slices.Concat(seal.AppendHead(nil, h), sealed, body))
}

// link is a connection that carries messages.
type link struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

// link opens one, and says something on it before the upgrade is answered.
func (f *fixture) link(said string) *link {
	f.t.Helper()
	l := &link{f.say(upgrade + said), f.t, nil}
	l.r = bufio.NewReader(l)
	readAnswer(f.t, l.r, "GET").want(f.t, 101)
	return l
}

// reply is the answer to a message.
type reply struct {
	status int
	seal   []byte
	body   string
}

func readReply(r io.Reader) (a reply, err error) {
	b := make([]byte, seal.HeadBytes)
	if _, err := io.ReadFull(r, b); err != nil {
		return reply{}, err
	}
	h, err := seal.ParseHead(b)
	b = make([]byte, h.Seal+h.Body)
	if _, cut := io.ReadFull(r, b); err == nil {
		err = cut
	}
	return reply{h.Code, b[:h.Seal], string(b[h.Seal:])}, err
}

func (l *link) read() reply {
	l.t.Helper()
	a, err := readReply(l.r)
	if err != nil {
		l.t.Errorf("no answer: %v", err)
	}
	return a
}

// ends says that nothing more comes.
func (l *link) ends(what string) {
	l.t.Helper()
	if more, err := io.ReadAll(l.r); len(more) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Errorf("%s: then comes %q, %v", what, more, err)
	}
}

// send sends it over a link of its own.
func (m *message) send() (reply, *link) {
	m.f.t.Helper()
	l := m.f.link(m.frame())
	return l.read(), l
}

// tell is send, and wants a status.
func (f *fixture) tell(m *message, status int) *link {
	f.t.Helper()
	a, l := m.send()
	a.want(f.t, status)
	return l
}

func (a reply) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status || status >= 400 && !strings.HasPrefix(a.body, `{"error":"`) {
		t.Errorf("status is %d, want %d (%.300s)", a.status, status, a.body)
	}
}

// opened says whether the sender takes the answer.
func (m *message) opened(a reply) error {
	return m.sealer.OpenAnswer(&m.seal, a.seal, a.status, []byte(a.body))
}

var secrets = []string{"", "ours"}

// A message is answered, and so is a hello, whoever asks. The answer has a good seal, and so has
// each refusal. A link carries one message after the other.
func TestExchange(t *testing.T) {
	for _, secret := range secrets {
		var log bytes.Buffer
		f := start(t, Options{MaxExchangeBytes: 1 << 20, ClusterSecret: secret, Log: slog.New(slog.NewTextHandler(&log, nil))})
		l := f.link("")
		on := func(m *message, status int, body string) {
			t.Helper()
			_, _ = io.WriteString(l, m.frame())
			a := l.read()
			if a.want(t, status); !strings.Contains(a.body, body) {
				t.Errorf("%.100s, want %.100s", a.body, body)
			}
			if err := m.opened(a); err != nil {
				t.Errorf("%d: %v", status, err)
			}
		}
		body := strings.Repeat("\x00\xff", 200_000)
		hello := f.message([]byte("hi"))
		hello.purpose, hello.to = seal.Hello, "another-name:1"
		for range 3 {
			on(f.message([]byte(body)), 200, "got "+body)
			on(f.message(nil), 200, "got ")
			on(hello, 200, "hello hi")
			on(f.message([]byte("bad")), 400, "format 9") // 400 has the sender drop the message
			on(f.message([]byte("long")), 400, "key")
			on(f.message([]byte("stop")), 503, "n2") // and 503 has it try again
		}
		on(f.message(make([]byte, 1<<20+1)), 413, "larger")
		l.ends("too long a message")
		l = f.link("")
		on(f.message([]byte("panic")), 500, errInternal.msg)
		l.ends("a panic")
		if n := f.Stats().Panics; n != 1 || !strings.Contains(log.String(), "ouch") {
			t.Errorf("%d panics, log %s", n, log.String())
		}
	}
}

// A link is for who asks for one in HTTP/1.1. Whatever else comes to a path of nodes, be it of a
// node of another version, is told so and counted.
func TestOnlyAnUpgradeIsALink(t *testing.T) {
	f := start(t, Options{})
	f.messages.peers = nobody{t}
	lines := strings.SplitAfter(upgrade, "\r\n")
	n := int64(0)
	for what, in := range map[string]string{
		"HTTP/1.0":         strings.Replace(strings.Replace(upgrade, "HTTP/1.1", "HTTP/1.0", 1), "Upgrade\r\n", "keep-alive, Upgrade\r\n", 1),
		"no Connection":    lines[0] + lines[1] + lines[3] + "\r\n",
		"no Upgrade":       lines[0] + lines[1] + lines[2] + "\r\n",
		"a WebSocket":      strings.Replace(upgrade, linkProtocol, "websocket", 1),
		"one of several":   strings.Replace(upgrade, linkProtocol, linkProtocol+", websocket", 1),
		"POST":             strings.Replace(upgrade, "GET", "POST", 1),
		"another path":     strings.Replace(upgrade, linkPath, "/internal/other", 1),
		"an older version": "POST /internal/exchange HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
	} {
		c := f.say(in + aRequest)
		r := bufio.NewReader(c)
		a := readAnswer(t, r, "GET")
		a.want(t, 426)
		if a.header.Get("Upgrade") != linkProtocol || !strings.Contains(a.body, "run the same version") {
			t.Errorf("%s: %v %s", what, a.header, a.body)
		}
		if n++; f.Stats().RefusedMessages["unsealed"] != n {
			t.Errorf("%s: counted %v", what, f.Stats().RefusedMessages)
		}
		if !a.close {
			readAnswer(t, r, "GET").want(t, 200)
		}
	}
	f.raw(strings.Replace(upgrade, "Upgrade\r\n", "close, Upgrade\r\n", 1) + f.message([]byte("hi")).frame())
	f.refusesAtOnce(t, "GET "+linkPath+" HTTP/1.1", "Connection: Upgrade\r\nUpgrade: "+linkProtocol+"\r\nContent-Length: 5\r\n", 400)
}

// nobody is asked to answer.
type nobody struct{ t *testing.T }

func (n nobody) Exchange(_, request []byte) ([]byte, error) {
	n.t.Errorf("somebody is asked %q", request)
	return nil, nil
}

func (n nobody) Hello(dst, request []byte) ([]byte, error) { return n.Exchange(dst, request) }

// A message that is not one of the cluster to this node is refused and counted, and nobody is asked
// to answer it. Its status does not have its sender drop it. The error says what to do, and the
// connection ends.
func TestMessagesAreRefused(t *testing.T) {
	for _, secret := range secrets {
		f := start(t, Options{ClusterSecret: secret})
		f.messages.peers = nobody{t}
		refused := func(what, in, reason string, status int, text string) {
			t.Helper()
			before := f.Stats().RefusedMessages[reason]
			l := f.link(in + f.message([]byte("hi")).frame()) // what follows is not looked at
			a := l.read()
			a.want(t, status)
			if !strings.Contains(a.body, text) {
				t.Errorf("secret %q, %s: %s, want %q", secret, what, a.body, text)
			}
			l.ends(what)
			if n := f.Stats().RefusedMessages[reason] - before; n != 1 {
				t.Errorf("secret %q, %s: counted %d times", secret, what, n)
			}
		}
		m := f.message([]byte("hi"))
		m.to = "n2:1234"
		refused("another name", m.frame(), "name", 421, "it is for n2:1234, and this node is n1:1234")
		m = f.message([]byte("hi"))
		m.sealer = seal.New("theirs")
		refused("another secret", m.frame(), "secret", 403, "--cluster-secret-file")

		m = f.message([]byte("hi"))
		sealed := m.sealer.Request(&m.seal, m.purpose, m.to, m.body)
		head := func(length int, purpose seal.Purpose) seal.Head {
			return seal.Head{Body: length, Seal: len(sealed), Code: int(purpose)}
		}
		const again = "send it again"
		refused("another body", frameOf(head(2, seal.Exchange), sealed, []byte("ho")), "changed", 422, again)
		refused("longer", frameOf(head(3, seal.Exchange), sealed, []byte("hi ")), "changed", 422, again)
		refused("another purpose", frameOf(head(2, seal.Hello), sealed, m.body), "changed", 422, again)
		refused("none of ours", frameOf(head(2, seal.Exchange+256), sealed, m.body), "format", 403, "run the same version")
		refused("no seal", frameOf(seal.Head{Body: 2, Code: int(seal.Exchange)}, nil, m.body), "unsealed", 403, "run the same version")
		sealed[0]++
		refused("another format", frameOf(head(2, seal.Exchange), sealed, m.body), "format", 403, "run the same version")
		want := map[string]int64{"name": 1, "secret": 1, "changed": 3, "unsealed": 1, "format": 2, "host": 0}
		if got := f.Stats().RefusedMessages; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("secret %q: counted %v, want %v", secret, got, want)
		}
	}
}

// A head that was changed, in whatever bit, ends its connection at once, and so does one of a seal
// that is too long. Nothing behind it is looked at.
func TestChangedHeads(t *testing.T) {
	f := start(t, Options{})
	f.messages.peers = nobody{t}
	frame := []byte(f.message([]byte(upgrade + aRequest)).frame())
	for bit := range 8 * seal.HeadBytes {
		frame[bit/8] ^= 1 << (bit % 8)
		f.link(string(frame)).ends(fmt.Sprint("bit ", bit))
		frame[bit/8] ^= 1 << (bit % 8)
	}
	poll.True(t, "each is counted", func() bool { return f.Stats().RefusedMessages["changed"] == 8*seal.HeadBytes })
	f.link(frameOf(seal.Head{Seal: 1<<16 - 1}, nil, nil)).ends("a long seal")
}

// A frame of which only a part has come is cut like a slow body. Where its seal has come and is
// good, the sender is told, but not so that it drops the message. One that ends there has no
// answer.
func TestHalfFrames(t *testing.T) {
	for _, n := range []int{1, seal.HeadBytes, seal.HeadBytes + 5, -1} {
		f := start(t, Options{})
		f.messages.peers = nobody{t}
		frame := f.message(bytes.Repeat([]byte("b"), 100)).frame()
		half := frame[:(n+len(frame))%len(frame)]
		l := f.link(half)
		f.waitFor(phaseHandler, waitRead, -2) // all came with its first byte
		f.sweep(f.limits.body)
		if f.Stats().SlowConns != 0 {
			t.Errorf("%d bytes: cut too early", len(half))
		}
		f.sweep(f.limits.body + time.Second)
		if n == -1 {
			l.read().want(t, 408)
		}
		l.ends("half a frame")
		l = f.link(half)
		_ = l.CloseWrite()
		l.ends("half a frame, and the end")
	}
}

// Links that carry nothing end when the server stops, and no new one begins.
func TestShutdownEndsLinks(t *testing.T) {
	f := start(t, Options{})
	l, waits := f.link(""), f.link("")
	entered, release := make(chan struct{}), make(chan struct{})
	f.messages.peers = slowPeers{entered: entered, release: release}
	_, _ = io.WriteString(l, f.message([]byte("hi")).frame())
	<-entered
	poll.True(t, "one waits", func() bool { return f.inWait(waitNext) == 1 })
	late := f.sayHalf(upgrade[:10], waitHead, 1)
	f.ending.bits.Or(stops)
	close(f.stop)
	_, _ = io.WriteString(late, upgrade[10:])
	readAnswer(t, bufio.NewReader(late), "GET").want(t, 503)
	f.lastCall()
	waits.ends("one that carries nothing")
	close(release)
	l.read().want(t, 200)
	l.ends("one with a message under way")
}

// Strangers are refused before their bodies are read: while as many as will send what they like,
// peers have all of their budget.
func TestStrangersHoldNothing(t *testing.T) {
	f := start(t, Options{ClusterSecret: "ours", MaxExchangeBytes: 1 << 20, MaxInFlightBytes: 1 << 20})
	body := make([]byte, 1<<20)
	for i := range 20 {
		m := f.message(body)
		m.sealer = seal.New("theirs")
		l := f.link(m.frame()[:9<<10]) // more than is read ahead; the rest never comes
		l.read().want(t, 403)
		if n := f.peerBytes.used.Load(); n != 0 {
			t.Fatalf("after %d strangers %d bytes are held", i+1, n)
		}
	}
	f.tell(f.message(body), 200)
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
	a, _ := m.send()
	a.want(t, 403)
	if !strings.Contains(a.body, "127.0.0.1") || !strings.Contains(a.body, "--cluster-secret-file") || m.opened(a) != nil {
		t.Errorf("%s, %v", a.body, m.opened(a))
	}
	hello := f.message([]byte("hi"))
	hello.purpose = seal.Hello
	f.tell(hello, 200)
	poll.True(t, "the first has given back what it took", func() bool { return f.strangeBytes.take(strangeBytesMax, 0) })
	overloaded := f.Stats().Overloaded
	f.tell(hello, 503)
	if n := f.Stats().Overloaded - overloaded; n != 1 {
		t.Errorf("counted %d times", n)
	}
	member = true
	f.tell(hello, 200)
	f.tell(m, 200)
	f.strangeBytes.give(strangeBytesMax)
	if len(asked) != 5 || asked[0] != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("asked for %v", asked)
	}

	asked, member = nil, false
	g := start(t, Options{PeerHost: isMember, ClusterSecret: "ours"})
	g.tell(g.message([]byte("hi")), 200)
	if len(asked) != 0 {
		t.Errorf("asked for %v", asked)
	}
}

// A message waits for memory that another one has, and is not refused for that. A small one, such
// as nodes send to see who is up, does not even wait.
func TestMessagesWaitForMemory(t *testing.T) {
	const size = 1 << 20
	f := startWith(t, Options{MaxMessageBytes: size + size/2}, func(s *Server) { s.messages.patience = time.Minute })
	frame := f.message(make([]byte, size)).frame()
	first, second, small := f.link(""), f.link(""), f.link("")
	_, _ = io.WriteString(first, frame[:len(frame)-1])
	poll.True(t, "the first message has memory", func() bool { return f.peerBytes.used.Load() >= size })
	_, _ = io.WriteString(second, frame)
	f.peerBytes.used.Add(size) // that answers take is counted, however much there is
	_, _ = io.WriteString(small, f.message([]byte("small")).frame())
	small.read().want(t, 200)
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := second.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second message is answered beside the first: %v", err)
	}
	_ = second.SetReadDeadline(time.Time{})
	f.peerBytes.used.Add(-size)
	_, _ = io.WriteString(first, frame[len(frame)-1:])
	first.read().want(t, 200)
	second.read().want(t, 200)
	poll.True(t, "all is given back", func() bool { return f.peerBytes.used.Load() == 0 })
}

// What is too long is refused before its body is sent: even a hello of a member.
func TestMessagesAreBounded(t *testing.T) {
	f := start(t, Options{MaxExchangeBytes: 1 << 20})
	for purpose, most := range map[seal.Purpose]int{seal.Exchange: 1 << 20, seal.Hello: helloBytesMax} {
		m := f.message(make([]byte, most+1))
		m.purpose = purpose
		frame := m.frame()
		f.link(frame[:len(frame)-most]).read().want(t, 413)
	}
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

// known has only what was sealed.
type known struct {
	fakePeers
	t *testing.T
}

func (k known) Exchange(dst, request []byte) ([]byte, error) {
	if s := string(request); s != "hi" && s != "bad" && s != "" {
		k.t.Errorf("%q was taken for a message", request)
	}
	return k.fakePeers.Exchange(dst, request)
}

func (k known) Hello(dst, request []byte) ([]byte, error) { return k.Exchange(dst, request) }

// Whatever comes over a link, what was not sealed is not taken for a message. The answers are whole
// frames, and it makes no difference how the bytes are cut.
func FuzzLink(f *testing.F) {
	s := New(Options{ClusterSecret: "ours", Name: "n1:1234"}, newFakeStore(), &fakeCluster{}, fakePeers{})
	fix := &fixture{Server: s}
	hi, bad := fix.message([]byte("hi")).frame(), fix.message([]byte("bad")).frame()
	hello := fix.message(nil)
	hello.purpose = seal.Hello
	for _, in := range []string{hi, hi + bad + hi, hello.frame() + hi, hi[:len(hi)-1], hi[:20], aRequest, frameOf(seal.Head{Body: 1 << 30, Code: int(seal.Hello)}, nil, nil)} {
		f.Add([]byte(in), uint16(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint16) {
		s.messages.peers = known{t: t}
		statuses := func(pieces ...[]byte) (all []int) {
			client := &scriptConn{pieces: append([][]byte{[]byte(upgrade)}, pieces...)}
			c := newConn(s, client)
			_ = c.serve()
			c.release()
			r := bufio.NewReader(&client.out)
			if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
				t.Fatalf("no link: %v", err)
			}
			for {
				a, err := readReply(r)
				if err == io.EOF {
					return all
				}
				if err != nil {
					t.Fatalf("%q: after %v: %v", in, all, err)
				}
				all = append(all, a.status)
			}
		}
		whole, cut := statuses(bytes.Clone(in)), statuses(slices.Collect(slices.Chunk(bytes.Clone(in), 1+int(step)%64))...)
		if !slices.Equal(whole, cut) {
			t.Errorf("%q: in one piece %v, in several %v", in, whole, cut)
		}
	})
}
