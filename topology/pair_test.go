package topology

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"httpdhs/wire"
)

// Of each two one asks, and each asks about half of the others.
func TestOneOfAPairAsks(t *testing.T) {
	const nodes = 100
	for i := range nodes {
		asks := 0
		for j := range nodes {
			a, b := fmt.Sprintf("10.0.0.%d:7070", i), fmt.Sprintf("10.0.0.%d:7070", j)
			if i != j && asker(a, b) == asker(b, a) {
				t.Errorf("of %s and %s both ask or none does", a, b)
			}
			if i != j && asker(a, b) {
				asks++
			}
		}
		if asks < nodes/4 || asks > 3*nodes/4 {
			t.Errorf("node %d asks %d of %d", i, asks, nodes)
		}
	}
}

// Until nodes that start are in sync each pair says the same few things, however many pairs there
// are: messages grow as the square of the nodes, and not as the cube.
func TestMessagesOfAStart(t *testing.T) {
	for _, nodes := range []int{16, 32} {
		bubble(t, func(t *testing.T) {
			c, pings := newCluster(t, nodes), int64(0)
			for _, n := range c.nodes {
				pings += n.pings.Load()
			}
			if pairs := int64(nodes * (nodes - 1) / 2); pings > 8*pairs {
				t.Errorf("%d nodes: %d pings of %d pairs", nodes, pings, pairs)
			}
		})
	}
}

// A node that waits for the first question of a member asks it soon if none comes after that one.
func TestAfterTheFirstQuestion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		top, m := alone(t, slog.DiscardHandler, nil)
		m.prober.asker = false
		top.mu.roster.setList(slices.Repeat([]*member{m}, 99))
		first := m.prober.firstPause()
		if got := m.prober.rests(first); got != first {
			t.Errorf("before the first question it waits %s, want %s", got, first)
		}
		m.peer.MarkBack(true)
		m.judged.Store(true)
		m.proven = time.Now()
		time.Sleep(time.Second)
		if got := m.prober.rests(first); got > m.prober.pause()-time.Second {
			t.Errorf("a second after it waits %s of %s", got, m.prober.pause())
		}
	})
}

// A question proves that its sender has drawn its conclusions from the ping that it names, and from
// those before. It proves nothing of later ones, of another life of this node, or when it was on
// its way for longer than an answer may be.
func TestQuestionProvesWhatItNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		top, m := alone(t, slog.DiscardHandler, nil)
		top.opt.BothAsk, m.prober.asker = 1, false
		top.mu.roster.setList([]*member{m})
		m.peer.MarkBack(true)
		m.judged.Store(true)
		m.belief.ping.Boot = 2
		for seq := range uint64(3) {
			m.sent.add(&sent{number: 11 + seq, seq: 21 + seq, at: time.Now()})
		}
		ask := func(number, boot uint64, held time.Duration) {
			m.asked(&wire.Ping{Name: "other", Boot: 2, Sees: wire.Sight{Boot: boot}, Heard: number, Held: held.Microseconds()}, time.Now())
		}
		for _, q := range []struct {
			what         string
			number, boot uint64
			after, held  time.Duration
			proven       uint64
		}{
			{"of no ping", 0, self, 0, 0, 0},
			{"of a ping of another life", 12, self + 1, 0, 0, 0},
			{"of a ping that is not known", 99, self, 0, 0, 0},
			{"of the second ping", 12, self, time.Second, time.Second / 2, 22},
			{"of the first ping", 11, self, 0, time.Second, 22},
			{"of the third, which was long under way", 13, self, 2 * time.Second, time.Second, 22},
			{"of the third, which was held for long", 13, self, time.Second, 4 * time.Second, 23},
		} {
			time.Sleep(q.after)
			ask(q.number, q.boot, q.held)
			if got := m.belief.answeredTo; got != q.proven {
				t.Errorf("a question %s: statements up to %d are answered, want %d", q.what, got, q.proven)
			}
		}
	})
}
