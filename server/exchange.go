package server

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/seal"
)

// What nodes say to each other. A message is judged by its headers, before the body is read. The
// seal among them vouches for the body too. So nobody but a node of the cluster makes this one hold
// bytes on its account. The bodies of peers have a budget of their own, which neither clients nor
// strangers can take from them.
//
// Without a secret anybody can make a seal. Then messages are taken from the hosts of members
// alone. Hellos are taken from any, because a node becomes a member by one. Those of other hosts
// have a small budget, apart from that of members.

var (
	internalPrefix = []byte("/internal/")
	exchangePath   = []byte("/internal/exchange")
	helloPath      = []byte("/internal/hello")
)

const (
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
	budgets  *budgets
	journal  *journal
}

func newMessages(o *Options, peers Peers, b *budgets, j *journal) *messages {
	m := &messages{
		name: o.Name, peers: peers, sealer: seal.New(o.ClusterSecret), maxBytes: o.MaxExchangeBytes,
		budgets: b, journal: j,
	}
	if o.ClusterSecret == "" {
		m.fromPeer = o.PeerHost
	}
	return m
}

// exchange serves the messages of members.
func (m *messages) exchange(ctx *fasthttp.RequestCtx, sc *scratch) error {
	m.serve(ctx, sc, seal.Exchange, m.peers.Exchange)
	return nil
}

// hello serves hellos.
func (m *messages) hello(ctx *fasthttp.RequestCtx, sc *scratch) error {
	m.serve(ctx, sc, seal.Hello, m.peers.Hello)
	return nil
}

// serve answers a message of another node. Every answer is sealed, refusals too.
func (m *messages) serve(ctx *fasthttp.RequestCtx, sc *scratch, purpose seal.Purpose, reply func(dst, request []byte) ([]byte, error)) {
	if err := m.take(ctx, sc, purpose); err != nil {
		m.refuse(ctx, sc, err)
		return
	}
	answer, err := reply(sc.out[:0], sc.body)
	if err != nil {
		// The sender drops what is refused for good, and sends again what was
		// only not taken now.
		if status, _ := statusOf(err); status != fasthttp.StatusServiceUnavailable {
			err = badRequest(err.Error())
		}
		fail(ctx, err)
	} else {
		if purpose == seal.Exchange { // a hello may be a stranger's
			c := connOf(ctx)
			c.srv.keepPeer(c)
		}
		sc.out = answer
		ctx.Response.Header.SetContentTypeBytes(typeBytes)
		ctx.Response.SetBodyRaw(answer)
	}
	m.sealAnswer(ctx, sc)
}

// take reads a message into the scratch, if it is one to be taken.
func (m *messages) take(ctx *fasthttp.RequestCtx, sc *scratch, purpose seal.Purpose) error {
	from, limit, err := m.admit(ctx, sc, purpose)
	if err != nil {
		return err
	}
	if err := sc.readBody(openBody(ctx), from, limit); err != nil {
		return err
	}
	return m.sealer.CheckBody(&sc.seal, sc.body)
}

// admit judges a message by its headers: on whose account its body may be read, and how much of it.
func (m *messages) admit(ctx *fasthttp.RequestCtx, sc *scratch, purpose seal.Purpose) (from *budget, limit int, err error) {
	from, limit = &m.budgets.peerBytes, m.maxBytes
	if purpose == seal.Hello {
		limit = helloBytesMax
	}
	header := ctx.Request.Header.Peek(seal.Header)
	if err := m.sealer.OpenRequest(&sc.seal, purpose, header, int(openBody(ctx).left)); err != nil {
		return nil, 0, err
	}
	patience := purpose != seal.Hello // of which all are taken
	if m.fromPeer != nil && !m.fromPeer(remoteIP(ctx), patience) {
		if purpose != seal.Hello {
			return nil, 0, fmt.Errorf("%w: no member is on %s", errStranger, remoteIP(ctx))
		}
		from = &m.budgets.strangeBytes
	}
	if to := sc.seal.To(); purpose == seal.Exchange && string(to) != m.name {
		return nil, 0, fmt.Errorf("%w: it is for %s, and this node is %s", errMisdirected, to, m.name)
	}
	return from, limit, nil
}

// refuse says why a message is not taken, and ends the connection: what follows on it may
// be the rest of a body that was changed.
func (m *messages) refuse(ctx *fasthttp.RequestCtx, sc *scratch, err error) {
	fail(ctx, err)
	ctx.Response.SetConnectionClose()
	m.sealAnswer(ctx, sc)
	m.journal.refusedMessage(ctx.RemoteAddr(), err)
}

// sealAnswer seals the answer that is set.
func (m *messages) sealAnswer(ctx *fasthttp.RequestCtx, sc *scratch) {
	ctx.Response.Header.SetCanonical(headerSeal, m.sealer.Answer(&sc.seal, ctx.Response.StatusCode(), ctx.Response.Body()))
}

var headerSeal = []byte(seal.Header)

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

// remoteIP is the host of the other end; the zero Addr if it has no IP address.
func remoteIP(ctx *fasthttp.RequestCtx) netip.Addr {
	if tcp, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
