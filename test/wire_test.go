package test

import (
	"bufio"
	"bytes"
	"cmp"
	enc "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/seal"
	messages "httpdhs/wire"
)

// The fuzz over the wire: real nodes are sent mutations of what clients and nodes send them.
// WIRE_MESSAGES says how many go to each cluster, WIRE_SEED from which seed; both are printed.

// wireMessages is how many messages go to a cluster.
func wireMessages() int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("WIRE_MESSAGES"), fmt.Sprint(soaked(1500, 300_000))))
	if err != nil {
		panic("WIRE_MESSAGES: " + err.Error())
	}
	return n
}

func wireSeed() uint64 {
	if text := os.Getenv("WIRE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			panic("WIRE_SEED: " + err.Error())
		}
		return n
	}
	return rand.Uint64()
}

// Nothing that comes over the wire ends a node or makes a handler panic. Nothing is answered with a
// status of 5xx but 503, and 505 for another version of HTTP. That holds for requests of clients.
// It holds for messages between nodes without the secret or with another, in a cluster that has
// one. And it holds for any message at all in a cluster that has none. Afterwards the nodes see
// each other up, and what was stored is there. Without a secret whoever is on a member's host may
// speak for a node, and say of it what hinders the next change of the ring. There no more is
// promised than that.
func TestWireFuzz(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{true, false} {
		t.Run(map[bool]string{true: "with a secret", false: "without"}[secret], func(t *testing.T) {
			t.Parallel()
			w := startWire(t, secret)
			w.capture()
			seed, n := wireSeed(), wireMessages()
			t.Logf("WIRE_SEED=%d WIRE_MESSAGES=%d", seed, n)
			var workers sync.WaitGroup
			for k := range 4 {
				workers.Go(func() { w.attack(rand.New(rand.NewPCG(seed, uint64(k))), n/4) })
			}
			workers.Wait()
			w.runs()
			if secret {
				w.settles()
			} else {
				w.holdsOn()
			}
			t.Logf("%d messages, answers by status: %s", n/4*4, w.counted())
		})
	}
}

// A node may answer others with anything at all, to a probe, a hello, a write, a read or a listing.
// It ends none of them, and harms none past its own end: once it was started again, all is well.
func TestWireAnswers(t *testing.T) {
	t.Parallel()
	w := startWire(t, true)
	w.lied = true
	seed := wireSeed()
	t.Logf("WIRE_SEED=%d WIRE_MESSAGES=%d", seed, wireMessages())
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0))
	spoilt := 0
	spoil := func(asking bool, p []byte) {
		mu.Lock()
		defer mu.Unlock()
		if asking || rng.IntN(2) == 0 {
			return
		}
		from := 0
		if head, err := seal.ParseHead(append(bytes.Clone(p), make([]byte, seal.HeadBytes)...)); err == nil && rng.IntN(8) > 0 {
			from = seal.HeadBytes + head.Seal
		}
		for range 1 + rng.IntN(4) {
			if at := from + rng.IntN(max(1, len(p)-from)); at < len(p) {
				p[at] = interesting(rng, p[at])
			}
		}
		spoilt++
	}
	w.proxy.tap.Store(&spoil)
	for i := 0; ; i++ {
		mu.Lock()
		over := spoilt >= wireMessages()/5
		mu.Unlock()
		if over {
			break
		}
		node, key := i%2, fmt.Sprint("/db/answer", i%50)
		for _, r := range []string{
			request("PUT", key+"?w=all&timeout=200ms", "some value"),
			request("GET", key+"?r=all&timeout=200ms", ""),
			request("GET", "/db?prefix=answer&timeout=200ms", ""),
			request("GET", "/cluster/key/answer1?timeout=200ms", ""),
			request("GET", "/cluster?timeout=200ms", ""),
		} {
			w.tell(node, []byte(r))
		}
	}
	w.proxy.tap.Store(nil)
	w.proxy.hangUp()
	w.runs()
	w.kill9(2)
	w.start(2)
	w.settles()
	t.Logf("%d answers were spoilt; answers of the other two by status: %s", spoilt, w.counted())
}

// wire is a cluster that is attacked. Its last node is behind a proxy, for all who speak to it.
type wire struct {
	*fleet
	secret bool
	proxy  *proxy
	lied   bool   // a node may be told that another has no memory left
	canary string // a key that nothing here writes once the attack has begun

	mu     sync.Mutex
	seen   map[byte][][]byte // guarded by mu: messages between nodes, by kind
	counts map[int]int       // guarded by mu: answers by status
	faults atomic.Int64
}

const kinds = 7 // of messages between nodes; the last are hellos

func startWire(t *testing.T, secret bool) *wire {
	t.Helper()
	w := &wire{
		fleet: newFleet(t, 3, "--partitions=64", "--log-level=error", "--sync-rate=0"), secret: secret,
		seen: make(map[byte][][]byte), counts: make(map[int]int),
		canary: fmt.Sprintf("canary-%x", rand.Uint64()),
	}
	if secret {
		file := filepath.Join(w.dir, "secret")
		if err := os.WriteFile(file, []byte("known-to-the-nodes-alone"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.flags = append(w.flags, "--cluster-secret-file="+file)
	}
	w.proxy = w.behindProxy(2)
	note := w.note
	w.proxy.tap.Store(&note)
	w.startAll()
	for i := range 3 {
		if a := send(t, w.ships[i].ask, "PUT", "/db/"+w.canary+"?w=all", "sings"); !a.ok() {
			t.Fatalf("the canary: %d %s", a.status, a.body)
		}
	}
	return w
}

// note keeps messages between nodes as they pass.
func (w *wire) note(asking bool, p []byte) {
	if !asking || len(p) < seal.HeadBytes {
		return
	}
	head, err := seal.ParseHead(p)
	if err != nil || len(p) != seal.HeadBytes+head.Seal+head.Body || head.Body < 2 {
		return
	}
	body := p[seal.HeadBytes+head.Seal:]
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind := body[1]; len(w.seen[kind]) < 20 {
		w.seen[kind] = append(w.seen[kind], bytes.Clone(body))
	}
}

// capture has the nodes say all that there is to say. What is said seldom is made up.
func (w *wire) capture() {
	for i := range 30 {
		key := fmt.Sprint("/db/wire", i)
		for _, r := range []string{
			request("PUT", key+"?w=all", "a value", "Content-Type: text/plain"),
			request("GET", key+"?r=all", ""),
			request("PUT", key+"?ttl=1h", "another", "If-Match: *"),
			request("GET", "/db?values=1&prefix=w", ""),
			request("GET", "/cluster/key/wire1", ""),
			request("DELETE", key, ""),
		} {
			w.tell(i%2, []byte(r))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proxy.tap.Store(nil)
	const f = messages.Format
	w.seen[4] = append(w.seen[4], []byte{f, 4, 0, 1, 0, 2, 0}, []byte{f, 4, 1, 3, 0, 63, 0})
	w.seen[5] = append(w.seen[5], append([]byte{f, 5, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{255}, 32)...))
	w.seen[6] = append(w.seen[6], []byte{f, 6, 1, 2, 3, 4, 5, 6, 7, 8})
	for kind := byte(1); kind <= kinds; kind++ {
		if len(w.seen[kind]) == 0 {
			w.t.Errorf("no message of kind %d was seen", kind)
		}
	}
}

// wireClients are requests of clients, of each route and each kind of body. There is none to
// leave: a mutation of it may be a good one.
var wireClients = []string{
	request("GET", "/", "", "Accept: text/html"),
	request("GET", "/healthz", ""), request("GET", "/readyz", ""), request("GET", "/metrics", ""),
	request("PUT", "/db/fuzz%2Fa?w=quorum&ttl=90s&timeout=500ms", "value", "Content-Type: text/plain", "If-None-Match: *"),
	request("PUT", "/db/fuzzb", "value=form%20value&x=y", "Content-Type: application/x-www-form-urlencoded"),
	request("PUT", "/db/fuzzc", "4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
	request("PUT", "/db/fuzzd", "value", "Expect: 100-continue"),
	request("GET", "/db/fuzzb?r=quorum", "", `If-None-Match: "1","2", *`, "Range: bytes=0-3"),
	request("HEAD", "/db/fuzzb", "", `If-Match: "0"`, "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"),
	request("DELETE", "/db/fuzzb?w=one", "", `If-Match: "1f"`),
	request("GET", "/db?prefix=fuzz&limit=10&cursor=0&values=1", ""),
	request("GET", "/db?limit=5", "", "Accept: application/x-ndjson"),
	request("POST", "/load-data?ttl=1h", "fuzz1\tvalue\nfuzz2\tva\\tlue\n", "Content-Type: text/tab-separated-values"),
	request("POST", "/load-data", "key,value\r\nfuzz1,\"va\"\"lue\"\r\nfuzz2,b\r\n", "Content-Type: text/csv"),
	request("POST", "/load-data", `{"key":"fuzz1","value":"\u00e4\n","ttl":"90s"}`+"\n"+`{"key_base64":"AAE=","value_base64":"AA==","expires":"2126-01-02T15:04:05Z"}`+"\n", "Content-Type: application/x-ndjson"),
	request("POST", "/load-data", "\x16\x05\x05\x03\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\x00\x00fuzz3t/tvalue\x11\x05\x00\x00\x00\x00\x00\x00\x00\x00fuzz4", "Content-Type: application/vnd.httpdhs.records"),
	request("POST", "/batch?w=one", `{"op":"put","key":"fuzz1","value":"v"}`+"\n"+`{"op":"get","key":"fuzz1"}`+"\n"+`{"op":"delete","key":"fuzz1"}`+"\n", "Content-Type: application/x-ndjson"),
	request("POST", "/batch", "\x10\x05\x05\x00\x00\x00\x00\x00\x00\x00\x00fuzz3value", "Content-Type: application/vnd.httpdhs.records", "Accept: application/vnd.httpdhs.records"),
	request("GET", "/cluster", ""), request("GET", "/cluster/ring", "", `If-None-Match: "x"`), request("GET", "/cluster/key/fuzz3?timeout=500ms", ""),
	request("DELETE", "/cluster/nodes/nobody:1", ""),
	request("OPTIONS", "*", ""), request("GET", "http://a-node/db/fuzz1", ""),
}

// attack sends n messages.
func (w *wire) attack(rng *rand.Rand, n int) {
	for i := 0; i < n && w.faults.Load() < 10; i++ {
		node := rng.IntN(3)
		w.tell(node, w.message(rng, w.name(node)))
	}
}

// message makes one up, to the node of that name.
func (w *wire) message(rng *rand.Rand, to string) []byte {
	switch rng.IntN(8) {
	case 0: // no HTTP
		p := make([]byte, 1+rng.IntN(300))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		return p
	case 1, 2, 3:
		p := []byte(wireClients[rng.IntN(len(wireClients))])
		if rng.IntN(3) == 0 { // several in a row
			p = append(p, wireClients[rng.IntN(len(wireClients))]...)
		}
		return w.mutate(rng, p)
	case 4: // the body alone, with its length told
		head, body, _ := strings.Cut(wireClients[rng.IntN(len(wireClients))], "\r\n\r\n")
		line, headers, _ := strings.Cut(head, "\r\n")
		method, target, _ := strings.Cut(line, " ")
		var keep []string
		for _, h := range strings.Split(headers, "\r\n")[1:] {
			if !strings.HasPrefix(h, "Content-Length") && !strings.HasPrefix(h, "Transfer-Encoding") {
				keep = append(keep, h)
			}
		}
		mutated := w.mutate(rng, []byte(body))
		return []byte(request(method, strings.TrimSuffix(target, " HTTP/1.1"), string(mutated), append(keep, fmt.Sprint("Content-Length: ", len(mutated)))...))
	}
	kind := 1 + rng.IntN(kinds)
	known := w.seen[byte(kind)]
	body := w.mutate(rng, known[rng.IntN(len(known))])
	purpose := seal.Exchange
	if kind == kinds {
		purpose = seal.Hello
	}
	var sealed []byte
	if rng.IntN(8) > 0 { // what is sealed is read; with a secret nobody here can do that
		guess := ""
		if w.secret && rng.IntN(2) == 0 {
			guess = fmt.Sprint(rng.Uint64())
		}
		sealed = seal.New(guess).Request(new(seal.Seal), purpose, to, body)
	}
	head := seal.AppendHead(nil, seal.Head{Body: len(body), Seal: len(sealed), Code: int(purpose)})
	p := slices.Concat([]byte(upgrade), head, sealed, body)
	if rng.IntN(8) == 0 {
		p = w.mutate(rng, p)
	}
	return p
}

// interesting is another byte.
func interesting(rng *rand.Rand, b byte) byte {
	switch rng.IntN(4) {
	case 0:
		return b ^ 1<<rng.IntN(8)
	case 1:
		return byte(rng.Uint32())
	}
	const some = "\x00\x01\x7f\x80\xff\r\n\t \"'{}[],:;%&=+-.*/\\09azAZ"
	return some[rng.IntN(len(some))]
}

// misread are pieces of requests that readers of HTTP differ about, or that are taken for one
// another.
var misread = []string{
	"\r\n", "\n", "\r", "\r\r\n", "\r\n ", "\r\n\t", "\r\n\r\n", "\n\n", ": ", ":", " : ", " :", " HTTP/1.1", " HTTP/1.0", " HTTP/1.9", " HTTP/2.0", " HTTP/9.9", "Host: ",
	"Content-Length: ", "Content-Length: 5\r\nContent-Length: ", "Content-Length : ", "Transfer-Encoding: chunked\r\nContent-Length: ", "Transfer-Encoding: ",
	"Transfer-Encoding:\x0b", "chunked", "identity", "xchunked", "chunked, identity", "0\r\n\r\n", "0\r\n\n", "0;\x00\r\n", "0\r\nX : y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n",
}

// mutate changes a message in some places. It returns another slice.
func (w *wire) mutate(rng *rand.Rand, p []byte) []byte {
	p = bytes.Clone(p)
	for range 1 + rng.IntN(4) {
		if len(p) == 0 {
			return p
		}
		at := rng.IntN(len(p))
		end := min(len(p), at+1+rng.IntN(1+rng.IntN(64)))
		switch rng.IntN(11) {
		case 0, 1, 2:
			p[at] = interesting(rng, p[at])
		case 3: // a number
			large := []uint64{0, 1, 1<<15 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 42, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}[rng.IntN(12)]
			number := enc.LittleEndian.AppendUint64(nil, large)
			if rng.IntN(2) == 0 {
				number = enc.AppendUvarint(nil, large)
			}
			copy(p[at:], number[:1+rng.IntN(len(number))])
		case 4: // the digits of one
			if i := bytes.IndexAny(p[at:], "0123456789"); i >= 0 {
				digits := []string{"0", "-1", "1e308", "9223372036854775807", "18446744073709551615", "99999999999999999999999", "0.5", "1e-300"}[rng.IntN(8)]
				p = slices.Concat(p[:at+i], []byte(digits), p[at+i+1:])
			}
		case 5: // less
			p = slices.Delete(p, at, end)
		case 6: // an end
			p = p[:at]
		case 7: // more
			p = slices.Concat(p[:at], bytes.Repeat(p[at:end], 1+rng.IntN(1+rng.IntN(2000))), p[at:])
		case 8: // depth
			p = slices.Concat(p[:at], bytes.Repeat([]byte([]string{"[", `{"a":`, "(", "%25"}[rng.IntN(4)]), 1<<rng.IntN(15)), p[at:])
		case 9: // part of another
			other := []byte(wireClients[rng.IntN(len(wireClients))])
			from := rng.IntN(len(other))
			p = slices.Concat(p[:at], other[from:], p[end:])
		case 10: // what readers differ about
			old := misread[rng.IntN(len(misread))]
			if i := bytes.Index(p[at:], []byte(old)); i >= 0 {
				p = slices.Concat(p[:at+i], []byte(misread[rng.IntN(len(misread))]), p[at+i+len(old):])
			}
		}
	}
	return p
}

// tell sends bytes to a node, and the end of them, and reads what it answers until it closes the
// connection.
func (w *wire) tell(node int, message []byte) {
	fault := func(format string, args ...any) {
		if w.faults.Add(1) <= 10 {
			w.t.Errorf("node %d is told %d bytes, %.2000q: %s", node, len(message), message, fmt.Sprintf(format, args...))
		}
	}
	nc, err := net.Dial("tcp", w.ships[node].ask)
	if err != nil {
		fault("%v", err)
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(90 * time.Second)) // a request may ask for a minute
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = nc.Write(message) // the node may have closed already
		_ = nc.(*net.TCPConn).CloseWrite()
	}()
	defer func() { <-wrote }()
	defer nc.Close()
	for r := bufio.NewReader(nc); ; {
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				fault("it neither answers nor closes")
			}
			return
		}
		asked := &http.Request{Method: "GET"}
		if bytes.HasPrefix(message, []byte("HEAD ")) {
			asked.Method = "HEAD"
		}
		resp, err := http.ReadResponse(r, asked)
		if err != nil {
			return // to a HEAD behind another request
		}
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_, _ = io.Copy(io.Discard, resp.Body)
		status := resp.StatusCode
		for more := true; more; { // of a link: its answers are frames
			w.mu.Lock()
			w.counts[status]++
			w.mu.Unlock()
			if status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusHTTPVersionNotSupported && !(w.lied && status == http.StatusInsufficientStorage) {
				fault("%d %.300s", status, text)
			}
			if more = resp.StatusCode == http.StatusSwitchingProtocols; more {
				if status, text, err = readFrame(r); err != nil {
					more = false
				}
			}
		}
	}
}

// upgrade makes a connection one that carries messages between nodes.
const upgrade = "GET /internal/link HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: httpdhs\r\n\r\n"

// readFrame reads an answer to a message between nodes, whatever its seal.
func readFrame(r io.Reader) (status int, body []byte, err error) {
	b := make([]byte, seal.HeadBytes)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	head, err := seal.ParseHead(b)
	if err != nil {
		return 0, nil, err
	}
	b = make([]byte, head.Seal+head.Body)
	_, err = io.ReadFull(r, b)
	return head.Code, b[head.Seal:], err
}

// counted are the answers by status.
func (w *wire) counted() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.counts)
}

// runs says that no node has ended, and that no handler has panicked.
func (w *wire) runs() {
	w.t.Helper()
	for i := range w.ships {
		if !w.proc(i).running() {
			w.t.Fatalf("node %d has ended", i)
		}
		if panics := w.metrics(i)["httpdhs_http_panics_total"]; panics != 0 {
			w.t.Errorf("node %d: %v panics", i, panics)
		}
	}
}

// settles waits until the nodes are a cluster at rest, in which the canary sings. Members that a
// lie has made up are removed, as an operator would.
func (w *wire) settles() {
	w.t.Helper()
	w.eventually("the nodes are settled", func() error {
		doc, err := w.view(0)
		for _, n := range doc.Nodes {
			if w.index(n.Name) < 0 {
				_ = send(w.t, w.ships[0].ask, "DELETE", "/cluster/nodes/"+n.Name, "")
			}
		}
		return errors.Join(err, w.settled(0, 1, 2))
	})
	for i := range w.ships {
		w.eventually("the canary sings at all nodes", func() error {
			status, body, err := w.get(i, "/db/"+w.canary)
			if err == nil && (status != 200 || string(body) != "sings") {
				err = fmt.Errorf("node %d: %d %s", i, status, body)
			}
			return err
		})
	}
}

// holdsOn waits until no node takes another for down, and the canary is held.
func (w *wire) holdsOn() {
	w.t.Helper()
	for i := range w.ships {
		w.eventually("the nodes see each other", func() error {
			doc, err := w.view(i)
			for _, n := range doc.Nodes {
				if w.index(n.Name) >= 0 && n.State == api.StateDown {
					err = fmt.Errorf("to node %d %s is down: %s", i, n.Name, n.Reason)
				}
			}
			return err
		})
	}
	w.eventually("the canary is held", func() error {
		var doc api.Key
		err := w.json(0, "/cluster/key/"+w.canary, &doc)
		if err == nil && !slices.ContainsFunc(doc.Owners, func(o api.KeyOwner) bool { return o.Found && !o.Tombstone && o.Size == len("sings") }) {
			err = fmt.Errorf("its owners are %+v", doc.Owners)
		}
		return err
	})
}
