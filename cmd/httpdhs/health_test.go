package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Which node is asked follows from the settings of a server, or --to.
func TestHealthTarget(t *testing.T) {
	for _, c := range []struct {
		cmd    healthCmd
		addr   string
		secure bool
	}{
		{healthCmd{Port: 1234, Bind: "127.0.0.1"}, "127.0.0.1:1234", false},
		{healthCmd{Port: 80, Bind: "0.0.0.0"}, "127.0.0.1:80", false},
		{healthCmd{Port: 80, Bind: "::"}, "[::1]:80", false},
		{healthCmd{Port: 80, Bind: "[fd00::1]"}, "[fd00::1]:80", false},
		{healthCmd{Port: 80, Bind: "node-1", TLSCert: "c"}, "node-1:80", true},
		{healthCmd{Port: 80, Bind: "127.0.0.1", TLSCA: "c"}, "127.0.0.1:80", false}, // to its peers
		{healthCmd{To: "a:1", TLSCert: "c"}, "a:1", false},
		{healthCmd{To: "a:1", TLSCA: "c"}, "a:1", true},
		{healthCmd{To: "http://a:1/"}, "a:1", false},
		{healthCmd{To: "https://a:1"}, "a:1", true},
	} {
		addr, secure, err := c.cmd.target()
		if err != nil || addr != c.addr || secure != c.secure {
			t.Errorf("%+v: %s, %v, %v", c.cmd, addr, secure, err)
		}
	}
	for _, args := range [][]string{{"--to=a"}, {"--port=0"}, {"--timeout=0"}, {"--to=https://a:1", "--tls-ca=/nowhere"}, {"x"}} {
		if status, _, stderr := httpdhs(append([]string{"healthcheck"}, args...)...); status != exitUsage {
			t.Errorf("%q: status %d, %q", args, status, stderr)
		}
	}
}

// The exit status says how the node is, and stderr why it is not well. In the environment of a
// server with TLS nothing else is needed; of a node that --to names the certificate is checked.
func TestHealthcheck(t *testing.T) {
	status, body := 200, "ready\n"
	var asked string
	node := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	for _, secure := range []bool{false, true} {
		s := httptest.NewUnstartedServer(node)
		if secure {
			s.StartTLS()
			t.Setenv("HTTPDHS_TLS_CERT", "/of/the/server")
		} else {
			s.Start()
		}
		defer s.Close()
		addr := s.Listener.Addr().String()
		_, port, _ := net.SplitHostPort(addr)
		t.Setenv("HTTPDHS_PORT", port)
		t.Setenv("HTTPDHS_TO", "elsewhere:1")

		status, body = 200, "ready\n"
		if got, out, stderr := httpdhs("healthcheck", "--ready"); got != exitOK || out != body || stderr != "" || asked != "/readyz" {
			t.Errorf("%d %q %q, asked for %s", got, out, stderr, asked)
		}
		if got, _, _ := httpdhs("healthcheck"); got != exitOK || asked != "/healthz" {
			t.Errorf("%d, asked for %s", got, asked)
		}
		status, body = 503, `{"error":"loading: 43 %"}`
		if got, out, stderr := httpdhs("healthcheck", "--ready"); got != exitError || out != "" || stderr != "httpdhs: "+addr+" is not ready: loading: 43 %\n" {
			t.Errorf("%d %q %q", got, out, stderr)
		}
		status, body = 302, "elsewhere"
		if got, _, stderr := httpdhs("healthcheck"); got != exitError || !strings.Contains(stderr, "302") {
			t.Errorf("%d %q", got, stderr)
		}
		if secure {
			status = 200
			if got, _, stderr := httpdhs("healthcheck", "--to=https://"+addr); got != exitError || !strings.Contains(stderr, "certificate") {
				t.Errorf("a certificate is not checked: %d %q", got, stderr)
			}
		}
	}
}

// A node that accepts and says nothing is not well.
func TestHealthcheckTimeout(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got, _, stderr := httpdhs("healthcheck", "--to="+ln.Addr().String(), "--timeout=20ms")
	if got != exitError || !strings.Contains(stderr, "no answer within 20ms") {
		t.Errorf("%d %q", got, stderr)
	}
}
