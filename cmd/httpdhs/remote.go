package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"strings"
	"time"

	"httpdhs/client"
)

// clientFlags are those of every command that speaks to a cluster.
type clientFlags struct {
	To []string `default:"localhost:1234" help:"Nodes to ask, any of the cluster."`
	connFlags
}

// connFlags say how to speak to nodes.
type connFlags struct {
	AuthTokenFile string        `aliases:"token-file" placeholder:"FILE" help:"File with the token that the nodes want."`
	TLSCA         string        `name:"tls-ca" placeholder:"FILE" help:"Authorities (PEM) for the certificates of the nodes. It turns TLS on, as does https:// before an address."`
	Timeout       time.Duration `default:"10s" help:"How long a request may take."`
}

// connect makes the client that the flags describe.
func (f *clientFlags) connect() (*client.Client, error) { return f.connectTo("--to", f.To) }

// connectTo makes a client of nodes that a flag names.
func (f *connFlags) connectTo(flag string, addrs []string) (*client.Client, error) {
	token, err := readSecret("--auth-token-file", f.AuthTokenFile)
	if err != nil {
		return nil, &usageError{err}
	}
	var config *tls.Config
	if f.TLSCA != "" {
		if config, err = clientTLS(f.TLSCA); err != nil {
			return nil, &usageError{err}
		}
	}
	if f.Timeout == 0 {
		return nil, usagef("--timeout is 0, want more")
	}
	c, err := client.New(client.Options{
		Addrs:     addrs,
		Token:     token,
		TLS:       config,
		Timeout:   f.Timeout,
		UserAgent: "httpdhs/" + versionName(),
	})
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	return c, nil
}

// at is connect to other nodes of the same cluster, by their names.
func (f *clientFlags) at(names []string) (*client.Client, error) {
	other := f.to(names)
	return other.connect()
}

// to are the flags, for other nodes of the same cluster.
func (f *clientFlags) to(names []string) clientFlags {
	other := *f
	other.To = nil
	for _, name := range names {
		if strings.HasPrefix(f.To[0], "https://") {
			name = "https://" + name
		}
		other.To = append(other.To, name)
	}
	return other
}

// outputFlags are those of the commands that print a document.
type outputFlags struct {
	Output string `short:"o" default:"table" enum:"table,json" help:"What to print: ${enum}."`
}

func printJSON(out io.Writer, doc any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}
