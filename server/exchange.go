package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/seal"
)

// What nodes say to each other. A message is judged by its headers, of which its seal vouches for
// the body too, before the body is read. So nobody but a node of the cluster makes this one hold
// bytes on its account, and the bodies of peers have a budget of their own, which neither clients
// nor strangers can take from them.
//
// Without a secret anybody can make a seal. Then messages are taken from the hosts of members
// alone. Hellos are taken from any, for by one a node becomes a member: those of other hosts have
// a small budget, apart from that of members.

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

// exchange serves the messages of members.
func (s *Server) exchange(ctx *fasthttp.RequestCtx) {
	s.message(ctx, seal.Exchange, s.peers.Exchange)
}

// hello serves hellos.
func (s *Server) hello(ctx *fasthttp.RequestCtx) { s.message(ctx, seal.Hello, s.peers.Hello) }

// message answers a message of another node. Every answer is sealed, refusals too.
func (s *Server) message(ctx *fasthttp.RequestCtx, purpose seal.Purpose, reply func(dst, request []byte) ([]byte, error)) {
	sc := s.scratchOf(ctx)
	if err := s.takeMessage(ctx, sc, purpose); err != nil {
		s.refuseMessage(ctx, sc, err)
		return
	}
	answer, err := reply(sc.out[:0], sc.body)
	if err != nil {
		// The sender drops what is refused for good, and sends again what was
		// only not taken now.
		if status, _ := statusOf(err); status != fasthttp.StatusServiceUnavailable {
			err = badRequest(err.Error())
		}
		s.fail(ctx, err)
	} else {
		if purpose == seal.Exchange { // a hello may be a stranger's
			s.keepPeer(connOf(ctx))
		}
		sc.out = answer
		ctx.Response.Header.SetContentTypeBytes(typeBytes)
		ctx.Response.SetBodyRaw(answer)
	}
	s.sealAnswer(ctx, sc)
}

// takeMessage reads a message into the scratch, if it is one to be taken.
func (s *Server) takeMessage(ctx *fasthttp.RequestCtx, sc *scratch, purpose seal.Purpose) error {
	from, limit, err := s.admit(ctx, sc, purpose)
	if err != nil {
		return err
	}
	if err := s.readBody(ctx, sc, from, limit); err != nil {
		return err
	}
	return s.sealer.CheckBody(&sc.seal, sc.body)
}

// admit judges a message by its headers: on whose account its body may be read, and how much of it.
func (s *Server) admit(ctx *fasthttp.RequestCtx, sc *scratch, purpose seal.Purpose) (from *budget, limit int, err error) {
	from, limit = &s.peerBytes, s.opts.MaxExchangeBytes
	if purpose == seal.Hello {
		limit = helloBytesMax
	}
	header := ctx.Request.Header.Peek(seal.Header)
	if err := s.sealer.OpenRequest(&sc.seal, purpose, header, int(openBody(ctx).left)); err != nil {
		return nil, 0, err
	}
	patience := purpose != seal.Hello // of which all are taken
	if s.opts.ClusterSecret == "" && s.opts.PeerHost != nil && !s.opts.PeerHost(remoteIP(ctx), patience) {
		if purpose != seal.Hello {
			return nil, 0, fmt.Errorf("%w: no member is on %s", errStranger, remoteIP(ctx))
		}
		from = &s.strangeBytes
	}
	if to := sc.seal.To(); purpose == seal.Exchange && string(to) != s.opts.Name {
		return nil, 0, fmt.Errorf("%w: it is for %s, and this node is %s", errMisdirected, to, s.opts.Name)
	}
	return from, limit, nil
}

// refuseMessage says why a message is not taken, and ends the connection: what follows on it may
// be the rest of a body that was changed.
func (s *Server) refuseMessage(ctx *fasthttp.RequestCtx, sc *scratch, err error) {
	s.fail(ctx, err)
	ctx.Response.SetConnectionClose()
	s.sealAnswer(ctx, sc)
	for i := range messageFaults {
		fault := &messageFaults[i]
		if !errors.Is(err, fault.err) {
			continue
		}
		s.stats.refusedMessages[i].Add(1)
		if held, ok := s.strangers[i].allow(s.clock.Load()); ok {
			s.log.Warn(fault.log, "from", ctx.RemoteAddr().String(), "reason", err, "more_since_last", held)
		}
		return
	}
}

// sealAnswer seals the answer that is set.
func (s *Server) sealAnswer(ctx *fasthttp.RequestCtx, sc *scratch) {
	ctx.Response.Header.SetCanonical(headerSeal, s.sealer.Answer(&sc.seal, ctx.Response.StatusCode(), ctx.Response.Body()))
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
