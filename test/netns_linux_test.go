package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// lan is a network of its own for the nodes of a fleet, each in a network namespace, as on a
// machine of its own. Each has two interfaces. By one the nodes reach each other over a router,
// which does with each packet as it is told. By the other the test reaches them.
type lan struct {
	t      *testing.T
	prefix string // of all that is made
	net    string // the first three numbers of the addresses at which the nodes reach each other
	nodes  int
	router *router
	ends   []*os.File // of the router
}

const (
	lanPrefix = "hd"
	lanMax    = 10 // nodes
)

// newLAN makes a fleet that has its own network, or skips the test where that cannot be made.
func newLAN(t *testing.T, nodes int, flags ...string) (*fleet, *lan) {
	t.Helper()
	f, l, err := tryLAN(t, nodes, flags...)
	if err != nil {
		t.Skip(err)
	}
	return f, l
}

// lans counts those of this process: two of one name would take each other away.
var lans atomic.Int32

// tryLAN is newLAN, or says why there is none.
func tryLAN(t *testing.T, nodes int, flags ...string) (*fleet, *lan, error) {
	t.Helper()
	if os.Getuid() != 0 {
		return nil, nil, errors.New("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, nil, errors.New("there is no ip command (iproute2)")
	}
	networks.Lock()
	defer networks.Unlock()
	sweepLANs()
	l := &lan{t: t, nodes: nodes, prefix: fmt.Sprintf("%s%d%c", lanPrefix, os.Getpid(), 'a'+(lans.Add(1)-1)%26)}
	t.Cleanup(func() {
		networks.Lock()
		defer networks.Unlock()
		l.remove()
	})
	a, b := 64+rand.IntN(128), rand.IntN(250)
	l.net = fmt.Sprintf("10.%d.%d", a, b+1)
	if err := l.make(a, b); err != nil {
		for _, end := range l.ends {
			_ = end.Close()
		}
		return nil, nil, fmt.Errorf("no network namespaces, or no TUN interfaces here: %w", err)
	}
	l.router = newRouter(l.ends)
	t.Cleanup(l.router.close)
	f := newFleet(t, nodes, flags...)
	for i, s := range f.ships {
		s.under = []string{"ip", "netns", "exec", l.ns(i)}
		s.name = l.addr(i) + ":15000"
		s.ask = fmt.Sprintf("10.%d.%d.%d:15000", a, b, 10+i)
	}
	return f, l, nil
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// ipBatch is ip of many lines, by one process: to start it takes longer than what it does. With
// flags, -netns for one, they are for all.
func ipBatch(lines []string, flags ...string) error {
	cmd := exec.Command("ip", append(flags, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s\n%s", err, out, strings.Join(lines, "\n"))
	}
	return nil
}

func (l *lan) ns(i int) string    { return fmt.Sprintf("%sn%d", l.prefix, i) }
func (l *lan) cable(i int) string { return fmt.Sprintf("%sx%d", l.prefix, i) }
func (l *lan) tun(i int) string   { return fmt.Sprintf("%st%d", l.prefix, i) }
func (l *lan) bridge() string     { return l.prefix + "b" }

func (l *lan) make(a, b int) error {
	outside := []string{
		"link add " + l.bridge() + " type bridge",
		"link set " + l.bridge() + " addrgenmode none", // an address of IPv6 would come later, when networks is not held
		fmt.Sprintf("addr add 10.%d.%d.1/24 dev %s", a, b, l.bridge()),
		"link set " + l.bridge() + " up",
	}
	for i := range l.nodes {
		ns, tun := l.ns(i), l.tun(i)
		if err := ip("netns add " + ns); err != nil {
			return err
		}
		end, err := newTUN(tun)
		if err != nil {
			return err
		}
		l.ends = append(l.ends, end)
		outside = append(outside,
			fmt.Sprintf("link add %s type veth peer name ask netns %s", l.cable(i), ns),
			"link set "+l.cable(i)+" addrgenmode none",
			fmt.Sprintf("link set %s master %s up", l.cable(i), l.bridge()),
			fmt.Sprintf("link set %s netns %s", tun, ns))
	}
	if err := ipBatch(outside); err != nil {
		return err
	}
	for i := range l.nodes {
		tun := l.tun(i)
		err := ipBatch([]string{
			"link set lo up",
			fmt.Sprintf("addr add 10.%d.%d.%d/24 dev ask", a, b, 10+i),
			"link set ask up",
			fmt.Sprintf("link set %s name node mtu %d txqueuelen 10000", tun, packetMax),
			"addr add " + l.addr(i) + "/24 dev node",
			"link set node up",
		}, "-netns", l.ns(i))
		if err != nil {
			return err
		}
	}
	return nil
}

// remove takes all away. With a namespace goes what is in it, but only when the kernel has come to
// it: so the cables go first.
func (l *lan) remove() {
	gone := []string{"link del " + l.bridge()}
	for i := range l.nodes {
		gone = append(gone, "link del "+l.cable(i))
	}
	_ = ipBatch(gone, "-force") // some may not have been made
	for i := range l.nodes {
		_ = ip("netns del " + l.ns(i))
	}
}

// sweepLANs takes away what tests left that were killed.
func sweepLANs() {
	entries, _ := os.ReadDir("/run/netns") // none: nothing was left
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), lanPrefix)
		digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if !ours || digits <= 0 {
			continue
		}
		if pid, err := strconv.Atoi(rest[:digits]); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			(&lan{prefix: lanPrefix + rest[:digits+1], nodes: lanMax}).remove()
		}
	}
}

// split takes the network apart: sides[i] is where node i is.
func (l *lan) split(sides ...int) {
	for i, side := range sides {
		for j, other := range sides {
			l.router.set(i, j, fate{cut: side != other})
		}
	}
}

// heal puts it together again.
func (l *lan) heal() { l.split(make([]int, l.nodes)...) }

// deafen has what node i sends to node j get lost on the way, without a word to either, while what
// j sends to i arrives.
func (l *lan) deafen(i, j int) { l.router.set(i, j, fate{cut: true}) }

// mend ends what deafen began.
func (l *lan) mend(i, j int) { l.router.set(i, j, fate{}) }

// addr is where the other nodes reach node i.
func (l *lan) addr(i int) string { return fmt.Sprintf("%s.%d", l.net, 10+i) }
