package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"httpdhs/api"
	"httpdhs/client"
)

// overRESP speaks the protocol of Redis, in its version 2, which every server of it knows.
type overRESP struct{}

var (
	crlf     = []byte("\r\n")
	respOK   = []byte("OK")
	respNull = []byte("-1")
)

// frame knows the answers to what is asked: the "+OK" of SET and AUTH, the number of DEL and INCR,
// and the value of GET. Any other is no success, and an error of the server is of a kind of its
// own.
func (overRESP) frame(data []byte, p *pending, r *response) (ok bool, err error) {
	switch data[0] {
	case '+', '-', ':', '$':
	default:
		return false, errMalformed
	}
	end := bytes.IndexByte(data, '\n')
	switch {
	case end > headBytesMax || end < 0 && len(data) > headBytesMax:
		return false, errTooLarge
	case end < 0:
		return false, nil
	case data[end-1] != '\r':
		return false, errMalformed
	}
	line := data[1 : end-1]
	switch data[0] {
	case '$':
		return true, r.bulkString(data, line, p.op)
	case ':':
		if !isNumber(line) {
			return false, errMalformed
		}
		*r = response{status: statusOfNumber(p.op), head: 1, body: len(line), tail: len(crlf)}
	case '+':
		*r = response{head: end + 1}
		if bytes.Equal(line, respOK) && (p.op == opPut || p.op == opHello) {
			r.status = 204
		}
	case '-':
		*r = response{head: end + 1}
		r.status, r.kind = errorOf(string(line))
	}
	if r.status == 0 {
		r.kind = kindContent
	}
	return true, nil
}

// bulkString reads the answer to a GET.
func (r *response) bulkString(data, line []byte, asked op) error {
	head := 1 + len(line) + len(crlf)
	*r = response{status: 200, head: head}
	if bytes.Equal(line, respNull) {
		r.status = 404
	} else {
		n, err := parseLength(line)
		if err != nil {
			return err
		}
		r.body, r.tail = n, len(crlf)
		if after := data[head:]; len(after) >= n+r.tail && !bytes.HasPrefix(after[n:], crlf) {
			return errMalformed
		}
	}
	if asked != opGet {
		r.status, r.kind = 0, kindContent
	}
	return nil
}

// statusOfNumber is 0 where no number was asked for.
func statusOfNumber(asked op) int {
	switch asked {
	case opIncr:
		return 200
	case opDelete:
		return 204
	}
	return 0
}

// isNumber says whether text is what INCR answers.
func isNumber(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("-"))
	for _, b := range text {
		if b < '0' || b > '9' {
			return false
		}
	}
	return len(text) > 0
}

// errorOf is what an error comes to: a status that says whether the write may have been done, and
// its kind. That is its code. ERR is said of many things, so there the text belongs to it, up to
// what a name or a number begins with: a kind for each key would be too many.
func errorOf(line string) (status int, kind string) {
	code, text, _ := strings.Cut(line, " ")
	switch status = 503; code { // which leaves open whether it was done
	case "ERR", "WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM", "READONLY":
		status = 400
	}
	if code == "ERR" {
		if end := strings.IndexAny(text, `'",:;(<0123456789`); end >= 0 {
			text = text[:end]
		}
		code = strings.TrimSpace("ERR " + text[:min(len(text), errorTextMax)])
	}
	return status, "error " + code[:min(len(code), errorTextMax)]
}

// errorTextMax is how much of an error's text belongs to its kind.
const errorTextMax = 60

// appendCommand appends a command: an array of strings.
func appendCommand(dst []byte, args ...string) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n", len(args))
	for _, arg := range args {
		dst = fmt.Appendf(dst, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return dst
}

func (overRESP) templates(c *Config, _ string) *templates {
	single := func(name string, value ...string) template {
		text := appendCommand(nil, append([]string{name, filler(c.KeySize)}, value...)...)
		t := template{text: text}
		end := len(text) - len(crlf)
		for _, v := range value { // one, or none
			t.value = end - len(v)
			end = t.value - len(fmt.Sprintf("\r\n$%d\r\n", len(v)))
		}
		t.key = end - c.KeySize
		return t
	}
	return &templates{get: single("GET"), put: single("SET", valueOf(c)), del: single("DEL"), incr: single("INCR")}
}

func (overRESP) hello(c *Config) []byte {
	if c.Token == "" {
		return nil
	}
	return appendCommand(nil, "AUTH", c.Token)
}

func (o overRESP) greet(ctx context.Context, c *Config) error {
	said, err := o.ask(ctx, c, c.To[0], time.Second, "PING")
	switch {
	case errors.Is(err, client.ErrUnauthorized), errors.Is(err, ErrConfig):
		return err
	case err != nil && speaksTLS(ctx, c.To[0]):
		return client.ErrWantsTLS
	case strings.HasPrefix(said, "-NOAUTH"):
		return fmt.Errorf("%w: %s", client.ErrUnauthorized, said[1:])
	}
	return nil
}

// ring is not to be had.
func (overRESP) ring(context.Context, *Config) (*api.Ring, error) {
	return nil, errors.New("the ring is told over HTTP alone")
}

func (o overRESP) servers(ctx context.Context, c *Config, names []string) []ServerInfo {
	list := serversCalled(names)
	for i, name := range names {
		said, err := o.ask(ctx, c, name, min(c.Timeout, askTimeout), "INFO", "server")
		if err == nil {
			list[i].Version = versionIn(said)
		}
	}
	return list
}

// versionIn reads what INFO says.
func versionIn(info string) string {
	const redis, own = "redis_version:", "httpdhs_version:"
	version := ""
	for line := range strings.Lines(info) {
		line = strings.TrimSpace(line)
		if of, ok := strings.CutPrefix(line, own); ok {
			return of
		}
		if of, ok := strings.CutPrefix(line, redis); ok {
			version = "redis " + of
		}
	}
	return version
}

// speaksTLS says whether a node that did not answer shakes hands. A server of TLS may say so to
// those who speak none, or just hang up.
func speaksTLS(ctx context.Context, node string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // nothing is said to it
	conn, err := d.DialContext(ctx, "tcp", node)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// ask asks one node, on a connection of its own. What it says is a line with its type before it,
// or a value.
func (o overRESP) ask(ctx context.Context, c *Config, node string, timeout time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", node)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	in := bufio.NewReader(conn)
	if hello := o.hello(c); hello != nil {
		said, err := exchange(conn, in, node, hello)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(said, "-") {
			return "", fmt.Errorf("%w: AUTH is answered with: %s", client.ErrUnauthorized, said[1:])
		}
	}
	return exchange(conn, in, node, appendCommand(nil, args...))
}

// exchange sends a command and reads its answer.
func exchange(out io.Writer, in *bufio.Reader, node string, command []byte) (string, error) {
	if _, err := out.Write(command); err != nil {
		return "", err
	}
	first, err := in.Peek(1)
	switch {
	case err != nil:
		return "", err
	case first[0] == 'H':
		return "", fmt.Errorf("%w: --protocol is resp, but %s speaks HTTP: --to takes the addresses of RESP then", ErrConfig, node)
	}
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	n, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
	if !strings.HasPrefix(line, "$") || err != nil || n < 0 || n > headBytesMax {
		return line, nil
	}
	value := make([]byte, n)
	_, err = io.ReadFull(in, value)
	return string(value), err
}
