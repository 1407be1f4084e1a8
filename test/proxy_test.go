package test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mood is how a proxy treats what comes to it.
type mood int32

const (
	honest  mood = iota
	mute         // takes connections and what is sent, and never answers
	failing      // answers everything with 500
	raving       // answers with bytes that mean nothing
	slow         // passes everything on, late
)

var moods = map[mood]string{honest: "well", mute: "mute", failing: "answering 500", raving: "answering garbage", slow: "slow"}

// slowness is what a slow proxy adds to each message in each direction: a hundred times what it
// takes without.
const slowness = 20 * time.Millisecond

// proxy stands in front of a node, for all who speak to it.
type proxy struct {
	ln net.Listener
	to string

	mood  atomic.Int32
	tap   atomic.Pointer[func(asking bool, p []byte)] // sees, and may change, what is passed on; nil: nobody does
	mu    sync.Mutex                                  // guards conns
	conns map[net.Conn]struct{}
	open  sync.WaitGroup
}

// behindProxy has the others reach node i through a proxy, and the test without it.
func (f *fleet) behindProxy(i int) *proxy {
	f.t.Helper()
	s := f.ships[i]
	s.port = fmt.Sprint(freePort(f.t))
	s.ask = "127.0.0.1:" + s.port
	return startProxy(f.t, s.name, s.ask)
}

func startProxy(t *testing.T, at, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, to: to, conns: make(map[net.Conn]struct{})}
	p.open.Go(p.serve)
	t.Cleanup(func() {
		_ = ln.Close()
		p.hangUp()
		p.open.Wait()
	})
	return p
}

// become changes the mood. Connections stay, except those that were told nonsense.
func (p *proxy) become(m mood) {
	if was := mood(p.mood.Swap(int32(m))); was != honest && was != slow {
		p.hangUp()
	}
}

func (p *proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) serve() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.open.Go(func() { p.pass(in) })
	}
}

func (p *proxy) keep(c net.Conn, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if keep {
		p.conns[c] = struct{}{}
	} else {
		delete(p.conns, c)
		_ = c.Close()
	}
}

// pass passes on what comes on a connection, in both directions.
func (p *proxy) pass(in net.Conn) {
	p.keep(in, true)
	defer p.keep(in, false)
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	p.keep(out, true)
	var back sync.WaitGroup
	back.Go(func() {
		p.copy(in, out, false)
		_ = in.Close()
	})
	p.copy(out, in, true)
	_ = out.Close()
	back.Wait()
	p.keep(out, false)
}

// copy passes on one direction.
func (p *proxy) copy(to, from net.Conn, asking bool) {
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		answer := ""
		switch mood(p.mood.Load()) {
		case mute:
			continue
		case failing:
			answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
		case raving:
			answer = "\x00\xffHTTP/9 what? \r\n\r\n{\"kind\":-1}\x17"
		case slow:
			time.Sleep(slowness) // so long does it take: nothing is waited for
		}
		switch {
		case answer == "":
			if tap := p.tap.Load(); tap != nil {
				(*tap)(asking, buf[:n])
			}
			_, err = to.Write(buf[:n])
		case asking:
			_, err = from.Write([]byte(answer))
		}
		if err != nil {
			return
		}
	}
}
