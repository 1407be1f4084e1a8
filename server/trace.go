package server

import (
	"log/slog"

	"github.com/valyala/fasthttp"
)

// traceparent is how a client says of which trace a request is, and of which span in it (W3C Trace
// Context).
const traceparent = "traceparent"

// appendTrace adds what a request says of its trace to a line of the log.
func appendTrace(attrs []slog.Attr, h *fasthttp.RequestHeader) []slog.Attr {
	lines := h.PeekAll(traceparent)
	if len(lines) != 1 {
		return attrs
	}
	trace, span, ok := parseTraceparent(lines[0])
	if !ok {
		return attrs
	}
	return append(attrs, slog.String("trace", string(trace)), slog.String("span", string(span)))
}

// parseTraceparent reads a traceparent: version, trace, span and flags, in hexadecimal digits of
// lower case, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01. Later versions may
// have more behind that. One that is malformed is to be ignored, as its standard says.
func parseTraceparent(field []byte) (trace, span []byte, ok bool) {
	const (
		traceAt, spanAt, flagsAt = 3, 36, 53
		size                     = flagsAt + 2
	)
	if len(field) < size || field[traceAt-1] != '-' || field[spanAt-1] != '-' || field[flagsAt-1] != '-' {
		return nil, nil, false
	}
	version, flags := field[:traceAt-1], field[flagsAt:size]
	trace, span = field[traceAt:spanAt-1], field[spanAt:flagsAt-1]
	if !hexadecimal(version) || !hexadecimal(trace) || !hexadecimal(span) || !hexadecimal(flags) || string(version) == "ff" {
		return nil, nil, false
	}
	if rest := field[size:]; len(rest) > 0 && (string(version) == "00" || rest[0] != '-') {
		return nil, nil, false
	}
	return trace, span, !zeros(trace) && !zeros(span)
}

func hexadecimal(b []byte) bool {
	for _, c := range b {
		if !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}
