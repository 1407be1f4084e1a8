package peer

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// A name is looked up for each connection, so a peer is found where it has moved. While it cannot
// be looked up, or the resolver is silent, connections go where the last went. A name that was
// never found leads nowhere.
func TestNamesLeadWhereTheyLed(t *testing.T) {
	var listeners [2]net.Listener
	var port string
	for i, host := range []string{"127.0.0.1:0", "127.0.0.2:"} {
		var err error
		if listeners[i], err = net.Listen("tcp", host+port); err != nil {
			t.Skip(err) // not every system has 127.0.0.2
		}
		defer listeners[i].Close()
		_, port, _ = net.SplitHostPort(listeners[i].Addr().String())
	}
	errNone := errors.New("no such host")
	leads := func(hosts ...string) func(context.Context, string) ([]string, error) {
		return func(context.Context, string) ([]string, error) { return hosts, nil }
	}
	vanished := func(context.Context, string) ([]string, error) { return nil, errNone }
	silent := func(ctx context.Context, _ string) ([]string, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tr := NewFrameTransport("peer.test:"+port, "", nil, 0)
	for _, step := range []struct {
		what   string
		lookUp func(context.Context, string) ([]string, error)
		want   string // where it connects to; empty: nowhere
	}{
		{"a name that is not there yet", vanished, ""},
		{"a name that leads to the first", leads("127.0.0.1"), "127.0.0.1"},
		{"a name that has vanished", vanished, "127.0.0.1"},
		{"a resolver that is silent", silent, "127.0.0.1"},
		{"a name that leads to the second now", leads("127.0.0.2"), "127.0.0.2"},
		{"a name that has vanished again", vanished, "127.0.0.2"},
		{"a name of which one address is nobody's", leads("127.0.0.3", "127.0.0.1"), "127.0.0.1"},
	} {
		tr.LookUp = step.lookUp
		conn, err := tr.dialTCP(tr.name, time.Second)
		switch {
		case step.want == "":
			if !errors.Is(err, errNone) {
				t.Errorf("%s: %v", step.what, err)
			}
		case err != nil:
			t.Errorf("%s: %v", step.what, err)
		default:
			if host, _, _ := net.SplitHostPort(conn.RemoteAddr().String()); host != step.want {
				t.Errorf("%s: leads to %s, want %s", step.what, host, step.want)
			}
			_ = conn.Close()
		}
	}
}
