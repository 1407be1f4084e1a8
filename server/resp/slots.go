package resp

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"httpdhs/api"
)

// slotCount is how many slots a cluster of Redis has.
const slotCount = 16384

// slotOfKey is the slot of a key, as every client of a cluster computes it. If the key has a part
// in braces, that part alone counts.
func slotOfKey(key []byte) int {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	crc := uint16(0) // CRC-16/XMODEM
	for _, c := range key {
		crc ^= uint16(c) << 8
		for range 8 {
			top := crc >> 15
			crc = crc<<1 ^ top*0x1021
		}
	}
	return int(crc) % slotCount
}

// offered is a node that clients are sent to. It has the slots from first to last.
type offered struct {
	name, id, host string
	port           int
	first, last    int
}

// offer divides the slots over the nodes that speak RESP, and are up and not about to leave. Slots
// have nothing to do with who owns a key: any node carries out any command. They spread clients.
//
// Each node is the primary of one range, in the order of the names. So a client that asks any node
// learns all of them, and all nodes say the same. None is listed as a replica: a node is either one
// or the other to CLUSTER NODES, and libraries take one that they meet in both roles for a replica.
// A client that loses a node goes on with another, and finds the slots divided without it.
func offer(nodes []api.Node) []offered {
	var all []offered
	for i := range nodes {
		n := &nodes[i]
		host, portText, err := net.SplitHostPort(n.Resp)
		port, err2 := strconv.Atoi(portText)
		if cmp.Or(err, err2) != nil || n.State == api.StateDown || n.State == api.StateLeaving {
			continue
		}
		all = append(all, offered{name: n.Name, id: nodeID(n.Name), host: host, port: port})
	}
	slices.SortFunc(all, func(a, b offered) int { return cmp.Compare(a.name, b.name) })
	for i := range all {
		all[i].first, all[i].last = slotCount*i/len(all), slotCount*(i+1)/len(all)-1
	}
	return all
}

// nodeID is what a node is called in answers: 40 hex digits.
func nodeID(name string) string {
	sum := sha1.Sum([]byte(name))
	return hex.EncodeToString(sum[:])
}

// members keeps what the cluster was like, since all members are asked for it.
type members struct {
	mu   sync.Mutex // guards the rest, and is held while they are asked
	at   time.Time
	last api.Cluster
}

const (
	membersAge  = time.Second // how old an answer may be
	membersWait = time.Second // how long members may take
)

// members returns what the cluster is like, or was a second ago.
func (s *Server) members() *api.Cluster {
	m := &s.seen
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); m.at.IsZero() || now.Sub(m.at) > membersAge {
		m.last, m.at = s.cluster.Cluster(now.Add(membersWait)), now
	}
	last := m.last
	return &last
}
