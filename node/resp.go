package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"httpdhs/kv"
	"httpdhs/server/resp"
)

// RespConfig says whether and how a node speaks the Redis protocol.
type RespConfig struct {
	// Listen is the host:port to bind; empty: the node does not speak it. It is not looked at when
	// Listener is given.
	Listen string

	// Listener, when given, is an open socket to serve on; the node closes it.
	Listener net.Listener

	// Write and Read are the levels of connections that ask for no others.
	Write, Read kv.Level

	// NoFlush has the node refuse FLUSHDB and FLUSHALL.
	NoFlush bool
}

func (c *RespConfig) on() bool { return c.Listen != "" || c.Listener != nil }

// respServer serves the Redis protocol; nil: nothing does.
type respServer struct {
	*resp.Server
	listener net.Listener
	addr     string // at which clients reach it, like the node's name
}

// listenResp opens the socket for the Redis protocol, if there is to be one.
func (n *Node) listenResp() (err error) {
	cfg := &n.cfg.Resp
	if !cfg.on() {
		return nil
	}
	n.resp = &respServer{listener: cfg.Listener}
	if n.resp.listener == nil {
		if n.resp.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			n.resp = nil
			return fmt.Errorf("cannot listen on %s for the Redis protocol: %w; give another --resp-port, or --bind", cfg.Listen, err)
		}
	}
	host, _, err := net.SplitHostPort(n.cfg.Name)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(n.resp.listener.Addr().String())
	n.resp.addr = net.JoinHostPort(host, port)
	n.respAddr = n.resp.addr
	return err
}

// wireResp makes the server of the Redis protocol.
func (n *Node) wireResp() {
	cfg := &n.cfg
	n.resp.Server = resp.New(resp.Options{
		Name: cfg.Name, Version: cfg.Version, Limits: cfg.Limits, Log: n.log, SlowLog: n.slow,
		Port:      n.resp.listener.Addr().(*net.TCPAddr).Port,
		Write:     cfg.Resp.Write,
		Read:      cfg.Resp.Read,
		AuthToken: cfg.AuthToken,
		Flush:     !cfg.Resp.NoFlush,
		Evicts:    eviction(cfg),
		MaxConns:  n.bound.conns,

		MaxInBytes: cfg.Memory.RequestBytes, MaxOutBytes: cfg.Memory.AnswerBytes,
	}, n.plane, cluster{n.view, n.roster})
}

// respStats is where the counters of that server are read; nil: there is none.
func (n *Node) respStats() func() resp.Stats {
	if n.resp == nil {
		return nil
	}
	return func() resp.Stats { return n.resp.Stats() }
}

// serve serves clients of the Redis protocol, if the node speaks it, until the node stops.
func (r *respServer) serve(n *Node) {
	if r == nil {
		return
	}
	listener := r.listener
	if n.cfg.ServerTLS != nil {
		listener = tls.NewListener(listener, n.cfg.ServerTLS)
	}
	n.serving.Go(func() {
		if err := r.Serve(listener); err != nil {
			n.log.Error("serving the Redis protocol ended", "error", err)
			n.fail(err)
		}
	})
}

// stop is Shutdown of the server, if there is one.
func (r *respServer) stop(ctx context.Context) error {
	if r == nil {
		return nil
	}
	return r.Shutdown(ctx)
}

// close closes the socket of a server that does not run yet.
func (r *respServer) close() error {
	if r == nil {
		return nil
	}
	if err := r.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
