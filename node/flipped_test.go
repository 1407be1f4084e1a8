package node

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/internal/seal"
	"httpdhs/kv"
)

const theSecret = "0123456789 only the nodes know 9876543210"

// pair is two nodes, the second of which writes to the first, and what it says.
type pair struct {
	t     *testing.T
	nodes [2]*Node
	addr  string // of a socket of the first node, for what may look like a member's

	mu    sync.Mutex
	noted map[*recorder]*bytes.Buffer // guarded by mu: what was said to the first node, by connection
}

// recorder is a connection from the second node to the first.
type recorder struct {
	net.Conn
	p *pair
}

func (r *recorder) Write(p []byte) (int, error) {
	r.p.mu.Lock()
	if r.p.noted[r] == nil {
		r.p.noted[r] = new(bytes.Buffer)
	}
	r.p.noted[r].Write(p)
	r.p.mu.Unlock()
	return r.Conn.Write(p)
}

// pairKeys is how many keys the second node writes.
const pairKeys = 300

func pairValue(i int) string { return fmt.Sprintf("the value of key %d", i) }

// newPair starts two nodes that hold the same keys.
func newPair(t *testing.T, secret string) *pair {
	t.Helper()
	p := &pair{t: t, noted: make(map[*recorder]*bytes.Buffer)}
	var listeners [2]net.Listener
	var names []string
	for i := range listeners {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], names = ln, append(names, ln.Addr().String())
	}
	for i, ln := range listeners {
		n, err := Open(Config{
			Name: names[i], Listener: ln, Members: names, Partitions: 16, ClusterSecret: secret, ProbeEvery: 20 * time.Millisecond,
			Dial: func(addr string, timeout time.Duration) (net.Conn, error) {
				c, err := net.DialTimeout("tcp", addr, timeout)
				if i == 0 || err != nil {
					return c, err
				}
				return &recorder{c, p}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if p.nodes[i] != nil {
				n.Kill()
			}
		})
		p.nodes[i] = n
	}
	poll.True(p.t, "both are ready", func() bool { return ready(p.nodes[0]) && ready(p.nodes[1]) })
	for i := range pairKeys {
		p.put(fmt.Sprint("key", i), pairValue(i))
	}
	p.listen()
	return p
}

func ready(n *Node) bool {
	ok, _ := n.Ready()
	return ok
}

// put stores a key through the second node, at both.
func (p *pair) put(key, value string) {
	p.t.Helper()
	call := kv.Call{Write: kv.LevelAll, Deadline: time.Now().Add(time.Minute), Ops: []kv.Op{{
		Kind: kv.OpPut, Hash: kv.Hash([]byte(key)), Record: kv.Record{Key: []byte(key), Entry: kv.Entry{Value: []byte(value)}},
	}}}
	if p.nodes[1].plane.Do(&call); call.Ops[0].Err != nil {
		p.t.Fatal(call.Ops[0].Err)
	}
}

// local makes what comes over a socket of this machine seem to come from a member's host.
type local struct{ *net.UnixListener }

type localConn struct{ *net.UnixConn }

func (l local) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return localConn{c}, nil
}

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// listen has the first node serve a socket too: 20,000 connections leave nothing behind there.
func (p *pair) listen() {
	p.t.Helper()
	p.addr = filepath.Join(p.t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.addr, Net: "unix"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.nodes[0].serving.Go(func() { _ = p.nodes[0].server.Serve(local{ln}) })
}

// tell sends bytes to the first node, and the end of them, and returns the status of its first
// answer; 0: there is none.
func (p *pair) tell(message []byte) (status int) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.addr, Net: "unix"})
	if err != nil {
		p.t.Error(err)
		return 0
	}
	defer c.Close()
	_, _ = c.Write(message) // the node may have closed already
	_ = c.CloseWrite()
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	whole, _ := io.ReadAll(r)
	if len(whole) < seal.HeadBytes {
		return 0
	}
	head, err := seal.ParseHead(whole)
	if err != nil {
		p.t.Errorf("it answers with %x: %v", whole, err)
	}
	return head.Code
}

// said is a message, as it goes over a new connection.
type said struct {
	head        seal.Head
	whole       []byte
	frame, body int // where they begin
}

// requests are those that the second node has made of the first.
func (p *pair) requests() (all []said) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.noted {
		r := bufio.NewReader(bytes.NewReader(b.Bytes()))
		if _, err := http.ReadRequest(r); err != nil {
			continue // the rest was not noted
		}
		rest, _ := io.ReadAll(r)
		begin, _, _ := bytes.Cut(b.Bytes(), []byte("\r\n\r\n"))
		begin = append(bytes.Clone(begin), "\r\n\r\n"...)
		for len(rest) >= seal.HeadBytes {
			head, err := seal.ParseHead(rest)
			end := seal.HeadBytes + head.Seal + head.Body
			if err != nil || end > len(rest) {
				break
			}
			all = append(all, said{head, slices.Concat(begin, rest[:end]), len(begin), len(begin) + end - head.Body})
			rest = rest[end:]
		}
	}
	if len(all) < pairKeys {
		p.t.Fatalf("%d messages were noted", len(all))
	}
	return all
}

// unchanged says what the first node holds that was not written, and lacks that was.
func (p *pair) unchanged() {
	p.t.Helper()
	held := make(map[string]string)
	for partition := range p.nodes[0].cfg.Partitions {
		p.nodes[0].store.Scan(partition, 0, func(_ uint64, r *kv.Record) bool {
			held[string(r.Key)] = string(r.Value)
			return true
		})
	}
	aliens := 0
	for key, value := range held {
		i := 0
		if _, err := fmt.Sscanf(key, "key%d", &i); err != nil || key != fmt.Sprint("key", i) || i >= pairKeys || value != pairValue(i) {
			if aliens++; aliens <= 5 {
				p.t.Errorf("it holds %q, %q", key, value)
			}
		}
	}
	if aliens > 0 || len(held) != pairKeys {
		p.t.Errorf("it holds %d keys, of which nobody wrote %d; %d were written", len(held), aliens, pairKeys)
	}
	var names []string
	for _, m := range p.nodes[0].members.All() {
		names = append(names, m.Name)
	}
	if want := slices.Sorted(slices.Values(p.nodes[0].cfg.Members)); !slices.Equal(names, want) {
		p.t.Errorf("the members are %q, want %q", names, want)
	}
}

// Of 20,000 messages between nodes some bits flip on the way, wherever these are. None has an
// effect that it would not have had. No key is there that nobody wrote, no value is another, no
// member is made up, and the nodes go on seeing each other.
func TestFlippedBits(t *testing.T) {
	const flips = 20_000
	for _, secret := range []string{"", theSecret} {
		t.Run(fmt.Sprintf("secret=%t", secret != ""), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, secret)
			requests := p.requests()
			var mu sync.Mutex
			statuses := make(map[int]int)
			var workers sync.WaitGroup
			for k := range 4 {
				rng := rand.New(rand.NewPCG(1, uint64(k)))
				workers.Go(func() {
					for range flips / 2 / 4 {
						said := requests[rng.IntN(len(requests))]
						message := bytes.Clone(said.whole)
						from := []int{0, said.frame, said.body}[rng.IntN(3)] // where most of a long message is
						if from == len(message) {
							from = 0
						}
						for range 1 + rng.IntN(3) {
							message[from+rng.IntN(len(message)-from)] ^= 1 << rng.IntN(8)
						}
						status := p.tell(message)
						mu.Lock()
						statuses[status]++
						mu.Unlock()
					}
				})
			}
			workers.Wait()
			t.Logf("answered with %v", statuses)
			for status := range statuses {
				if status >= 500 && status != http.StatusHTTPVersionNotSupported { // a bit of that may flip too
					t.Errorf("%d are answered with %d", statuses[status], status)
				}
			}
			p.unchanged()
			p.put("key0", pairValue(0))
			poll.True(p.t, "the nodes see each other", func() bool {
				return p.nodes[0].plane.Topology.Live(p.nodes[1].cfg.Name) && p.nodes[1].plane.Topology.Live(p.nodes[0].cfg.Name)
			})
			for i, n := range p.nodes {
				for _, peer := range n.plane.Topology.Peers() {
					if dropped := peer.DroppedRecords.Load(); dropped > 0 {
						t.Errorf("node %d dropped %d records", i, dropped)
					}
				}
			}
		})
	}
}

// What one node says to another reveals nothing of the secret, in no spelling. Another node does
// not take it, even one of the same cluster.
func TestMessagesAreForOneNode(t *testing.T) {
	p, other := newPair(t, theSecret), newPair(t, theSecret)
	p.mu.Lock()
	for _, b := range p.noted {
		for spelling, secret := range map[string][]byte{
			"as it is": []byte(theSecret), "in hex": []byte(hex.EncodeToString([]byte(theSecret))),
			"in base64": []byte(base64.StdEncoding.EncodeToString([]byte(theSecret))),
		} {
			for i := range len(secret) - 12 {
				if bytes.Contains(b.Bytes(), secret[i:i+12]) {
					t.Errorf("the secret was sent, %s: %q", spelling, secret[i:i+12])
					break
				}
			}
		}
	}
	p.mu.Unlock()
	for _, message := range p.requests()[:100] {
		hello := message.head.Code == int(seal.Hello)
		if status := other.tell(message.whole); !hello && status != 421 {
			t.Fatalf("%.40q is answered with %d", message.whole[message.body:], status)
		}
	}
	other.unchanged()
}
