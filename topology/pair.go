package topology

import (
	"time"

	"httpdhs/kv"
	"httpdhs/wire"
)

// Each two members are a pair. With few members each of the two asks the other, so that both ways
// are tried all the time. With more, that would be twice the messages and twice the connections:
// one of the two asks, and the other learns as much from its questions. A question names the last
// ping of the other that its sender has drawn its conclusions from. So it proves what an answer to
// that ping would.
//
// Conclusions are drawn from a ping once the belief in its sender is set. The step that follows may
// be put off: each later step goes by that belief.

// sentKept is of how many pings to a member this node knows what they said. More are seldom under
// way.
const sentKept = 8

// taken is the ping that a node has last drawn its conclusions from.
type taken struct {
	number uint64
	at     time.Time
}

// sent is what this node has said to a member in a ping.
type sent struct {
	number   uint64
	seq      uint64    // of the statement
	told     uint64    // this node's suspicion epoch of the member, at least
	revision uint64    // of all that it states
	at       time.Time // when the ping was made
	stamped  time.Time // what the stamping clock read then
}

// asker says whether it is a node's part to ask the other of a pair: of the two it is one.
func asker(self, other string) bool {
	low, high := min(self, other), max(self, other)
	lowAsks := kv.Hash([]byte(low+" "+high))&1 == 0
	return lowAsks == (self == low)
}

// sentPings are the last pings to a member.
type sentPings struct {
	ring  [sentKept]sent
	count int
}

// add takes note of a ping before it is sent.
func (s *sentPings) add(p *sent) {
	s.ring[s.count%sentKept] = *p
	s.count++
}

// latest is the last one; nil: there was none.
func (s *sentPings) latest() *sent {
	if s.count == 0 {
		return nil
	}
	return &s.ring[(s.count-1)%sentKept]
}

// of is the ping of that number; nil: it was none of the last.
func (s *sentPings) of(number uint64) *sent {
	for i := range s.ring {
		if s.ring[i].number == number {
			return &s.ring[i]
		}
	}
	return nil
}

// took takes note that the conclusions are drawn from a ping, which came at that time.
func (m *member) took(p *wire.Ping, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := &m.belief; b.ping.Boot == p.Boot && p.Number > b.taken.number {
		b.taken = taken{p.Number, at}
	}
}

// heard is what a ping to the member says of the last of the member's that was taken.
func (m *member) heard() (boot, number uint64, held time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := &m.belief; b.taken.number > 0 {
		return b.ping.Boot, b.taken.number, time.Since(b.taken.at)
	}
	return 0, 0, 0
}

// proof is the ping of this node after which a question of the member was made, and how long both
// were under way. not ok: the question does not say, or was under way for longer than an answer may
// be.
func (m *member) proof(p *wire.Ping, now time.Time) (s sent, rtt time.Duration, ok bool) {
	if p.Heard == 0 || p.Sees.Boot != m.t.opt.Boot {
		return s, 0, false
	}
	patience := m.t.strain.patience(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	heard := m.sent.of(p.Heard)
	if heard == nil {
		return s, 0, false
	}
	rtt = max(0, now.Sub(heard.at)-time.Duration(p.Held)*time.Microsecond)
	return *heard, rtt, rtt <= patience
}
