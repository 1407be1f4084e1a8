package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// confLine is one node of a --conf file.
type confLine struct {
	number int    // of the line, from 1
	addr   string // host:port as in the file
	host   string
	port   int
}

// readConf reads the nodes of a --conf file. Errors name the file and, where
// there is one, the line.
func readConf(name string) ([]confLine, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read --conf: %w", err)
	}
	defer f.Close()
	return parseConf(name, f)
}

// parseConf reads one host:port a line. Blank lines, and what follows a #, do
// not count.
func parseConf(name string, r io.Reader) ([]confLine, error) {
	var nodes []confLine
	seen := map[string]int{}
	lines := bufio.NewScanner(r)
	number := 0
	for lines.Scan() {
		number++
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
		if text == "" {
			continue
		}
		host, port, err := splitHostPort(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if unspecified(host) {
			return nil, fmt.Errorf("%s:%d: %w", name, number, errUnspecified(text))
		}
		key := strings.ToLower(net.JoinHostPort(host, strconv.Itoa(port)))
		if first := seen[key]; first != 0 {
			return nil, fmt.Errorf("%s:%d: %s is already in line %d: leave one of them out", name, number, text, first)
		}
		seen[key] = number
		nodes = append(nodes, confLine{number: number, addr: text, host: host, port: port})
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: the line is too long for a host:port", name, number+1)
	} else if err != nil {
		return nil, fmt.Errorf("cannot read --conf: %w", err)
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%s: no nodes: write one host:port a line", name)
	}
	return nodes, nil
}

// unspecified says whether a host is 0.0.0.0 or ::, which stand for all addresses of a machine and
// lead to none.
func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

func errUnspecified(addr string) error {
	return fmt.Errorf("%s is no address that others could reach: give one of the machine's", addr)
}

// hostBytesMax is the longest name that DNS has.
const hostBytesMax = 253

// splitHostPort takes a node's host:port apart.
func splitHostPort(addr string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(addr)
	if err != nil {
		var reason *net.AddrError
		if errors.As(err, &reason) {
			return "", 0, fmt.Errorf("%q is not host:port: %s", addr, reason.Err)
		}
		return "", 0, fmt.Errorf("%q is not host:port", addr)
	}
	if host == "" {
		return "", 0, fmt.Errorf("%q has no host: write host:port", addr)
	}
	if len(host) > hostBytesMax {
		return "", 0, fmt.Errorf("%q is not host:port: the host has %d bytes, want at most %d", addr[:16]+"…", len(host), hostBytesMax)
	}
	bad := strings.IndexFunc(host, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`/\?#@,"'`, r)
	})
	if bad >= 0 {
		return "", 0, fmt.Errorf("%q is not host:port: %q is no host", addr, host)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || digits[0] == '0' {
		return "", 0, fmt.Errorf("%q has a bad port: want 1 to 65535", addr)
	}
	return host, int(n), nil
}
