package bench

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// The name of a process may hold brackets and blanks; its times are found all the same.
func TestParseStat(t *testing.T) {
	const stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 500 0 0 0 150 25 0 0 20 0 8 0 100 1 2 3"
	if got, want := parseStat([]byte(stat)), 1750*time.Millisecond; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := parseStat([]byte("42 (x) S 1")); got != 0 {
		t.Errorf("a line cut short: %s", got)
	}
}

// Sockets that listen are found by their address, also those that listen on all of them.
func TestListenInodes(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:04D2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 00000000:04D3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 0100007F:04D2 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 333 1
   3: 0200007F:04D2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1
   4: 00000000000000000000000001000000:04D4 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 555 1
`
	at := func(list ...string) (addrs []netip.AddrPort) {
		for _, s := range list {
			addrs = append(addrs, netip.MustParseAddrPort(s))
		}
		return addrs
	}
	for _, test := range []struct {
		addrs []netip.AddrPort
		want  []string
	}{
		{at("127.0.0.1:1234"), []string{"111"}},
		{at("127.0.0.1:1235"), []string{"222"}},
		{at("[::1]:1236", "127.0.0.2:1234"), []string{"444", "555"}},
		{at("127.0.0.1:1"), nil},
	} {
		if got := listenInodes([]byte(table), test.addrs); !slices.Equal(got, test.want) {
			t.Errorf("%v: %v, want %v", test.addrs, got, test.want)
		}
	}
}

// A server of this machine is found by its socket: here this process itself.
func TestListenersFindsThisProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	found := listeners([]*net.TCPAddr{l.Addr().(*net.TCPAddr)})
	if len(found) != 1 || found[0].PID != os.Getpid() || found[0].Name == "" {
		t.Errorf("found %+v, want process %d", found, os.Getpid())
	}
	if selfTime() <= 0 {
		t.Error("this process has taken no time")
	}
	if found := listeners([]*net.TCPAddr{{IP: net.IPv4(192, 0, 2, 1), Port: 1234}}); found != nil {
		t.Errorf("found %+v for an address of another machine", found)
	}
}
