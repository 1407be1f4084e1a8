package server

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// splitTarget takes a request target apart as it was sent: nothing is decoded
// or tidied. An absolute target (http://host/path) counts from its path.
func splitTarget(target []byte) (path, query []byte) {
	if len(target) > 0 && target[0] != '/' {
		if _, rest, ok := bytes.Cut(target, []byte("://")); ok {
			if i := bytes.IndexAny(rest, "/?"); i >= 0 {
				target = rest[i:]
			} else {
				target = []byte("/")
			}
		}
	}
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i+1:]
	}
	return target, nil
}

var (
	headerContentLength    = []byte("Content-Length")
	headerTransferEncoding = []byte("Transfer-Encoding")
)

// framingFault refuses requests whose length two readers could see
// differently (RFC 9112, section 6.3). fasthttp refuses most of them; it lets
// through a Transfer-Encoding beside a Content-Length, and one of "identity",
// which no longer exists and which it takes for no encoding at all.
func framingFault(h *fasthttp.RequestHeader) error {
	length := h.ContentLength()
	if length > 0 && !h.ConnectionClose() {
		return nil // fasthttp marks one with both for closing
	}
	if !hasField(h.RawHeaders(), headerTransferEncoding) {
		return nil
	}
	if length != -1 {
		return badRequest("malformed request: the Transfer-Encoding is not one of HTTP/1.1; send chunked, or a Content-Length")
	}
	if hasField(h.RawHeaders(), headerContentLength) {
		return badRequest("malformed request: it has both a Content-Length and a Transfer-Encoding; send one of them")
	}
	return nil
}

// hasField says whether a header field of this name is among the raw headers.
func hasField(raw, name []byte) bool {
	for len(raw) > len(name) {
		if raw[0]|0x20 == name[0]|0x20 && raw[len(name)] == ':' && bytes.EqualFold(raw[:len(name)], name) {
			return true
		}
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			return false
		}
		raw = raw[i+1:]
	}
	return false
}
