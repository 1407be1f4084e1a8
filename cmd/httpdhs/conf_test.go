package main

import (
	"net"
	"strings"
	"testing"
)

// A --conf file is read as people write it, and what is wrong with it is told
// with the line.
func TestParseConf(t *testing.T) {
	for _, tc := range []struct{ name, file, want, err string }{
		{"plain", "localhost:1234\nlocalhost:1235\n", "localhost:1234 localhost:1235", ""},
		{"comments and blanks", "# nodes\n\n  a:1 # first\n\t\nb:2#second", "a:1 b:2", ""},
		{"other line ends and a mark", "\ufeffa:1\r\nb:2\r\n", "a:1 b:2", ""},
		{"IPv6", "[::1]:1234\n", "[::1]:1234", ""},
		{"no port", "a:1\n\nb\n", "", `f:3: "b" is not host:port: missing port in address`},
		{"empty port", "a:\n", "", `f:1: "a:" has a bad port: want 1 to 65535`},
		{"port zero", "a:0\n", "", `f:1: "a:0" has a bad port: want 1 to 65535`},
		{"port too large", "a:65536\n", "", `f:1: "a:65536" has a bad port: want 1 to 65535`},
		{"port with a name", "a:http\n", "", `f:1: "a:http" has a bad port: want 1 to 65535`},
		{"no host", ":1234\n", "", `f:1: ":1234" has no host: write host:port`},
		{"bare IPv6", "::1:1234\n", "", `f:1: "::1:1234" is not host:port: too many colons in address`},
		{"URL", "http://a:1\n", "", `f:1: "http://a:1" is not host:port: too many colons in address`},
		{"two on a line", "a:1 b:2\n", "", `f:1: "a:1 b:2" is not host:port: too many colons in address`},
		{"space", "a b:2\n", "", `f:1: "a b:2" is not host:port: "a b" is no host`},
		{"twice", "a:1\nb:1\nA:1\n", "", "f:3: A:1 is already in line 1: leave one of them out"},
		{"nothing", "# none yet\n", "", "f: no nodes: write one host:port a line"},
		{"endless line", "a:1\n" + strings.Repeat("x", 1<<17), "", "f:2: the line is too long for a host:port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nodes, err := parseConf("f", strings.NewReader(tc.file))
			var got []string
			for _, n := range nodes {
				got = append(got, n.addr)
			}
			if text := errText(err); text != tc.err || strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, error %q", got, text)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A node knows itself by --advertise, else by its port and any of the ways to
// write this machine; what is not certain is an error.
func TestFindSelf(t *testing.T) {
	self := &machine{
		hostname: "box",
		addrs:    []net.IP{net.ParseIP("10.0.0.5"), net.ParseIP("2001:db8::5")},
		lookup: func(host string) []net.IP {
			switch host {
			case "box.example.org":
				return []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("10.0.0.5")}
			case "other.example.org":
				return []net.IP{net.ParseIP("10.0.0.6")}
			}
			return nil
		},
	}
	const none = "f: no line is this node: none has port 1 and an address of this machine; set --port or --advertise"
	for _, tc := range []struct{ file, advertise, want, err string }{
		{"localhost:1 localhost:2", "", "localhost:1", ""},
		{"127.0.0.1:1 10.0.0.6:1", "", "127.0.0.1:1", ""},
		{"[::1]:1 10.0.0.6:1", "", "[::1]:1", ""},
		{"10.0.0.6:1 10.0.0.5:1", "", "10.0.0.5:1", ""},
		{"[2001:db8::5]:1 10.0.0.6:1", "", "[2001:db8::5]:1", ""},
		{"BOX:1 other.example.org:1", "", "BOX:1", ""},
		{"box.example.org:1 other.example.org:1", "", "box.example.org:1", ""},
		{"other.example.org:1 nowhere.example.org:1", "", "", none},
		{"localhost:2", "", "", none},
		{"localhost:1 10.0.0.6:1 box:1", "", "", "f: lines 1 (localhost:1) and 3 (box:1) both fit this node; say which with --advertise"},
		{"localhost:1 box:1", "box:1", "box:1", ""},
		{"localhost:1 other.example.org:7", "other.example.org:7", "other.example.org:7", ""},
		{"localhost:1", "localhost:9", "", "f: no line is --advertise localhost:9: add it, or give --advertise as a line has it"},
	} {
		nodes, err := parseConf("f", strings.NewReader(strings.ReplaceAll(tc.file, " ", "\n")))
		if err != nil {
			t.Fatal(err)
		}
		got, err := findSelf("f", nodes, tc.advertise, 1, self)
		if got != tc.want || errText(err) != tc.err {
			t.Errorf("%s (advertise %q): got %q, error %q", tc.file, tc.advertise, got, errText(err))
		}
	}
}

// Two lines of a --conf file that lead to one address and port are one node. They may be names,
// addresses, or ways to write one. Where a host cannot be looked up, or only the port is the same,
// nothing is said.
func TestLinesApart(t *testing.T) {
	self := &machine{lookup: func(host string) []net.IP {
		return map[string][]net.IP{
			"localhost":      {net.ParseIP("127.0.0.1"), net.ParseIP("::1")},
			"a.example.org":  {net.ParseIP("10.0.0.6"), net.ParseIP("2001:db8::6")},
			"a6.example.org": {net.ParseIP("2001:db8::6")},
			"b.example.org":  {net.ParseIP("10.0.0.7")},
		}[host]
	}}
	for _, tc := range []struct{ file, err string }{
		{"localhost:1 127.0.0.1:2", ""},
		{"localhost:1 10.0.0.6:1 b.example.org:1 nowhere.example.org:1 nobody.example.org:1", ""},
		{"127.0.0.1:1 127.0.0.2:1", ""},
		{"b.example.org:1 localhost:1 127.0.0.1:1", "f: lines 2 (localhost:1) and 3 (127.0.0.1:1) are the same node, at 127.0.0.1:1: leave one of them out"},
		{"a.example.org:1 b.example.org:1 a6.example.org:1", "f: lines 1 (a.example.org:1) and 3 (a6.example.org:1) are the same node, at [2001:db8::6]:1: leave one of them out"},
		{"[::1]:1 [0:0::1]:1", "f: lines 1 ([::1]:1) and 2 ([0:0::1]:1) are the same node, at [::1]:1: leave one of them out"},
	} {
		nodes, err := parseConf("f", strings.NewReader(strings.ReplaceAll(tc.file, " ", "\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got := errText(wantApart("f", nodes, self)); got != tc.err {
			t.Errorf("%s: %q, want %q", tc.file, got, tc.err)
		}
	}
}
