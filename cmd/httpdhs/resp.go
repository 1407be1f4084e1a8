package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/alecthomas/kong"

	"httpdhs/kv"
	"httpdhs/node"
)

// respFlags say whether and how a node speaks the Redis protocol.
type respFlags struct {
	RespPort  optionalPort `placeholder:"[=6379]" help:"Speak the Redis protocol too, on this port; 6379 without a value."`
	RespW     string       `default:"live" help:"Replicas that a write of that protocol waits for: one, quorum, all, live or a number."`
	RespR     string       `default:"one" help:"Replicas that a read of it asks: one, quorum, all or a number."`
	RespFlush string       `default:"yes" enum:"yes,no" help:"Whether FLUSHDB and FLUSHALL delete all keys: ${enum}."`
}

func (f *respFlags) check(port, replicas int) error {
	w, err := kv.ParseWriteLevel(f.RespW)
	if err != nil {
		return fmt.Errorf("--resp-w: %w", err)
	}
	r, err := kv.ParseReadLevel(f.RespR)
	if err != nil {
		return fmt.Errorf("--resp-r: %w", err)
	}
	if most := max(w.Required(replicas), r.Required(replicas)); most > replicas && replicas > 0 {
		return fmt.Errorf("--resp-w or --resp-r asks for %d replicas, and --replicas is %d", most, replicas)
	}
	if f.RespPort == 0 && (w != kv.LevelLive || r != kv.LevelOne || f.RespFlush == "no") {
		return errors.New("--resp-w, --resp-r and --resp-flush need --resp-port: without it there is no Redis protocol")
	}
	if int(f.RespPort) == port {
		return fmt.Errorf("--resp-port and --port are both %d: give each a port of its own", port)
	}
	return nil
}

// apply says it to the node.
func (f *respFlags) apply(cfg *node.Config, bind string) (err error) {
	if f.RespPort == 0 {
		return nil
	}
	cfg.Resp.Listen = net.JoinHostPort(bind, strconv.Itoa(int(f.RespPort)))
	cfg.Resp.NoFlush = f.RespFlush == "no"
	if cfg.Resp.Write, err = kv.ParseWriteLevel(f.RespW); err != nil {
		return err
	}
	cfg.Resp.Read, err = kv.ParseReadLevel(f.RespR)
	return err
}

// defaultRespPort is Redis's.
const defaultRespPort = 6379

// optionalPort is a port, which may be left out: then it is defaultRespPort. 0: the flag is not
// given.
type optionalPort int

// Decode reads the port of a flag, if there is one; kong calls it.
func (p *optionalPort) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Peek()
	text := next.String()
	switch _, err := strconv.Atoi(text); {
	case next.Type != kong.FlagValueToken && err != nil: // of another flag, or nothing
		*p = defaultRespPort
		return nil
	case ctx.Scan.Pop().Value == nil:
		return fmt.Errorf("no port")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("%.40q is no port: want 1 to 65535", text)
	}
	*p = optionalPort(port)
	return nil
}
