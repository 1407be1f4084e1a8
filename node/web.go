package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"httpdhs/server"
)

// WebConfig says which web pages and which names lead to a node.
type WebConfig struct {
	// Origins are those of the pages that may read and write, beside the node's own console:
	// "https://app.example", or "*" alone for all.
	Origins []string

	// Hosts are names by which clients call the node, beside its own, without a port:
	// "kv.example", "*.example" for all that end so, or "*" for any. With one or more, it answers
	// to no other name, whatever address it listens on. An IP address is always good.
	Hosts []string
}

// Check says what is wrong with it.
func (c *WebConfig) Check() error {
	_, err := server.ParseOrigins(c.Origins)
	if err != nil {
		err = fmt.Errorf("--cors-origins has %w", err)
	}
	for _, host := range c.Hosts {
		if !hostPattern(host) {
			err = errors.Join(err, fmt.Errorf("--hosts has %.100q: want a name without scheme and port, kv.example or *.kv.example, or * for any", host))
		}
	}
	return err
}

// hostPattern says whether a name, or what names end with, may be one of Hosts.
func hostPattern(host string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(host, "*"), ".")
	return host == "*" || name != "" && !strings.ContainsAny(name, "*/:@[] \t") && host[0] != '.' && (host[0] != '*' || host[1] == '.')
}

// restricted says whether the node is given names.
func (c *WebConfig) restricted() bool { return len(c.Hosts) > 0 }

func (c *WebConfig) anyHost() bool { return slices.Contains(c.Hosts, "*") }

// has says whether a name, in lower case and without a port, is one of Hosts.
func (c *WebConfig) has(name string) bool {
	for _, host := range c.Hosts {
		end, isEnd := strings.CutPrefix(host, "*")
		if strings.EqualFold(name, host) || isEnd && len(name) > len(end) && strings.EqualFold(name[len(name)-len(end):], end) {
			return true
		}
	}
	return false
}

// origins are those of Check, which has found nothing wrong with them.
func (c *WebConfig) origins() *server.Origins {
	o, err := server.ParseOrigins(c.Origins)
	if err != nil {
		panic("BUG: origins that were checked: " + err.Error())
	}
	return o
}

// warnPages says that all pages may do what the user of a browser may.
func (n *Node) warnPages() {
	if n.cfg.AuthToken == "" && n.cfg.Web.origins().AllPages() {
		n.log.Warn("EVERY WEB PAGE that somebody opens who reaches this port may read, change and delete all data: "+
			"name the origins of your own pages in --cors-origins, or set --auth-token-file", "cors_origins", "*")
	}
}
