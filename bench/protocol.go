package bench

import (
	"context"

	"httpdhs/api"
)

// Protocol is what the nodes are spoken to in.
type Protocol string

const (
	HTTP Protocol = "http"
	RESP Protocol = "resp" // that of Redis, version 2
)

// framing finds answers in what was read.
type framing interface {
	// frame finds the answer to p at the start of data. Not ok without an error: its end, or that
	// of its head, is not there yet. After an error its connection is of no more use.
	frame(data []byte, p *pending, r *response) (ok bool, err error)
}

// protocol is all that is different between HTTP and RESP. A request is a copy of a template, so
// its making costs the same in each. Answers are told in the statuses of HTTP, which all workloads
// judge by. One that is an error in RESP has a kind of its own, too.
type protocol interface {
	framing

	// templates makes the requests to the node that is called host.
	templates(c *Config, host string) *templates

	// hello is what a connection begins with; it has one answer. Empty: nothing.
	hello(c *Config) []byte

	// greet finds out before the load what would fail all of it: a token that is not that of the
	// nodes, or TLS. Whatever else is wrong, also that a node takes longer, the run tells.
	greet(ctx context.Context, c *Config) error

	// ring asks the nodes for their ring.
	ring(ctx context.Context, c *Config) (*api.Ring, error)

	// servers asks the nodes who they are. Those that do not say are still there.
	servers(ctx context.Context, c *Config, names []string) []ServerInfo
}

// spoken is the protocol of the settings.
func (c *Config) spoken() protocol {
	if c.Protocol == RESP {
		return overRESP{}
	}
	return overHTTP{}
}
