package resp

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// id is the connection's, as CLIENT ID has it.
func (c *client) id() (id int64) {
	c.Helper()
	if _, err := io.WriteString(c, "CLIENT ID\r\n"); err != nil {
		c.Fatal(err)
	}
	if _, err := fmt.Fscanf(c, ":%d\r\n", &id); err != nil {
		c.Fatal(err)
	}
	return id
}

// CLIENT KILL closes what fits all its conditions, and nothing else.
func TestClientsAreKilled(t *testing.T) {
	_, _, addr := start(t, Options{})
	c, byID, byAddr, old, stays := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	stays.say("PING\r\n", "+PONG\r\n")
	old.say("PING\r\n", "+PONG\r\n")

	c.say(fmt.Sprintf("CLIENT KILL ID %d\r\n", byID.id()), ":1\r\n")
	byID.closed()
	byAddr.say("PING\r\n", "+PONG\r\n")
	c.say(fmt.Sprintf("CLIENT KILL ADDR %s ID 99999\r\n", byAddr.LocalAddr()), ":0\r\n")
	byAddr.say("PING\r\n", "+PONG\r\n")
	c.say(fmt.Sprintf("CLIENT KILL LADDR %s ADDR %s USER default TYPE normal\r\n", addr, byAddr.LocalAddr()), ":1\r\n")
	byAddr.closed()
	c.say(fmt.Sprintf("CLIENT KILL %s\r\n", old.LocalAddr()), "+OK\r\n")
	old.closed()

	self := c.id()
	c.say(fmt.Sprintf("CLIENT KILL ID %d\r\n", self), ":0\r\n")
	c.say(fmt.Sprintf("CLIENT KILL ID %d SKIPME no\r\nPING\r\n", self), ":1\r\n")
	c.closed()
	stays.say("PING\r\n", "+PONG\r\n")
}

// CLIENT LIST tells of other connections what they have said of themselves.
func TestClientsAreListed(t *testing.T) {
	_, _, addr := start(t, Options{})
	other, c := dial(t, addr), dial(t, addr)
	other.say("CLIENT SETNAME worker\r\nCLIENT SETINFO LIB-NAME jedis\r\nCLIENT SETINFO lib-ver 5.1\r\n", "+OK\r\n+OK\r\n+OK\r\n")
	c.say("CLIENT SETINFO LIB-NAME 'a b'\r\n", "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n")
	c.say("CLIENT SETINFO LIB 1\r\n", "-ERR Unrecognized option 'LIB'\r\n")
	if _, err := io.WriteString(c, "CLIENT LIST\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	lines := make([]string, 4) // a length, two clients, and a blank line
	for i := range lines {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = line
	}
	for i, wants := range [][]string{
		1: {"id=1 addr=" + other.LocalAddr().String(), "name=worker", "cmd=client|setinfo", "resp=2 lib-name=jedis lib-ver=5.1"},
		2: {"id=2 addr=" + c.LocalAddr().String(), "name= ", "cmd=client|list"},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%q does not tell %q", lines[i], want)
			}
		}
	}
}

// What another client would have to be waited for is refused, or makes no difference.
func TestClientsDoNotWaitForOthers(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("CLIENT PAUSE 100\r\n", "-ERR CLIENT PAUSE is not offered: clients of other nodes would go on\r\n")
	c.say("CLIENT UNPAUSE\r\nCLIENT UNBLOCK 1\r\nCLIENT GETREDIR\r\n", "+OK\r\n:0\r\n:-1\r\n")
	c.say("CLIENT TRACKING ON\r\n", "-ERR CLIENT TRACKING is not offered: connections are not told of what has changed\r\n")
	c.say("CLIENT TRACKING OFF\r\n", "+OK\r\n")
	c.say("CLIENT TRACKINGINFO\r\n", "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n")
}
