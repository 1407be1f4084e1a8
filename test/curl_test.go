package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"httpdhs/internal/poll"
)

// curl runs curl and returns what it printed, and its exit status.
func curl(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	cmd := exec.Command(path, append([]string{"-sS", "--max-time", fmt.Sprint(poll.Patience.Seconds())}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its status tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// The lines that a newcomer copies do what they say.
func TestCurlAsInTheReadme(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	const status = "%{http_code}"
	want := func(want string, args ...string) {
		t.Helper()
		if out, errs, code := curl(t, args...); out != want || code != 0 {
			t.Errorf("curl %q prints %q (%d, %s), want %q", args, out, code, errs, want)
		}
	}
	want("201", "-w", status, "-X", "PUT", "-d", "value=my value", c.url(0)+"/db/curl")
	want("my value", c.url(1)+"/db/curl")
	want("204", "-w", status, "-XPUT", "-dvalue=more", c.url(2)+"/db/curl")
	want("more", c.url(0)+"/db/curl")
	want("", "-f", "-X", "DELETE", c.url(1)+"/db/curl")
	if _, _, code := curl(t, "-f", c.url(0)+"/db/curl"); code != 22 {
		t.Errorf("curl -f of a missing key ends with %d, want 22", code)
	}
	want("201", "-w", status, "-X", "PUT", "-d", "value=1", "--path-as-is", c.url(0)+"/db/curl/../x")
	want("1", "--path-as-is", c.url(1)+"/db/curl/../x")
	want("ready\n", c.url(2)+"/readyz")
}

// curl -T of a large file asks first whether it may send, and is told at once;
// the file comes back as it was.
func TestCurlUpload(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	content := bytes.Repeat([]byte("0123456789abcdef\x00\xff\r\n"), 5<<20/20)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := curl(t, "-v", "-H", "Expect: 100-continue", "--expect100-timeout", "1000", "-T", file, c.url(0)+"/db/curl-upload")
	if code != 0 || !strings.Contains(errs, "HTTP/1.1 100 Continue") || !strings.Contains(errs, "HTTP/1.1 201 Created") {
		t.Errorf("curl -T: %d %s%s", code, out, errs)
	}
	for i := range 3 {
		back := filepath.Join(dir, fmt.Sprint(i))
		if _, errs, code := curl(t, "-o", back, c.url(i)+"/db/curl-upload"); code != 0 {
			t.Errorf("node %d: %d %s", i, code, errs)
		}
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, content) {
			t.Errorf("node %d: %d bytes back of %d, %v", i, len(got), len(content), err)
		}
	}
	pairs := filepath.Join(dir, "pairs.tsv")
	if err := os.WriteFile(pairs, []byte("curl-a\tone\ncurl-b\ttwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := curl(t, "-T", pairs, c.url(1)+"/load-data"); code != 0 || !strings.Contains(out, `"loaded":2,"failed":0`) {
		t.Errorf("curl -T to /load-data: %d %s%s", code, out, errs)
	}
}

// curl shows why a body was refused. It does so too when it has begun to send the body, and the
// node wants no more of it.
func TestCurlShowsRefusals(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, "--auth-token-file="+token)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	const auth = "Authorization: Bearer s3cret"
	for _, row := range []struct {
		status string
		args   []string
	}{
		{"413", []string{"-H", auth, "-T", file}},
		{"413", []string{"-H", auth, "-H", "Expect:", "-T", file}},
		{"413", []string{"-H", auth, "-H", "Expect:", "-H", "Transfer-Encoding: chunked", "-T", file}},
		{"401", []string{"-T", file}},
		{"401", []string{"-H", "Expect:", "-T", file}},
		{"401", []string{"-H", "Expect:", "-H", "Transfer-Encoding: chunked", "-T", file}},
	} {
		out, errs, code := curl(t, append(row.args, "-w", "\n%{http_code}", c.url(0)+"/db/refused")...)
		if code != 0 || !strings.HasSuffix(out, "\n"+row.status) || !strings.Contains(out, `{"error":"`) {
			t.Errorf("curl %q: exit %d, prints %q %s, want the error and %s", row.args, code, out, errs, row.status)
		}
	}
	if out, _, _ := curl(t, "-H", auth, "-w", "%{http_code}", "-o", os.DevNull, c.url(1)+"/db/refused"); out != "404" {
		t.Errorf("GET of what was refused: %s", out)
	}
	status, stdout, stderr := run(t, nil, "put", "with-token", "value", "--auth-token-file="+token, c.to())
	if status != 0 {
		t.Errorf("put with the token: %d %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr = run(t, nil, "get", "with-token", c.to()); status != 1 || stdout != "" || !strings.Contains(stderr, "token") {
		t.Errorf("get without the token: %d %q %q", status, stdout, stderr)
	}
}
