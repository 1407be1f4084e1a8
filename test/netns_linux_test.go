package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// lan is a network of its own for the nodes of a fleet, each in a network namespace, as on a machine of its own. Each has two interfaces:
// by one the nodes reach each other over a bridge, which is taken apart and put together again; by the other the test reaches them.
type lan struct {
	t      *testing.T
	prefix string // of all that is made
	net    string // the first three numbers of the addresses at which the nodes reach each other
	nodes  int
}

const (
	lanPrefix = "hd"
	sidesMax  = 3
)

// newLAN makes a fleet that has its own network, or skips the test where that cannot be made.
func newLAN(t *testing.T, nodes int, flags ...string) (*fleet, *lan) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command (iproute2)")
	}
	sweepLANs()
	l := &lan{t: t, nodes: nodes, prefix: fmt.Sprintf("%s%d%c", lanPrefix, os.Getpid(), 'a'+rand.IntN(26))}
	t.Cleanup(l.remove)
	a, b := 64+rand.IntN(128), rand.IntN(250)
	l.net = fmt.Sprintf("10.%d.%d", a, b+1)
	if err := l.make(a, b); err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	f := newFleet(t, nodes, flags...)
	for i, s := range f.ships {
		s.under = []string{"ip", "netns", "exec", l.ns(i)}
		s.name = l.addr(i) + ":15000"
		s.ask = fmt.Sprintf("10.%d.%d.%d:15000", a, b, 10+i)
	}
	return f, l
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

func (l *lan) ns(i int) string        { return fmt.Sprintf("%sn%d", l.prefix, i) }
func (l *lan) cable(i int) string     { return fmt.Sprintf("%sv%d", l.prefix, i) }
func (l *lan) bridge(side any) string { return fmt.Sprintf("%sb%v", l.prefix, side) }
func (l *lan) attach(i, side int) error {
	return ip("link set " + l.cable(i) + " master " + l.bridge(side))
}
func (l *lan) do(format string, v ...any) error { return ip(fmt.Sprintf(format, v...)) }

func (l *lan) make(a, b int) (err error) {
	step := func(format string, v ...any) {
		if err == nil {
			err = l.do(format, v...)
		}
	}
	step("link add %s type bridge", l.bridge("x"))
	step("addr add 10.%d.%d.1/24 dev %s", a, b, l.bridge("x"))
	step("link set %s up", l.bridge("x"))
	for side := range sidesMax {
		step("link add %s type bridge", l.bridge(side))
		step("link set %s up", l.bridge(side))
	}
	for i := range l.nodes {
		step("netns add %s", l.ns(i))
		step("-n %s link set lo up", l.ns(i))
		for _, end := range []struct {
			outside, inside, bridge string
			net                     int
		}{{l.prefix + "x" + strconv.Itoa(i), "ask", l.bridge("x"), b}, {l.cable(i), "node", l.bridge(0), b + 1}} {
			step("link add %s type veth peer name %s netns %s", end.outside, end.inside, l.ns(i))
			step("link set %s master %s up", end.outside, end.bridge)
			step("-n %s addr add 10.%d.%d.%d/24 dev %s", l.ns(i), a, end.net, 10+i, end.inside)
			step("-n %s link set %s up", l.ns(i), end.inside)
		}
	}
	return err
}

// remove takes all away. With a namespace goes what is in it, but only when the kernel has come to it: so the cables go first.
func (l *lan) remove() {
	for i := range l.nodes {
		_ = l.do("link del %s", l.cable(i)) // it may not have been made, as what follows
		_ = l.do("link del %sx%d", l.prefix, i)
		_ = l.do("netns del %s", l.ns(i))
	}
	for _, side := range []any{"x", 0, 1, 2} {
		_ = l.do("link del %s", l.bridge(side))
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
			(&lan{prefix: lanPrefix + rest[:digits+1], nodes: 5}).remove()
		}
	}
}

// split takes the network apart: sides[i] is where node i is.
func (l *lan) split(sides ...int) {
	l.t.Helper()
	for i, side := range sides {
		if err := l.attach(i, side); err != nil {
			l.t.Fatal(err)
		}
	}
}

// heal puts it together again.
func (l *lan) heal() {
	l.t.Helper()
	l.split(make([]int, l.nodes)...)
}

// deafen has what node i sends to node j get lost on the way, without a word to either, while what j sends to i arrives: i is told a hardware address for j that
// nobody has.
func (l *lan) deafen(i, j int) {
	l.t.Helper()
	if err := l.do("-n %s neigh replace %s lladdr 02:00:00:00:00:01 dev node nud permanent", l.ns(i), l.addr(j)); err != nil {
		l.t.Fatal(err)
	}
}

// mend ends what deafen began.
func (l *lan) mend(i, j int) {
	l.t.Helper()
	if err := l.do("-n %s neigh del %s dev node", l.ns(i), l.addr(j)); err != nil {
		l.t.Fatal(err)
	}
}

// addr is where the other nodes reach node i.
func (l *lan) addr(i int) string { return fmt.Sprintf("%s.%d", l.net, 10+i) }
