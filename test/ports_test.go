package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// handedOut is the next port that no test has been given yet. A test keeps its ports to the end of the process, since it may listen on them,
// stop, and listen again: one that was merely free for a moment would go to another test meanwhile.
var handedOut = struct {
	sync.Mutex
	next int
}{next: firstPort + rand.IntN(5000)} // so that two runs at once do not meet often

// The ports of nodes, and those for gossip, 10,000 above them, are below those that operating systems give to outgoing connections: none of
// these takes one while a node is down.
const (
	firstPort = 10_100
	lastPort  = 15_999
)

// freePort is a port that nothing listens on and that no other test is given.
func freePort() int { return freePorts(1) }

// freePorts is the first of n such ports in a row.
func freePorts(n int) int {
	handedOut.Lock()
	defer handedOut.Unlock()
	for row := 0; handedOut.next <= lastPort; {
		port := handedOut.next
		handedOut.next++
		if !free(port) {
			row = 0
			continue
		}
		if row++; row == n {
			return port - n + 1
		}
	}
	panic(fmt.Sprintf("no port between %d and %d is left", firstPort, lastPort))
}

// free says whether a node could listen on port, and on that for its gossip.
func free(port int) bool {
	for _, p := range []int{port, port + 10_000} {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return false
		}
		_ = ln.Close()
	}
	return true
}
