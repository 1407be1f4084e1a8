package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// dialTCP connects to an address. A name is looked up again each time: a peer may come back
// elsewhere. Where that fails, the name leads where the last connection went. So neither a name
// that vanishes nor a resolver that is down takes from each other the nodes that are connected.
// Another node that has got the address takes no message to this one.
func (t *FrameTransport) dialTCP(addr string, timeout time.Duration) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return net.DialTimeout("tcp", addr, timeout)
	}
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	deadline := time.Now().Add(timeout)
	if last != "" {
		timeout /= 2 // the rest is for the connection
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	lookUp := t.LookUp
	if lookUp == nil {
		lookUp = net.DefaultResolver.LookupHost
	}
	hosts, err := lookUp(ctx, host)
	if err == nil {
		return t.dialAny(hosts, port, deadline)
	}
	if last == "" {
		return nil, err
	}
	conn, lastErr := net.DialTimeout("tcp", last, time.Until(deadline))
	if lastErr != nil {
		return nil, errors.Join(err, lastErr)
	}
	return conn, nil
}

// dialAny connects to the first of the addresses that can be reached. Each has an equal share of
// the time that is left.
func (t *FrameTransport) dialAny(hosts []string, port string, deadline time.Time) (conn net.Conn, err error) {
	err = os.ErrDeadlineExceeded
	for i, host := range hosts {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, err
		}
		addr := net.JoinHostPort(host, port)
		if conn, err = net.DialTimeout("tcp", addr, left/time.Duration(len(hosts)-i)); err == nil {
			t.mu.Lock()
			t.last = addr
			t.mu.Unlock()
			return conn, nil
		}
	}
	return nil, err
}
