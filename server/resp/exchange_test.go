package resp

import (
	"io"
	"net"
	"testing"
	"time"
)

// client is one end of a connection, byte by byte.
type client struct {
	testing.TB
	net.Conn
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	return &client{t, nc}
}

// say sends bytes, and expects these as the answer.
func (c *client) say(send, want string) {
	c.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		c.Fatal(err)
	}
	c.hear(send, want)
}

func (c *client) hear(of, want string) {
	c.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		c.Fatalf("%.200q: answered %.200q, %v; want %.200q", of, got[:n], err, want)
	}
}

// closed expects that the other end has closed.
func (c *client) closed() {
	c.Helper()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		c.Fatalf("not closed: %q, %v", rest, err)
	}
}

// A command is answered, in a line or in its parts.
func TestCommandsAreAnswered(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("PING\r\n", "+PONG\r\n")
	c.say("*1\r\n$4\r\nping\r\n", "+PONG\r\n")
	c.say("set a 'b c'\r\nget a\n", "+OK\r\n$3\r\nb c\r\n")
	c.say("get\r\n", "-ERR wrong number of arguments for 'get' command\r\n")
	c.say("foo a b\r\n", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n")
	c.say("quit\r\nping\r\n", "+OK\r\n")
	c.closed()
}
