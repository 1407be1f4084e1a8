package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// Records are found however what holds them is cut, and none before its end is there.
func TestRecordsAreWalkedThrough(t *testing.T) {
	one := appendRecord(nil, []byte("key"), []byte("value"))
	text := appendRecord(one, nil, []byte("x"))
	for cut := range len(text) + 1 {
		n := 0
		taken := walk(text[:cut], func([]byte) { n++ })
		switch {
		case cut == len(text) && (n != 2 || taken != cut),
			cut >= len(one) && cut < len(text) && (n != 1 || taken != len(one)),
			cut < len(one) && (n != 0 || taken != 0):
			t.Errorf("cut at %d: %d records in %d bytes", cut, n, taken)
		}
	}
}

// A key has two owners, and each node is one of a third of keys twice.
func TestOwners(t *testing.T) {
	held := make([]int, 3)
	for i := range 3000 {
		first, second := owners(fmt.Append(nil, i), 3)
		if first == second {
			t.Fatalf("both owners of %d are %d", i, first)
		}
		held[first]++
		held[second]++
	}
	for i, n := range held {
		if n < 1800 || n > 2200 {
			t.Errorf("node %d has %d of 6000 copies", i, n)
		}
	}
}

// A node keeps every record, however its bytes arrive, and begins its memory again when it is full.
func TestRecordsAreKept(t *testing.T) {
	record := appendRecord(nil, []byte("key"), []byte("value"))
	room := make([]byte, 2*len(record)+1)
	n, err := keepAll(iotest.OneByteReader(bytes.NewReader(bytes.Repeat(record, 5))), room)
	if n != 5 || err != nil || string(room) != strings.Repeat(string(record), 2)+"\x00" {
		t.Errorf("%d records, %v, and in memory %q", n, err, room)
	}
	if _, err := keepAll(bytes.NewReader(record[:4]), room); err == nil {
		t.Error("half a record was taken for none")
	}
}

// Each request that hands a record over is told when it is confirmed, whoever carries it.
func TestRecordsAreConfirmed(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	go func() {
		if conn, err := in.Accept(); err == nil {
			take(conn)
		}
	}()
	l, err := dial(in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.conn.Close()
	var requests sync.WaitGroup
	for range 50 {
		requests.Go(func() {
			for range 50 {
				l.hand([]byte("key"), []byte("value")).wait()
			}
		})
	}
	requests.Wait()
	if l.busy || l.open != nil {
		t.Error("the line is not idle")
	}
}
