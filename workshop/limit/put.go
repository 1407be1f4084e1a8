package main

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"httpdhs/internal/nonblock"
	"httpdhs/internal/poll"
)

// servePuts is a node. A record goes to each other owner over the one connection that leads there.
func servePuts(port string, nodes []string, self int) error {
	in, err := listen(nodes[self])
	if err != nil {
		return err
	}
	clients, err := listen("127.0.0.1:" + port)
	if err != nil {
		return err
	}
	go takeAll(in)
	lines := make([]*line, len(nodes))
	for i, addr := range nodes {
		if i == self {
			continue
		}
		if lines[i], err = dial(addr); err != nil {
			return err
		}
	}
	r := router.New()
	r.PUT("/db/{key}", func(ctx *fasthttp.RequestCtx) {
		key, value := []byte(ctx.UserValue("key").(string)), ctx.PostBody()
		var sent [2]*batch
		first, second := owners(key, len(nodes))
		for i, owner := range []int{first, second} {
			if owner != self {
				sent[i] = lines[owner].hand(key, value)
			}
		}
		for _, b := range sent {
			if b != nil {
				b.wait()
			}
		}
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	})
	s := &fasthttp.Server{Handler: r.Handler, NoDefaultServerHeader: true}
	return s.Serve(clients)
}

// listener is one whose connections are read and written as those of a store are.
type listener struct{ net.Listener }

func listen(addr string) (listener, error) {
	ln, err := net.Listen("tcp", addr)
	return listener{ln}, err
}

func (ln listener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return nonblock.Conn(conn), nil
}

// line is the way to another node. One batch is under way, and the records of meanwhile are the
// next. A batch of a line that was idle is carried by its first request, the others by drive.
type line struct {
	conn net.Conn
	wake chan *batch

	mu   sync.Mutex // guards all below
	open *batch     // gathers; nil: nothing does
	busy bool
}

// batch is a frame: its length, and records.
type batch struct {
	*line
	frame   []byte
	records uint32
	done    chan struct{}
	carried bool // by the request whose record was first
}

func dial(addr string) (*line, error) {
	l := &line{wake: make(chan *batch, 1)}
	err := poll.Within(10*time.Second, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			l.conn = nonblock.Conn(conn)
		}
		return err
	})
	go l.drive()
	return l, err
}

// hand puts a record into the batch that gathers, and sends that if the line is idle.
func (l *line) hand(key, value []byte) *batch {
	l.mu.Lock()
	b := l.open
	if b == nil {
		b = &batch{line: l, frame: make([]byte, 4, 2048), done: make(chan struct{})}
		l.open = b
	}
	b.frame = appendRecord(b.frame, key, value)
	b.records++
	idle := !l.busy
	if idle {
		l.open, l.busy, b.carried = nil, true, true
	}
	l.mu.Unlock()
	if idle {
		b.send()
	}
	return b
}

func (b *batch) send() {
	binary.LittleEndian.PutUint32(b.frame, uint32(len(b.frame)-4))
	if _, err := b.conn.Write(b.frame); err != nil {
		log.Fatal("limit: cannot send records: ", err)
	}
}

// wait waits until the records of the batch are confirmed.
func (b *batch) wait() {
	if !b.carried {
		<-b.done
	} else if next := b.finish(); next != nil {
		b.wake <- next
	}
}

// finish reads the acknowledgement of a batch that was sent, and returns the next one, if there is.
func (b *batch) finish() (next *batch) {
	var ack [4]byte
	if _, err := io.ReadFull(b.conn, ack[:]); err != nil || binary.LittleEndian.Uint32(ack[:]) != b.records {
		log.Fatal("limit: records were not confirmed: ", err)
	}
	b.mu.Lock()
	next, b.open = b.open, nil
	b.busy = next != nil
	b.mu.Unlock()
	close(b.done)
	return next
}

// drive sends one batch after the other, for as long as there are.
func (l *line) drive() {
	for b := range l.wake {
		for b != nil {
			b.send()
			b = b.finish()
		}
	}
}

// takeAll takes the batches of all nodes.
func takeAll(in net.Listener) {
	for {
		conn, err := in.Accept()
		if err != nil {
			log.Fatal("limit: cannot accept: ", err)
		}
		go take(conn)
	}
}

// take walks through the records of each batch, and confirms how many there are.
func take(conn net.Conn) {
	buf, have := make([]byte, 256<<10), 0
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return
		}
		if have += n; have == len(buf) {
			log.Fatal("limit: a batch of more than ", len(buf), " bytes")
		}
		if have < 4 || have < 4+int(binary.LittleEndian.Uint32(buf)) {
			continue
		}
		records := uint32(0)
		walk(buf[4:have], func([]byte) { records++ })
		have = 0
		if _, err := conn.Write(binary.LittleEndian.AppendUint32(nil, records)); err != nil {
			return
		}
	}
}
