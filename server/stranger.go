package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// Any page that a user opens may have the browser send requests to nodes that the browser can
// reach, above all to those on the user's own machine. The browser keeps the answer from the page,
// but a write has been done by then. A page whose name is made to point to this node (DNS
// rebinding) is of the node's own origin for the browser, and reads the answers too.
//
// This file refuses both, by what browsers say of each request and no page can change. Other
// clients say nothing of it and are let through.

var (
	headerOrigin    = []byte("Origin")
	headerFetchSite = []byte("Sec-Fetch-Site")

	localhostEnd = []byte(".localhost")
)

// gate refuses pages of other sites, and clients without the token.
type gate struct {
	name  string                 // of this node
	knows func(host string) bool // Options.OwnHost
	pages *Origins               // Options.Origins
	token string                 // of clients; "": they need none
}

// strangerFault refuses a request that a page of another site has a browser
// send. It is looked at before anything of the request is used.
func (g *gate) strangerFault(ctx *fasthttp.RequestCtx) error {
	h := &ctx.Request.Header
	if g.knows != nil && !g.ownHost(h.Host()) && !asksForLink(h) {
		return forbidden("the Host %.100q is no name of this node: a web page could have its name lead here. "+
			"Use localhost, an IP address, a member's name or one of --hosts; a proxy in front has to send one of these as Host", h.Host())
	}
	if h.IsGet() || h.IsHead() || h.IsOptions() || g.pages.allowsRequest(ctx) {
		return nil
	}
	c := connOf(ctx)
	if c.has&hasFetchSite != 0 {
		// same-site is no better than cross-site: it may be another port of localhost.
		for _, site := range h.PeekAll(string(headerFetchSite)) {
			if string(site) != "same-origin" && string(site) != "none" {
				return forbidden("a web page of another origin has sent this request (Sec-Fetch-Site: %.100q), and such pages may not write: %s", site, elseSend)
			}
		}
	}
	if c.has&hasOrigin != 0 {
		_, isTLS := c.Conn.(*tls.Conn)
		for _, origin := range h.PeekAll(fasthttp.HeaderOrigin) {
			if !ownOrigin(origin, h.Host(), isTLS) {
				return forbidden("a web page of another origin has sent this request (Origin: %.100q), and such pages may not write: %s", origin, elseSend)
			}
		}
	}
	return nil
}

// elseSend says what to do instead.
const elseSend = "send it from the node's own console or from a program that is no browser, or name the page's origin in --cors-origins; " +
	"a proxy in front has to pass Host on"

func forbidden(format string, args ...any) error {
	return &statusError{fasthttp.StatusForbidden, fmt.Sprintf(format, args...)}
}

// ownOrigin says whether pages of an origin may write: those that the node has
// served itself. A node without TLS may have a proxy in front that speaks it.
func ownOrigin(origin, host []byte, isTLS bool) bool {
	scheme, of, ok := bytes.Cut(origin, []byte("://"))
	return ok && len(host) > 0 && bytes.EqualFold(of, host) &&
		(string(scheme) == "https" || string(scheme) == "http" && !isTLS)
}

// ownHost says whether a Host header, port included, names this node. None at
// all is not from a browser.
func (g *gate) ownHost(host []byte) bool {
	if len(host) == 0 || g.name == unsafe.String(&host[0], len(host)) || FixedHost(host) {
		return true
	}
	return g.knows(strings.ToLower(string(hostName(host))))
}

// FixedHost says whether nobody can change where a Host header, port included, leads. It is an IP
// address, localhost, or a name that ends in .localhost (RFC 6761, section 6.3). Other names
// without a dot are not fixed. Whoever answers LLMNR or NetBIOS in the user's network, or gives out
// its search domain, leads them where they like.
func FixedHost(host []byte) bool {
	name := hostName(host)
	if len(name) == 0 {
		return false
	}
	if end := len(name) - len(localhostEnd); end > 0 && bytes.EqualFold(name[end:], localhostEnd) || bytes.EqualFold(name, localhostEnd[1:]) {
		return true
	}
	_, err := netip.ParseAddr(unsafe.String(&name[0], len(name))) // which keeps it in errors alone
	return err == nil
}

// hostName is a Host header without its port, the brackets of an IPv6 address,
// and the dot that may end a name.
func hostName(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if end := bytes.IndexByte(host, ']'); end > 0 && (end == len(host)-1 || host[end+1] == ':') {
			return host[1:end]
		}
		return host
	}
	if i := bytes.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	return bytes.TrimSuffix(host, []byte("."))
}
