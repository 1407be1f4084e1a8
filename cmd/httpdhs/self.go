package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// machine knows which hosts are this machine.
type machine struct {
	hostname string
	addrs    []net.IP
	lookup   func(host string) []net.IP // nil where there is no answer
	room     room
}

// lookupTimeout bounds the resolution of one name of a --conf file. A name
// server that is away costs this much at start and no more.
const lookupTimeout = 2 * time.Second

// thisMachine asks the operating system.
func thisMachine() *machine {
	m := &machine{room: thisRoom(), lookup: func(host string) []net.IP {
		ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
		defer cancel()
		ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
		if err != nil {
			return nil // then it is not known to be this machine
		}
		return ips
	}}
	m.hostname, _ = os.Hostname()
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ipNet, ok := a.(*net.IPNet); ok {
			m.addrs = append(m.addrs, ipNet.IP)
		}
	}
	return m
}

// is says whether host, a name or an address, is this machine.
func (m *machine) is(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return m.has(ip)
	}
	if strings.EqualFold(host, "localhost") || m.hostname != "" && strings.EqualFold(host, m.hostname) {
		return true
	}
	for _, ip := range m.lookup(host) {
		if m.has(ip) {
			return true
		}
	}
	return false
}

func (m *machine) has(ip net.IP) bool {
	if ip.IsLoopback() {
		return true
	}
	for _, own := range m.addrs {
		if own.Equal(ip) {
			return true
		}
	}
	return false
}

// findSelf finds this node's own line: the one that --advertise names, else
// the one with its port and an address of this machine. Guessing wrong would
// give two nodes one name, so what is not certain is an error.
func findSelf(file string, nodes []confLine, advertise string, port int, m *machine) (string, error) {
	if advertise != "" {
		for _, n := range nodes {
			if strings.EqualFold(n.addr, advertise) {
				return n.addr, nil
			}
		}
		return "", fmt.Errorf("%s: no line is --advertise %s: add it, or give --advertise as a line has it", file, advertise)
	}
	var fits []confLine
	for _, n := range nodes {
		if n.port == port && m.is(n.host) {
			fits = append(fits, n)
		}
	}
	switch len(fits) {
	case 0:
		return "", fmt.Errorf("%s: no line is this node: none has port %d and an address of this machine; set --port or --advertise", file, port)
	case 1:
		return fits[0].addr, nil
	}
	return "", fmt.Errorf("%s: lines %d (%s) and %d (%s) both fit this node; say which with --advertise",
		file, fits[0].number, fits[0].addr, fits[1].number, fits[1].addr)
}

// wantApart says which two lines are one node, as far as addresses tell: a node under two names
// would count as two replicas. Only lines with the same port can be; a host that cannot be looked
// up now is taken for one of its own.
func wantApart(file string, nodes []confLine, m *machine) error {
	sharing := make(map[int]int) // by port: how many lines have it
	for _, n := range nodes {
		sharing[n.port]++
	}
	found := make([][]net.IP, len(nodes))
	var lookups sync.WaitGroup
	for i, n := range nodes {
		if ip := net.ParseIP(n.host); ip != nil {
			found[i] = []net.IP{ip}
		} else if sharing[n.port] > 1 {
			lookups.Go(func() { found[i] = m.lookup(n.host) })
		}
	}
	lookups.Wait()
	type place struct {
		ip   [16]byte
		port int
	}
	first := make(map[place]confLine)
	for i, n := range nodes {
		for _, ip := range found[i] {
			at := place{[16]byte(ip.To16()), n.port}
			if other, taken := first[at]; taken && other.number != n.number {
				return fmt.Errorf("%s: lines %d (%s) and %d (%s) are the same node, at %s: leave one of them out",
					file, other.number, other.addr, n.number, n.addr, net.JoinHostPort(ip.String(), strconv.Itoa(n.port)))
			}
			first[at] = n
		}
	}
	return nil
}
