package node

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"httpdhs/internal/syncbuf"
)

// lines is a log.
type lines struct{ syncbuf.Buffer }

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// with are the lines that have a text.
func (l *lines) with(text string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// A node that other machines reach, and that asks for no token or no secret, says so in one line,
// and what to set; others do not.
func TestAnOpenNodeSaysSo(t *testing.T) {
	const loud = "WHOEVER REACHES THIS PORT"
	for _, row := range []struct {
		listen, token, secret string
		want                  []string
	}{
		{"0.0.0.0:0", "", "", []string{loud, "--auth-token-file and --cluster-secret-file"}},
		{"0.0.0.0:0", "t", "", []string{loud, "set --cluster-secret-file"}},
		{"[::]:0", "", "s", []string{loud, "set --auth-token-file\""}},
		{"0.0.0.0:0", "t", "s", nil},
		{"127.0.0.1:0", "", "", nil},
		{"[::1]:0", "", "", nil},
	} {
		var log lines
		ln, err := net.Listen("tcp", row.listen)
		if err != nil {
			t.Logf("not tried, as this machine has no such address: %v", err)
			continue
		}
		n, err := Open(Config{Name: "127.0.0.1:1", Listener: ln, AuthToken: row.token, ClusterSecret: row.secret, Log: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		n.Kill()
		found := log.with(loud)
		if (len(found) != 0) != (row.want != nil) || len(found) > 1 {
			t.Errorf("%+v: %q", row, found)
		}
		for _, want := range row.want {
			if len(found) == 1 && (!strings.Contains(found[0], want) || !strings.Contains(found[0], "level=WARN")) {
				t.Errorf("%+v: %q, want %q", row, found[0], want)
			}
		}
	}
}

// One whose metrics are open to other machines says so too, unless they need a token.
func TestOpenMetricsSaySo(t *testing.T) {
	for _, test := range []struct {
		addr, token string
		want        int
	}{{"0.0.0.0:0", "", 1}, {"0.0.0.0:0", "t", 0}, {"127.0.0.1:0", "", 0}} {
		var log lines
		n, err := Open(Config{Name: "127.0.0.1:1", Listen: "127.0.0.1:0", MetricsListen: test.addr, MetricsToken: test.token, Log: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		n.Kill()
		if found := log.with("whoever reaches the metrics port"); len(found) != test.want {
			t.Errorf("%s, token %q: %q", test.addr, test.token, found)
		}
	}
}

// So does one whose profiler is open to other machines, which has neither token nor secret.
func TestAnOpenProfilerSaysSo(t *testing.T) {
	for addr, want := range map[string]int{"0.0.0.0:0": 1, "127.0.0.1:0": 0} {
		var log lines
		n, err := Open(Config{Name: "127.0.0.1:1", Listen: "127.0.0.1:0", AuthToken: "t", ClusterSecret: "s", PprofAddr: addr, Log: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		n.Kill()
		if found := log.with("WHOEVER REACHES THE PROFILER'S PORT"); len(found) != want {
			t.Errorf("%s: %q", addr, found)
		}
	}
}
