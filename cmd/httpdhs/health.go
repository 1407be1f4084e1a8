package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"httpdhs/api"
)

// healthCmd asks a node how it is: for containers, in which there is no curl.
type healthCmd struct {
	Ready   bool          `help:"Ask whether it is ready to serve its share (/readyz), and not only whether it lives (/healthz)."`
	To      string        `env:"-" placeholder:"HOST:PORT" help:"The node to ask. By default the one of this machine that the next three describe."`
	Port    int           `default:"1234" help:"Its --port."`
	Bind    string        `default:"127.0.0.1" help:"Its --bind."`
	TLSCert string        `name:"tls-cert" placeholder:"FILE" help:"Its --tls-cert: it speaks TLS. The file is not read."`
	TLSCA   string        `name:"tls-ca" placeholder:"FILE" help:"Authorities (PEM) for the certificate of the node that --to names. It turns TLS on, as does https:// before the address."`
	Timeout time.Duration `default:"5s" help:"How long it may take to answer."`
}

// Help is what "httpdhs healthcheck --help" says in addition.
func (healthCmd) Help() string {
	return "The exit status is 0 if the node answers that it is well, else 1, and stderr has the reason.\n\n" +
		"In the environment of a server it asks that server and needs no flag. A token is not needed. Of a node on this machine the certificate is not checked, since it is for the name by which others call it, and nothing secret is sent."
}

// Validate is called by kong: what is wrong here is a fault in the usage.
func (cmd *healthCmd) Validate() error {
	switch {
	case cmd.Port < 1 || cmd.Port > 65535:
		return fmt.Errorf("--port is %d, want 1 to 65535", cmd.Port)
	case cmd.Timeout == 0:
		return errors.New("--timeout is 0, want more")
	}
	_, _, err := cmd.target()
	return err
}

// target is the address to ask, and whether TLS is spoken there.
func (cmd *healthCmd) target() (addr string, secure bool, err error) {
	if cmd.To == "" {
		host := strings.TrimSuffix(strings.TrimPrefix(cmd.Bind, "["), "]")
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
			if ip.To4() == nil {
				host = "::1"
			}
		}
		return net.JoinHostPort(host, strconv.Itoa(cmd.Port)), cmd.TLSCert != "", nil
	}
	addr, secure = strings.CutPrefix(cmd.To, "https://")
	if !secure {
		addr = strings.TrimPrefix(addr, "http://")
	}
	if _, _, err := splitHostPort(strings.TrimSuffix(addr, "/")); err != nil {
		return "", false, fmt.Errorf("--to: %w", err)
	}
	return strings.TrimSuffix(addr, "/"), secure || cmd.TLSCA != "", nil
}

func (cmd *healthCmd) Run(ctx context.Context, term *terminal) error {
	addr, secure, err := cmd.target()
	if err != nil {
		return &usageError{err}
	}
	path, asked := "/healthz", "healthy"
	if cmd.Ready {
		path, asked = "/readyz", "ready"
	}
	at := url.URL{Scheme: "http", Host: addr, Path: path}
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy
	if secure {
		at.Scheme = "https"
		if transport.TLSClientConfig, err = cmd.tls(); err != nil {
			return &usageError{err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return &usageError{err}
	}
	req.Header.Set("User-Agent", "httpdhs/"+versionName())
	res, err := transport.RoundTrip(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", cmd.Timeout)
		}
		return fmt.Errorf("%s is not %s: %w", addr, asked, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	switch {
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s is not %s: %s", addr, asked, reasonOf(res, body))
	case err != nil:
		return fmt.Errorf("%s is not %s: %w", addr, asked, err)
	}
	_, err = term.out.Write(body)
	return err
}

// tls is how the node is spoken to over TLS.
func (cmd *healthCmd) tls() (*tls.Config, error) {
	if cmd.To != "" {
		return clientTLS(cmd.TLSCA)
	}
	// A file that was replaced since the server read it would not fit either.
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, nil
}

// reasonOf is why a node answers with something else than 200.
func reasonOf(res *http.Response, body []byte) string {
	var doc api.Error
	if json.Unmarshal(body, &doc) == nil && doc.Error != "" {
		return doc.Error
	}
	return "it answers " + res.Status
}
