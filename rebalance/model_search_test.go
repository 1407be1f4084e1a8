package rebalance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// The searches go at random from a seed, and make short what they find. At the end all faults end,
// and everything has to come to rest.

// weights is how often a verb is tried, out of their sum.
var weights = [...]int{
	sends: 60, greets: 25, delivers: 160, repeats: 5, loses: 8, stores: 60, storesAgain: 5, settles: 40, begins: 8, acknowledges: 60, givesUp: 3,
	states: 60, readies: 80, pulls: 80, claims: 60, handsOver: 60, drops: 40, suspects: 10, crashes: 2, restarts: 12, leaves: 3, leftBehind: 10, removes: 6,
}

// A chooser picks what happens next, by chance. What is likely differs from seed to seed, and some
// things are stuck for a while. Schedules of equal chances hardly ever have a message, an operation
// or a claim that takes much longer than all else (Groce et al., Swarm Testing, 2012).
type chooser struct {
	rng   *rand.Rand
	sums  [len(weights)]int
	stuck [len(weights)][nodesMax]mask
}

func newChooser(rng *rand.Rand) *chooser {
	c := &chooser{rng: rng}
	total := 0
	for v, w := range weights {
		total += w * []int{1, 4, 4, 4, 12}[rng.IntN(5)]
		c.sums[v] = total
	}
	return c
}

// shift draws again what is stuck.
func (c *chooser) shift() {
	c.stuck = [len(weights)][nodesMax]mask{}
	for range c.rng.IntN(8) {
		v := []verb{sends, delivers, delivers, stores, stores, acknowledges, acknowledges, states, readies, pulls, claims, claims, handsOver, drops, settles, greets}[c.rng.IntN(16)]
		set := mask(1 << c.rng.IntN(nodesMax))
		if c.rng.IntN(2) == 0 {
			set = math.MaxUint8
		}
		c.stuck[v][c.rng.IntN(nodesMax)] = set
	}
}

func (c *chooser) pick(m *model) (action, bool) {
	rng := c.rng
	for range 400 {
		at := rng.IntN(c.sums[len(c.sums)-1])
		v := verb(0)
		for at >= c.sums[v] {
			v++
		}
		a := action{verb: v, x: rng.IntN(nodesMax), y: rng.IntN(nodesMax)}
		if c.stuck[v][a.x].has(a.y) {
			continue
		}
		switch v {
		case delivers, repeats, loses:
			if wire := m.wire[a.x][a.y]; len(wire) > 0 {
				a.i = rng.IntN(len(wire))
			}
		case begins, pulls, handsOver, drops:
			a.i = rng.IntN(parts)
		case acknowledges, givesUp:
			a.i = rng.IntN(2)
		case readies:
			if wants := m.nodes[a.x].st.said.Wants; len(wants) > 0 {
				a.i = int(wants[rng.IntN(len(wants))])
			}
		}
		if m.can(a) {
			return a, true
		}
	}
	return action{}, false
}

// walk does so many actions by chance and then heals. It returns what happened until a property
// broke.
func walk(cfg *config, seed uint64, depth int) (trace []action, fault string) {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := newModel(cfg)
	if rng.IntN(4) > 0 {
		if err := m.heal(); err != nil {
			return nil, err.Error()
		}
		m.left = cfg.budget
	}
	m.abandons = abandons(seed)
	c := newChooser(rng)
	may := func(a action) {
		if m.fault == "" && m.can(a) {
			m.do(a)
			trace = append(trace, a)
			m.check()
		}
	}
	if seed%2 == 0 {
		m.atRandom(c, depth, may)
	} else {
		m.disturbed(c, depth/50, may)
	}
	if m.fault != "" {
		return trace, m.fault
	}
	if err := m.heal(); err != nil {
		return trace, err.Error()
	}
	return trace, ""
}

// abandons says whether joiners that crashed stay away at the end of this seed's run.
func abandons(seed uint64) bool { return seed%3 == 0 }

// atRandom does so many actions by chance alone.
func (m *model) atRandom(c *chooser, depth int, may func(action)) {
	for i := 0; i < depth && m.fault == ""; i++ {
		if i%80 == 0 {
			c.shift()
		}
		if a, ok := c.pick(m); ok {
			may(a)
		} else {
			c.shift()
		}
	}
}

// disturbed goes through so many rounds. In each of them each node does what it can, except what is
// stuck for a while, and other things happen in between.
func (m *model) disturbed(c *chooser, rounds int, may func(action)) {
	often := 3 + c.rng.IntN(30)
	for i := 0; i < rounds && m.fault == ""; i++ {
		if i%2 == 0 {
			c.shift()
		}
		m.round(func(a action) {
			if a.verb == givesUp || a.verb == suspects && c.rng.IntN(4) > 0 || c.stuck[a.verb][a.x].has(a.y) {
				return
			}
			if c.rng.IntN(often) == 0 {
				if other, ok := c.pick(m); ok {
					may(other)
				}
			}
			may(a)
		})
	}
}

// replay does what is possible of a trace and then heals.
func replay(cfg *config, warm, abandons bool, trace []action) (done []action, fault string) {
	m := newModel(cfg)
	if warm {
		if err := m.heal(); err != nil {
			return nil, err.Error()
		}
		m.left = cfg.budget
	}
	m.abandons = abandons
	for _, a := range trace {
		if !m.can(a) {
			continue
		}
		m.do(a)
		done = append(done, a)
		if fault := m.check(); fault != "" {
			return done, fault
		}
	}
	if err := m.heal(); err != nil {
		return done, err.Error()
	}
	return done, ""
}

// shorten leaves out of a trace what is not needed for a fault of the same property.
func shorten(cfg *config, seed uint64, trace []action, fault string) ([]action, string) {
	warm := rand.New(rand.NewPCG(seed, 0)).IntN(4) > 0
	for size := max(1, len(trace)/2); ; {
		shorter := false
		for from := 0; from < len(trace); {
			without := append(append([]action(nil), trace[:from]...), trace[min(from+size, len(trace)):]...)
			done, f := replay(cfg, warm, abandons(seed), without)
			if f != "" && f[:2] == fault[:2] && len(done) < len(trace) {
				trace, fault, shorter = done, f, true
			} else {
				from += size
			}
		}
		if size == 1 && !shorter {
			return trace, fault
		}
		if !shorter {
			size /= 2
		}
	}
}

// roundsMax bounds in how many rounds everything comes to rest.
const roundsMax = 40

// heal ends all faults. Who crashed is started again, messages are delivered, and each node does
// what it can, round by round, until all is stable. If the run abandons joiners, one that crashed
// before it had its share does not come back. It is removed when others see that it was joining.
// Where those have just started themselves, they do not see it. Then it is removed later, as each
// dead member is.
func (m *model) heal() error {
	m.left = budget{restarts: 100, removals: 100, joins: m.left.joins}
	for x, n := range m.nodes {
		wanted, known := m.expected(x)
		switch {
		case n.running || !known || !wanted:
		case m.abandons && m.owned[x] == [parts]bool{}:
			m.away |= 1 << x
		default:
			m.do(action{verb: restarts, x: x})
		}
	}
	var err error
	for round := range roundsMax {
		m.evicts = m.abandons && round > roundsMax/2
		m.round(func(a action) {
			if m.can(a) {
				m.do(a)
				m.check()
			}
		})
		if fault := m.check(); fault != "" {
			return fmt.Errorf("%s (healing, round %d)", fault, round)
		}
		if err = m.checkStable(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("P4: not stable after %d rounds: %w", roundsMax, err)
}

// expected says whether a node that does not run is still a member by what the others know.
func (m *model) expected(x int) (wanted, known bool) {
	wanted = true
	for _, n := range m.nodes {
		if n.running && n.joined && n.members[x].state != unheardOf {
			known = true
			wanted = wanted && n.members[x].state == active
		}
	}
	return wanted, known
}

// round lets each node do what it can, once.
func (m *model) round(may func(action)) {
	drain := func() {
		for x := range m.nodes {
			for y := range m.nodes {
				for range len(m.wire[x][y]) {
					may(action{verb: delivers, x: x, y: y})
				}
			}
		}
	}
	drain()
	for x, n := range m.nodes {
		for y, o := range m.nodes {
			if !n.running || x == y {
				continue
			}
			if !o.running {
				may(action{verb: suspects, x: x, y: y})
				if n.joined && (n.members[y].state == leaving || m.joining(n, y) || m.evicts && m.away.has(y)) {
					may(action{verb: removes, x: x, y: y}) // an operator's: it will not come again; or the majority's
				}
				continue
			}
			may(action{verb: greets, x: x, y: y})
			drain()
			drain()
			may(action{verb: sends, x: x, y: y})
			drain()
			drain()
			for range len(n.peers[y].queue) {
				may(action{verb: stores, x: x, y: y})
			}
			may(action{verb: settles, x: x, y: y})
		}
		for range 2 {
			may(action{verb: acknowledges, x: x})
			may(action{verb: givesUp, x: x})
		}
		may(action{verb: states, x: x})
		for range 2 {
			for _, r := range n.st.said.Wants {
				may(action{verb: readies, x: x, i: int(r)})
			}
			for part := range parts {
				for y := range m.nodes {
					may(action{verb: pulls, x: x, y: y, i: part})
				}
			}
			may(action{verb: claims, x: x})
		}
		for part := range parts {
			for y := range m.nodes {
				may(action{verb: handsOver, x: x, y: y, i: part})
			}
			may(action{verb: drops, x: x, i: part})
		}
	}
}

func list(trace []action) string {
	var b strings.Builder
	for i, a := range trace {
		fmt.Fprintf(&b, "%3d %s\n", i, a)
	}
	return b.String()
}
