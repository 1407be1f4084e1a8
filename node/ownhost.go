package node

import (
	"net"
	"os"
	"strings"
)

// ownHost is the server's OwnHost: a node on the loopback serves this machine
// alone, so it knows all names by which it may be called. So does one that is
// given names. nil: it serves others too, or is to be called by any name.
func (n *Node) ownHost() func(name string) bool {
	web := &n.cfg.Web
	if web.anyHost() || !web.restricted() && !isLoopback(n.listener.Addr()) {
		return nil
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = ""
	}
	short, _, _ := strings.Cut(machine, ".")
	return func(name string) bool {
		if strings.EqualFold(name, machine) || strings.EqualFold(name, short) || name == hostOf(n.cfg.Name) || web.has(name) {
			return true
		}
		for _, member := range n.members.Members() {
			if name == hostOf(member.Name) {
				return true
			}
		}
		return false
	}
}

// hostOf is the host of a node's name, which is canonical: in lower case.
func hostOf(name string) string {
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		return ""
	}
	return host
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
