package ports

import (
	"net"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// Two processes that take ports at the same time are never given the same one, nor one on which
// something listens. A pool belongs to one process.
func TestPortsBelongToOne(t *testing.T) {
	const some = 300 // of several blocks
	foreign := make(map[int]bool)
	pools := []*pool{new(pool), new(pool), new(pool)}
	port, err := pools[0].take(1)
	if err != nil {
		t.Fatal(err)
	}
	for next := port + 1; next < port+20; next += 3 { // the next that the first pool would give
		if ln, err := net.Listen("tcp", addr(next)); err == nil {
			defer ln.Close()
			foreign[next] = true
		}
	}
	taken := make([][]int, len(pools))
	var all sync.WaitGroup
	for i, p := range pools {
		defer p.close()
		all.Go(func() {
			for range some {
				port, err := p.take(1)
				if err != nil {
					t.Error(err)
					return
				}
				taken[i] = append(taken[i], port)
			}
		})
	}
	all.Wait()
	ports := slices.Sorted(slices.Values(slices.Concat(append(taken, []int{port})...)))
	if twice := len(ports) - len(slices.Compact(slices.Clone(ports))); twice > 0 {
		t.Errorf("%d of %d ports were given to two", twice, len(ports))
	}
	for _, port := range ports {
		if foreign[port] {
			t.Errorf("%d was given, and something listens there", port)
		}
	}
}

// A port that was given can be listened on at once, also where the process starts others meanwhile.
// Each has all sockets of the process for a moment, until it runs its own program.
func TestPortsWhileProcessesStart(t *testing.T) {
	p := new(pool)
	defer p.close()
	stop := make(chan struct{})
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/nowhere").Start() // it is not there, but it is looked for by a process of its own
				}
			}
		})
	}
	for range 100 {
		ln, err := p.listen()
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
	}
	close(stop)
	starts.Wait()
}

// Ports in a row are all of the same owner, and who ends gives all back.
func TestPortsInARow(t *testing.T) {
	p := new(pool)
	defer p.close()
	var rows []int
	for range 2 * blockSize / 7 {
		port, err := p.take(7)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range rows {
			if port < other+7 && other < port+7 {
				t.Fatalf("the row of %d overlaps that of %d", port, other)
			}
		}
		if rows = append(rows, port); !p.owns(port) || !p.owns(port+6) {
			t.Errorf("%d to %d: not all are of its blocks", port, port+6)
		}
	}
	ln, err := p.listen()
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}

func (p *pool) owns(port int) bool {
	return slices.ContainsFunc(p.locks, func(ln net.Listener) bool {
		lock := ln.Addr().(*net.TCPAddr).Port
		return lock < port && port < lock+blockSize
	})
}

func (p *pool) close() {
	for _, ln := range p.locks {
		_ = ln.Close()
	}
}
