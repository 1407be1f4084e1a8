package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/internal/seal"
	"httpdhs/kv"
)

// What nodes say to each other. A node connects as a client does, and asks for a link: an upgrade
// of HTTP/1.1. From the answer on, the connection carries frames (package seal).
//
// A message is judged by its head and its seal, before the body is read. The seal vouches for the
// body too. So nobody but a node of the cluster makes this one hold bytes on its account. The
// bodies of peers have a budget of their own, which neither clients nor strangers can take from
// them.
//
// Without a secret anybody can make a seal. Then messages are taken from the hosts of members
// alone. Hellos are taken from any, because a node becomes a member by one. Those of other hosts
// have a small budget, apart from that of members.

var internalPrefix = []byte("/internal/")

const (
	linkPath     = "/internal/link"
	linkProtocol = "httpdhs"

	// helloBytesMax is more than a hello ever has.
	helloBytesMax = 5 << 20

	// strangeBytesMax bounds the hellos of hosts that are no member's, together.
	strangeBytesMax = 16 << 20
)

// messages serves what other nodes send.
type messages struct {
	name     string // of this node
	peers    Peers
	sealer   *seal.Sealer
	maxBytes int                                       // of a message that is no hello
	fromPeer func(host netip.Addr, patience bool) bool // Options.PeerHost; nil: a seal is enough
	patience time.Duration                             // for memory: messagePatience, but in a test
	budgets  *budgets
	journal  *journal
}

func newMessages(o *Options, peers Peers, b *budgets, j *journal) *messages {
	m := &messages{
		name: o.Name, peers: peers, sealer: seal.New(o.ClusterSecret), maxBytes: o.MaxExchangeBytes,
		patience: messagePatience, budgets: b, journal: j,
	}
	if o.ClusterSecret == "" {
		m.fromPeer = o.PeerHost
	}
	return m
}

// asksForLink says whether a request asks for a link. No page has a browser ask for one.
func asksForLink(h *fasthttp.RequestHeader) bool {
	return string(h.RequestURI()) == linkPath && h.IsHTTP11() && h.ConnectionUpgrade() &&
		strings.EqualFold(string(h.Peek(fasthttp.HeaderUpgrade)), linkProtocol)
}

// judge refuses what does not ask for a link.
func (m *messages) judge(ctx *fasthttp.RequestCtx, sc *scratch) error {
	if !asksForLink(&ctx.Request.Header) {
		return m.refuse(ctx, sc)
	}
	return nil
}

// refuse refuses all else that is for nodes: it may be of a node of another version.
func (m *messages) refuse(ctx *fasthttp.RequestCtx, _ *scratch) error {
	m.journal.refusedMessage(ctx.RemoteAddr(), seal.ErrNone)
	offerLink(&ctx.Response.Header)
	return errNoLink
}

func offerLink(h *fasthttp.ResponseHeader) {
	h.Set(fasthttp.HeaderConnection, "Upgrade")
	h.Set(fasthttp.HeaderUpgrade, linkProtocol)
}

// link makes the connection a link: after the answer it carries messages.
func (m *messages) link(ctx *fasthttp.RequestCtx, _ *scratch) error {
	c := connOf(ctx)
	if c.srv.ending.stopping() {
		return kv.ErrStopping
	}
	ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols)
	offerLink(&ctx.Response.Header)
	c.linked = true
	return nil
}

// serve answers the messages that come over a link, one after the other.
func (m *messages) serve(c *conn) error {
	for {
		c.setPhase(phaseIdle)
		if _, err := c.in.Peek(1); err != nil {
			return ended(err)
		}
		c.beginHandler()
		if err := m.next(c); err != nil {
			return err
		}
		if c.linger || c.extra {
			return c.out.Flush()
		}
		c.release()
	}
}

// next answers a message. Every answer is sealed, refusals too. After a message that is not taken
// the connection ends: what follows may be the rest of one that was changed.
func (m *messages) next(c *conn) error {
	b, err := c.in.Peek(seal.HeadBytes)
	if err != nil {
		return err
	}
	head, err := seal.ParseHead(b)
	if err != nil { // how long it is, and what an answer would be to, is not known
		m.journal.refusedMessage(c.RemoteAddr(), err)
		return errors.Join(err, c.writer().Flush()) // what was answered before
	}
	if b, err = c.in.Peek(seal.HeadBytes + head.Seal); err != nil {
		return err
	}
	_, _ = c.in.Discard(len(b)) // it stays where it is until more is read
	sc := c.memory()
	status := fasthttp.StatusOK
	answer, err := m.answer(c, sc, head, b[seal.HeadBytes:])
	switch {
	case err == errCutShort:
		return err // nobody waits for an answer, least of all for one that has a batch dropped
	case err != nil:
		status, answer = m.fail(err)
	}
	answer = m.budgets.settle(sc, answer)
	sealed := m.sealer.Answer(&sc.seal, status, answer)
	b = seal.AppendHead(c.writer().AvailableBuffer(), seal.Head{Body: len(answer), Seal: len(sealed), Code: status})
	_, _ = c.out.Write(append(b, sealed...)) // the next call tells
	_, err = c.out.Write(answer)
	return err
}

// fail is the answer that says what went wrong.
func (m *messages) fail(err error) (status int, answer []byte) {
	if err == errInFlight {
		m.journal.overloaded.Add(1)
	}
	status, msg := statusOf(err)
	answer, _ = json.Marshal(api.Error{Error: msg})
	return status, answer
}

// answer takes a message and has it answered. A panic is an error, as it is with a request.
func (m *messages) answer(c *conn, sc *scratch, head seal.Head, sealed []byte) (answer []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			m.journal.panicked(v, linkPath)
			err, c.linger = errInternal, true
		}
	}()
	if err := m.take(c, sc, head, sealed); err != nil {
		m.journal.refusedMessage(c.RemoteAddr(), err)
		c.linger = true
		return nil, err
	}
	hello := seal.Purpose(head.Code) == seal.Hello
	if hello {
		answer, err = m.peers.Hello(sc.out[:0], sc.body)
	} else {
		answer, err = m.peers.Exchange(sc.out[:0], sc.body)
	}
	if err != nil {
		// The sender drops what is refused for good, and sends again what was only not taken now.
		if status, _ := statusOf(err); status != fasthttp.StatusServiceUnavailable {
			err = badRequest(err.Error())
		}
		return nil, err
	}
	if !hello { // which may be a stranger's
		c.srv.keepPeer(c)
	}
	sc.out = answer
	return answer, nil
}

// messagePatience is how long a message waits for memory. A node that is told that there is none
// takes this one for down. It waits longer for an answer.
const messagePatience = time.Second

// take reads a message into the scratch, if it is one to be taken.
func (m *messages) take(c *conn, sc *scratch, head seal.Head, sealed []byte) error {
	from, limit, err := m.admit(c, sc, head, sealed)
	if err != nil {
		return err
	}
	switch {
	case from != &m.budgets.peerBytes:
	case heavy(head.Body) > 0:
		sc.await(from, int64(head.Body), time.Now().Add(m.patience))
	default:
		from = &m.budgets.smallBytes
	}
	c.req = bodyReader{conn: c, left: int64(head.Body)}
	if err := sc.readBody(&c.req, from, limit); err != nil {
		return err
	}
	return m.sealer.CheckBody(&sc.seal, sc.body)
}

// admit judges a message by its seal: on whose account its body may be read, and how much of it.
func (m *messages) admit(c *conn, sc *scratch, head seal.Head, sealed []byte) (from *budget, limit int, err error) {
	purpose := seal.Purpose(head.Code)
	if err := m.sealer.OpenRequest(&sc.seal, purpose, sealed, head.Body); err != nil {
		return nil, 0, err
	}
	from, limit = &m.budgets.peerBytes, m.maxBytes
	if purpose == seal.Hello {
		limit = helloBytesMax
	}
	host := hostOf(c.RemoteAddr())
	patience := purpose != seal.Hello // of which all are taken
	if m.fromPeer != nil && !m.fromPeer(host, patience) {
		if purpose != seal.Hello {
			return nil, 0, fmt.Errorf("%w: no member is on %s", errStranger, host)
		}
		from = &m.budgets.strangeBytes
	}
	if to := sc.seal.To(); purpose == seal.Exchange && string(to) != m.name {
		return nil, 0, fmt.Errorf("%w: it is for %s, and this node is %s", errMisdirected, to, m.name)
	}
	return from, limit, nil
}

// messageFaults are why messages are refused: as they are counted, and what is logged, for each at
// most once a second.
var messageFaults = [...]struct {
	err  error
	name string
	log  string
}{
	{seal.ErrSecret, "secret", "a node without this cluster's secret was refused: --cluster-secret-file must be the same at all nodes"},
	{seal.ErrNone, "unsealed", "what is no message of a node of this version was refused: run the same version at all nodes"},
	{seal.ErrFormat, "format", "a node of another version was refused: run the same version at all nodes"},
	{seal.ErrChanged, "changed", "a message between nodes was changed on its way, and is not taken: its sender sends it again"},
	{errStranger, "host", "a host that is no member's was refused: set the same --cluster-secret-file at all nodes"},
	{errMisdirected, "name", "a message for another node was refused: give each node one name, and each name one node"},
}

// hostOf is the host of the other end; the zero Addr if it has no IP address.
func hostOf(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
