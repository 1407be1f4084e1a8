package server

import (
	"bytes"
	"net/netip"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// head reads the head of a request, its request line and its header fields, as strictly as RFC
// 9112 writes it: what a proxy in front could read in another way is refused before anything is
// done. fasthttp, which reads it again for its values, is lenient in line ends, folded lines and
// blanks in names.
//
// It looks at each byte once, also where the head comes in pieces.
type head struct {
	at      int  // where the next line begins
	lines   int  // that were read, the request line included
	blank   bool // there was an empty line in front
	minor   byte // of the version, HTTP/1.x: '0' to '9'
	minorAt int  // where it is

	hosts   int
	named   bool  // the target names a host too
	length  int64 // of the body; -1: there is no Content-Length
	chunked bool
	expects bool // "100-continue"

	has fieldSet
}

// fieldSet says which of the rare header fields a request has. To look here is cheaper than to ask
// fasthttp for each.
type fieldSet uint8

const (
	hasOrigin fieldSet = 1 << iota
	hasFetchSite
	hasCacheControl
	hasContentEncoding
	hasContentRange
	hasRange
	hasCondition // any whose name begins with "If-"
)

// rareFields are the names of the first of them, in that order.
var rareFields = [...][]byte{headerOrigin, headerFetchSite, headerCacheControl, headerContentEncoding, headerContentRange, headerRange}

// The faults of framing. Each ends the connection.
var (
	errLineEnd      = badFraming("a line does not end with CR LF")
	errFold         = badFraming("a header is folded over several lines: send it in one")
	errName         = badFraming("a line has no header name: send a name, a colon and a value")
	errNameBlank    = badFraming("there is a blank in a header name or before its colon")
	errControl      = badFraming("there is a control character in a header")
	errRequestLine  = badFraming("the request line is not METHOD target HTTP/1.1, with one blank between each two")
	errTarget       = badFraming("the request target does not begin with a slash or a scheme, or has a character that has to be percent-encoded")
	errNoHost       = badFraming("HTTP/1.1 needs a Host header")
	errHosts        = badFraming("there is more than one Host header")
	errHost         = badFraming("the Host is not the name or address of one, and perhaps a port")
	errOtherHost    = badFraming("the request target names another host than the Host header, or there is no such header")
	errLength       = badFraming("the Content-Length is not a number of bytes")
	errLengths      = badFraming("there is more than one Content-Length")
	errCoding       = badFraming("the Transfer-Encoding is not one of HTTP/1.1; send chunked, or a Content-Length")
	errLengthCoding = badFraming("it has both a Content-Length and a Transfer-Encoding; send one of them")
	errVersion      = &statusError{505, "this node speaks HTTP/1.1 and HTTP/1.0"}
)

func badFraming(msg string) error { return badRequest("malformed request: " + msg) }

// scan goes on through b, which begins where it did before and may have grown, and says whether
// the head is complete.
func (h *head) scan(b []byte) (complete bool, err error) {
	for {
		n := bytes.IndexByte(b[h.at:], '\n')
		if n < 0 {
			return false, nil
		}
		start := h.at
		h.at += n + 1
		if n == 0 || b[h.at-2] != '\r' {
			return false, errLineEnd
		}
		line := b[start : h.at-2]
		switch {
		case len(line) == 0 && h.lines > 0:
			return true, h.fault()
		case len(line) == 0 && !h.blank:
			// Behind the body before, as old clients send it (RFC 9112, section 2.2).
			h.blank = true
			continue
		case h.lines == 0:
			err = h.requestLine(line, start)
		default:
			err = h.field(line)
		}
		if err != nil {
			return false, err
		}
		h.lines++
	}
}

// requestLine reads a line that begins at start.
func (h *head) requestLine(line []byte, start int) error {
	const version = "HTTP/"
	h.length = -1
	method := bytes.IndexByte(line, ' ')
	if method <= 0 || tokenEnd(line) != method {
		return errRequestLine
	}
	target := line[method+1:]
	end := bytes.IndexByte(target, ' ')
	if end <= 0 {
		return errRequestLine
	}
	proto := target[end+1:]
	if len(proto) != len("HTTP/1.1") || string(proto[:len(version)]) != version || proto[6] != '.' || !digit(proto[5]) || !digit(proto[7]) {
		return errRequestLine
	}
	if proto[5] != '1' {
		return errVersion
	}
	h.minor, h.minorAt = proto[7], start+len(line)-1
	target = target[:end]
	if hasControl(target) {
		return errTarget
	}
	if target[0] != '/' {
		return h.otherTarget(line[:method], target)
	}
	return nil
}

// otherTarget judges a target that is no path.
func (h *head) otherTarget(method, target []byte) error {
	if scheme, host, ok := splitAbsolute(target); ok {
		if len(scheme) == 0 || tokenEnd(scheme) != len(scheme) || !isHost(host) {
			return errTarget
		}
		h.named = true
		return nil
	}
	if string(target) == "*" && string(method) == fasthttp.MethodOptions || string(method) == fasthttp.MethodConnect {
		return nil
	}
	return errTarget
}

func (h *head) field(line []byte) error {
	name, value, err := splitField(line)
	if err != nil {
		return err
	}
	switch len(name) {
	case len("Host"):
		if bytes.EqualFold(name, headerHost) {
			if h.hosts++; h.hosts > 1 {
				return errHosts
			}
			if !isHost(value) {
				return errHost
			}
		}
	case len("Expect"):
		if bytes.EqualFold(name, headerExpect) {
			h.expects = bytes.EqualFold(value, valueContinue)
		}
	case len("Content-Length"):
		if bytes.EqualFold(name, headerContentLength) {
			if h.length >= 0 {
				return errLengths
			}
			return h.parseLength(value)
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, headerTransferEncoding) {
			if h.chunked || !bytes.EqualFold(value, valueChunked) {
				return errCoding
			}
			h.chunked = true
		}
	}
	if len(name) > 3 && name[0]|0x20 == 'i' && name[1]|0x20 == 'f' && name[2] == '-' {
		h.has |= hasCondition
	}
	for i, rare := range rareFields {
		if len(name) == len(rare) && bytes.EqualFold(name, rare) {
			h.has |= 1 << i
		}
	}
	return nil
}

var (
	headerHost             = []byte("Host")
	headerExpect           = []byte("Expect")
	headerContentLength    = []byte("Content-Length")
	headerTransferEncoding = []byte("Transfer-Encoding")
	headerContentRange     = []byte("Content-Range")
	valueContinue          = []byte("100-continue")
	valueChunked           = []byte("chunked")
)

func (h *head) parseLength(value []byte) error {
	const digitsMax = 18 // all of them fit
	if len(value) == 0 || len(value) > digitsMax {
		return errLength
	}
	h.length = 0
	for _, c := range value {
		if !digit(c) {
			return errLength
		}
		h.length = 10*h.length + int64(c-'0')
	}
	return nil
}

// fault is what only all fields together show.
func (h *head) fault() error {
	switch {
	case h.hosts == 0 && h.minor != '0':
		return errNoHost
	case h.chunked && h.length >= 0:
		return errLengthCoding
	case h.chunked && h.minor == '0':
		return errCoding
	}
	return nil
}

// splitField takes a line of a header, or of a trailer, apart.
func splitField(line []byte) (name, value []byte, err error) {
	colon := tokenEnd(line)
	switch {
	case colon == len(line):
		return nil, nil, errName
	case line[colon] == ':' && colon > 0:
	case colon == 0 && blank(line[0]):
		return nil, nil, errFold
	case blank(line[colon]):
		return nil, nil, errNameBlank
	default:
		return nil, nil, errName
	}
	value = bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, errControl
		}
	}
	return line[:colon], value, nil
}

// isHost says whether a Host header, or an authority, may have this value: a name, an IPv4 address
// or an IPv6 address in brackets, and perhaps a port. An empty one is refused: every target of ours
// has an authority. So is what else RFC 3986 allows in names, such as percent-encoding: no name
// that is looked up has it, and who finds a host in it may find another.
func isHost(value []byte) bool {
	name, port := value, []byte(nil)
	if i := bytes.LastIndexByte(value, ':'); i >= 0 && value[len(value)-1] != ']' {
		name, port = value[:i], value[i+1:]
	}
	for _, c := range port {
		if !digit(c) {
			return false
		}
	}
	if len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']' {
		return isIPv6(name[1 : len(name)-1])
	}
	for _, c := range name {
		if !nameByte[c] {
			return false
		}
	}
	return len(name) > 0 && len(port) <= len("65535")
}

func isIPv6(b []byte) bool {
	addr, err := netip.ParseAddr(unsafe.String(&b[0], len(b))) // which keeps it in errors alone
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// splitAbsolute takes the scheme and the host of an absolute target (http://host/path).
func splitAbsolute(target []byte) (scheme, host []byte, ok bool) {
	scheme, host, ok = bytes.Cut(target, []byte("://"))
	if i := bytes.IndexAny(host, "/?"); i >= 0 {
		host = host[:i]
	}
	return scheme, host, ok
}

// tokenEnd is how many bytes of a token (RFC 9110, section 5.6.2) b begins with.
func tokenEnd(b []byte) int {
	for i, c := range b {
		if !tokenByte[c] {
			return i
		}
	}
	return len(b)
}

func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

var (
	tokenByte = byteSet(alphanumeric + "!#$%&'*+-.^_`|~")
	nameByte  = byteSet(alphanumeric + "-._~")
)

func byteSet(members string) (set [256]bool) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}
