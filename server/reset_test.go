package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/testcert"
	"httpdhs/kv"
)

// A client that does not take its answer is reset: nothing is left of the answer in the kernel.
// That holds where it makes room and where it has taken too long, with TLS and without. It holds
// too where the client does not go away after the last answer.
func TestWhatIsNotTakenIsDropped(t *testing.T) {
	_, pair := testcert.New(t)
	for _, over := range []string{"TCP", "TLS"} {
		for _, by := range []string{"the sweep", "a new connection", "the end of lingering"} {
			t.Run(over+", "+by, func(t *testing.T) {
				f := start(t, Options{MaxConns: 1})
				f.limits.linger = 10 * time.Millisecond
				f.store.entries["medium"] = kv.Entry{Version: 1 << 30, Value: make([]byte, 512<<10)} // which fits the kernel
				f.store.entries["large"] = kv.Entry{Version: 1 << 30, Value: make([]byte, 8<<20)}
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				f.addr = ln.Addr().String()
				if over == "TLS" {
					ln = SecureListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}})
				}
				served := make(chan error, 1)
				go func() { served <- f.Serve(ln) }()
				t.Cleanup(func() {
					_ = ln.Close()
					<-served
				})
				tcp := f.dial()
				defer tcp.Close()
				nc := net.Conn(tcp)
				if over == "TLS" {
					nc = tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
				}
				_ = tcp.SetReadBuffer(4 << 10)
				sent, lingers := strings.Repeat("GET /db/large HTTP/1.1\r\nHost: x\r\n\r\n", 8), by == "the end of lingering"
				if lingers {
					sent = "GET /db/medium HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
				}
				if _, err := io.WriteString(nc, sent); err != nil {
					t.Fatal(err)
				}
				now := time.Hour
				if !lingers { // that is over too soon to be seen
					poll.True(t, "it waits", func() bool { return f.inWait(waitWrite) == 1 })
					f.sweep(now)
				}
				switch by {
				case "a new connection":
					poll.True(t, "it makes room", func() bool {
						now += time.Second
						f.clock.set(now.Milliseconds())
						f.dial().Close()
						return f.inWait(waitWrite) == 0
					})
				case "the sweep":
					poll.True(t, "it is ended", func() bool {
						now += time.Hour
						f.sweep(now)
						return f.Stats().Conns == 0
					})
				default:
					poll.True(t, "it is answered and closed", func() bool {
						st := f.Stats()
						return st.Requests[classGet][2] == 1 && st.Conns == 0
					})
				}
				if _, err := io.Copy(io.Discard, tcp); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the connection ends with %v, want a reset", fmt.Sprint(err))
				}
			})
		}
	}
}
