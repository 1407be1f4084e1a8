package test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"httpdhs/internal/seal"
	nodewire "httpdhs/wire"
)

// Without a secret nodes on hosts of their own take messages from each other's hosts alone. From
// another host the same message is 403, while that host is served as a client. A node on a new host
// can join. Nobody takes it for a stranger meanwhile: it would be down, and compare all that it
// holds.
func TestHostsOfMembers(t *testing.T) {
	t.Parallel()
	f, _ := newLAN(t, 4)
	f.startByConf(0, 1, 2)
	f.awaitSettled(0, 1, 2)
	f.start(3, f.join(0))
	f.awaitSettled(0, 1, 2, 3)
	for i := range 4 {
		for _, never := range []string{"answers 403", "no member's was refused"} {
			if f.logged(i, never) {
				t.Errorf("node %d has logged %q", i, never)
			}
		}
		if !f.logged(i, "WHOEVER REACHES THIS PORT") {
			t.Errorf("node %d does not say that it is open", i)
		}
	}

	batch := string(rune(nodewire.Format)) + "\x01\x00\x00\x00\x00\x00\x00\x00\x00" // of nothing
	for i := range 4 {
		if a := send(t, f.ships[i].ask, "PUT", "/db/key", "value"); !a.ok() {
			t.Errorf("a client at node %d: %d %s", i, a.status, a.body)
		}
		status, body := fromHere(t, f.ships[i].ask, seal.Exchange, f.name(i), batch)
		if status != 403 || !strings.Contains(body, "--cluster-secret-file") {
			t.Errorf("a message to node %d from another host: %d %s", i, status, body)
		}
		status, body = fromHere(t, f.ships[i].ask, seal.Hello, f.name(i), string(rune(nodewire.Format))+"\x07?")
		if status != 400 || !strings.Contains(body, "hello") {
			t.Errorf("a hello to node %d that is none, from another host: %d %s", i, status, body)
		}
		if !f.logged(i, "a host that is no member's was refused") {
			t.Errorf("node %d does not say that it refused a host", i)
		}
	}
	f.kill9(1)
	f.start(1)
	f.awaitSettled(0, 1, 2, 3)
}

// fromHere sends a message as a node without a secret would.
func fromHere(t *testing.T, at string, purpose seal.Purpose, to, message string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sealed := seal.New("").Request(new(seal.Seal), purpose, to, []byte(message))
	head := seal.AppendHead([]byte(upgrade), seal.Head{Body: len(message), Seal: len(sealed), Code: int(purpose)})
	_, _ = io.WriteString(c, string(head)+string(sealed)+message)
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no link: %v", err)
	}
	status, text, err := readFrame(r)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(text)
}
