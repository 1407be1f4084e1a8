package test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// kills is how many kills each way of killing is tried for: KILLS, or few.
var kills = fromEnv("KILLS", killsDaily)

const killsDaily = 2

// slack is what a kill of all nodes may cost where --sync is not always, with a margin for a
// machine that is busy: a write is handed to the system some 10 ms after it was acknowledged.
const slack = 500 * time.Millisecond

// Nodes are killed at random moments under load, and started again on what is on their disks alone:
// nothing that was acknowledged is missing, nothing that was deleted is back, and counters are
// exact. So it is with --sync=always however many are killed, and with --sync=interval where one is
// killed at a time. Where all are, that is all acknowledged earlier than moments before the kill.
func TestKillsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		nodes int
		one   bool // at a time
		slack time.Duration
		flags []string
	}{
		{"one of three, sync always", 3, true, 0, []string{"--sync=always"}},
		{"one of three, sync interval", 3, true, 0, nil},
		{"all of three, sync always", 3, false, 0, []string{"--sync=always"}},
		{"all of three, sync interval", 3, false, slack, nil},
		{"a single node, sync always", 1, false, 0, []string{"--replicas=1", "--sync=always"}},
		{"a single node, sync interval", 1, false, slack, []string{"--replicas=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startOnDisks(t, c.nodes, append(c.flags, smallSegments(kills == killsDaily)...)...)
			l := newLedger(f, c.slack)
			l.begin()
			var settling time.Duration
			for n := range kills {
				l.more(20)
				down := f.all()
				if c.one {
					down = []int{rand.IntN(c.nodes)}
				}
				again := 1
				if rand.IntN(3) == 0 {
					again = 2 // while they start
				}
				for range again {
					time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // nothing is waited for: it is a random moment
					l.kill(down...)
				}
				began := time.Now()
				f.awaitSettled(f.all()...)
				settling = max(settling, time.Since(began))
				if rand.IntN(2) == 0 || n == kills-1 {
					l.audit()
				}
			}
			l.end()
			t.Logf("%d times; %d requests answered; settled within %v; lost: %s", kills, l.done.Load(), settling.Round(time.Millisecond), l.losses())
		})
	}
}

// kill kills nodes at once, and starts them again.
func (l *ledger) kill(nodes ...int) {
	from := time.Now()
	for _, i := range nodes {
		l.f.signal(i, syscall.SIGKILL)
	}
	for _, i := range nodes {
		l.f.kill9(i)
	}
	if len(nodes) == len(l.f.ships) {
		l.struck(from, time.Now())
	}
	for _, i := range nodes {
		l.f.start(i)
	}
}
