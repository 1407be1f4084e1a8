package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"httpdhs/api"
	"httpdhs/client"
)

// overHTTP speaks HTTP/1.1.
type overHTTP struct{}

func (overHTTP) frame(data []byte, _ *pending, r *response) (ok bool, err error) {
	return parseHead(data, r)
}

// hello is empty: each request has the token.
func (overHTTP) hello(*Config) []byte { return nil }

func (overHTTP) greet(ctx context.Context, c *Config) error {
	ask, err := client.New(client.Options{Addrs: c.To[:1], Token: c.Token, Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("%w: --to: %w", ErrConfig, err)
	}
	defer ask.Close()
	_, err = ask.Get(ctx, "bench", nil)
	if errors.Is(err, client.ErrUnauthorized) || errors.Is(err, client.ErrWantsTLS) {
		return err
	}
	return nil
}

func (overHTTP) ring(ctx context.Context, c *Config) (*api.Ring, error) {
	ask, err := client.New(client.Options{Addrs: c.To, Token: c.Token, Timeout: c.Timeout})
	if err != nil {
		return nil, err
	}
	defer ask.Close()
	return ask.Ring(ctx)
}

func (overHTTP) servers(ctx context.Context, c *Config, names []string) []ServerInfo {
	list := serversCalled(names)
	ask, err := client.New(client.Options{Addrs: c.To, Token: c.Token, Timeout: min(c.Timeout, askTimeout)})
	if err != nil {
		return list
	}
	defer ask.Close()
	doc, err := ask.Cluster(ctx)
	if err != nil {
		return list
	}
	for i := range list {
		for _, n := range doc.Nodes {
			if strings.EqualFold(n.Name, list[i].Address) {
				list[i].Version = n.Version
			}
		}
	}
	return list
}

// askTimeout is how long a node may take to say who it is.
const askTimeout = 2 * time.Second

// serversCalled is what is known before any was asked.
func serversCalled(names []string) []ServerInfo {
	list := make([]ServerInfo, len(names))
	for i, name := range names {
		list[i].Address = name
	}
	return list
}
