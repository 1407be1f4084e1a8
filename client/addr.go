package client

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// address is where a node is.
type address struct {
	host   string // host:port
	scheme string // http, https or empty
}

// parseAddr reads host:port, or the URL of a node.
func parseAddr(text string) (address, error) {
	if !strings.Contains(text, "://") {
		return address{host: text}, checkHostPort(text, text)
	}
	u, err := url.Parse(text)
	if err != nil {
		return address{}, fmt.Errorf("address %q is not a URL: %w", text, err)
	}
	defaultPort := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	switch {
	case defaultPort == "":
		return address{}, fmt.Errorf("address %q has the scheme %s: want http or https", text, u.Scheme)
	case u.User != nil:
		return address{}, fmt.Errorf("address %q has a user: nodes know no users, and a token goes to Options.Token",
			u.Redacted())
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return address{}, fmt.Errorf("address %q has more than a host and a port", text)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	return address{host, u.Scheme}, checkHostPort(text, host)
}

// checkHostPort refuses a host:port that nobody could dial. text is what the user has written.
func checkHostPort(text, hostPort string) error {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || host == "" || strings.ContainsAny(hostPort, "/?#@, \t") {
		return fmt.Errorf("address %q is not host:port, as in localhost:1234 or [::1]:1234", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q has the port %q: want a number from 1 to 65535", text, port)
	}
	return nil
}
