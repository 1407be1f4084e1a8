package simnet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind uint8

const (
	Cut     FaultKind = iota // nothing passes between A and B, either way
	CutWay                   // nothing passes from A to B
	Lossy                    // some messages on all ways are lost
	Slow                     // the nodes in A are a hundred times slower
	Mute                     // the nodes in A take questions, and never answer
	Garbled                  // some answers of the nodes in A are garbage
	Failing                  // some answers of the nodes in A are errors
	Stop                     // the nodes in A are stopped, with their memory, and go on later
	Wild                     // the clocks of the nodes in A go wrong by minutes, and are set right later
	Crash                    // the nodes in A crash and are started again later, empty
	Jump                     // the clocks of the nodes in A are set by seconds
	Twice                    // some messages on all ways arrive twice, the second time much later
	Lagging                  // messages from A to B, or to and from A, take so much longer
	Full                     // the nodes in A refuse what needs memory

	// Of nodes with a disk. The nodes in A are started again later, each after a pause.
	Killed     // the processes in A are killed
	Powerless  // the nodes in A lose their power
	Restarted  // the nodes in A are stopped in good order
	Stale      // the nodes in A are killed, and get the disks that they had a while ago
	Unwritable // the disks of A do not take writes
	Unsyncable // nor make them last
	DiskFull   // nor have room
	SlowDisk   // they take long to make them last

	StopIfSafe // the nodes in A crash, if it is safe to stop them, and are started again later
)

func (k FaultKind) String() string {
	return [...]string{
		"cut", "one-way cut", "lossy", "slow", "mute", "garbled", "failing", "stop", "wild clock", "crash", "clock jump", "twice", "lagging", "full",
		"kill -9", "power cut", "restart", "stale disk", "disk takes no writes", "disk takes no syncs", "disk full", "slow disk",
		"safe stop",
	}[k]
}

// splits says whether nodes may not be able to talk to each other as they should.
func (k FaultKind) splits() bool { return k <= Wild }

// lagMost is how long messages there and back may lag until a node may be taken for down, with four
// probes in a row unanswered. It is what a probe waits for its answer, less what messages take
// anyway.
const lagMost = 500 * time.Millisecond

// splits says whether nodes may not be able to talk to each other as they should while the fault
// lasts.
func (f *Fault) splits() bool { return f.Kind.splits() || f.Kind == Lagging && f.roundTrip() > lagMost }

// refuses says whether nodes refuse writes for want of room, or since their disks take nothing.
func (f *Fault) refuses() bool {
	return f.Kind == Full || f.Kind == Unwritable || f.Kind == Unsyncable || f.Kind == DiskFull
}

// roundTrip is what a fault that lags adds to the time of a question and its answer.
func (f *Fault) roundTrip() time.Duration {
	if len(f.B) > 0 {
		return f.By
	}
	return 2 * f.By
}

// Fault is one thing that goes wrong for a while.
type Fault struct {
	Kind   FaultKind
	At     time.Duration // since the clients began
	For    time.Duration
	A, B   []string
	Share  float64         // of messages
	By     time.Duration   // of clocks and ways
	Silent bool            // what is lost is lost without a word
	Pauses []time.Duration // until each node in A is started again
}

// String is the fault in words.
func (f *Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v for %v", f.Kind, f.For.Round(time.Millisecond))
	if len(f.A) > 0 {
		fmt.Fprintf(&b, " %v", f.A)
	}
	if len(f.B) > 0 {
		fmt.Fprintf(&b, " to %v", f.B)
	}
	if f.Share > 0 {
		fmt.Fprintf(&b, " share %.2f", f.Share)
	}
	if f.By != 0 {
		fmt.Fprintf(&b, " by %v", f.By.Round(time.Millisecond))
	}
	if f.Silent {
		b.WriteString(" silent")
	}
	return b.String()
}

// mark adds what the fault does to a way.
func (f *Fault) mark(from, to string, w *way) {
	fromA, toA := slices.Contains(f.A, from), slices.Contains(f.A, to)
	switch f.Kind {
	case Cut:
		if fromA && slices.Contains(f.B, to) || toA && slices.Contains(f.B, from) {
			w.cut, w.silent = true, w.silent || f.Silent
		}
	case CutWay:
		if fromA && slices.Contains(f.B, to) {
			w.cut, w.silent = true, w.silent || f.Silent
		}
	case Lossy:
		w.loss, w.silent = max(w.loss, f.Share), w.silent || f.Silent
	case Slow:
		if fromA || toA {
			w.slow = 100
		}
	case Mute:
		w.mute = w.mute || toA
	case Garbled:
		if fromA { // answers go from it
			w.garbage = max(w.garbage, f.Share)
		}
	case Failing:
		if toA {
			w.fails = max(w.fails, f.Share)
		}
	case Twice:
		w.twice = max(w.twice, f.Share)
	case Lagging:
		if fromA && (len(f.B) == 0 || slices.Contains(f.B, to)) || toA && len(f.B) == 0 {
			w.lag = max(w.lag, f.By)
		}
	}
}

// Profile is which kinds of faults a run has at all. Seeds take different ones (Groce et al.,
// "Swarm Testing", 2012). With all kinds on all the time, runs would be alike. And the guarantees
// that hold only while the network is whole would never be looked at.
type Profile []FaultKind

// drawProfile draws the kinds of a run.
func drawProfile(c chance) Profile {
	var from []FaultKind
	switch u := c.Float64(); {
	case u < 0.10:
		from = []FaultKind{Jump, Twice}
	case u < 0.30:
		from = []FaultKind{Crash, Crash, Jump, Twice}
	case u < 0.55:
		from = []FaultKind{Cut, CutWay, Lossy, Slow, Mute, Garbled, Failing, Stop, Wild, Jump, Twice}
	default:
		from = []FaultKind{Cut, CutWay, Lossy, Slow, Mute, Garbled, Failing, Stop, Wild, Jump, Twice, Crash, Crash, Crash}
	}
	var p Profile
	for _, kind := range from {
		if c.yes(0.5) {
			p = append(p, kind)
		}
	}
	return p
}

// drawFaults draws what goes wrong in a run of so long.
func drawFaults(c chance, p Profile, names []string, span time.Duration) []*Fault {
	if len(p) == 0 {
		return nil
	}
	var faults []*Fault
	for range 1 + c.IntN(7) {
		f := &Fault{Kind: pick(c, p...), At: c.between(0, span)}
		f.For = min(time.Duration(c.ExpFloat64()*float64(1500*time.Millisecond))+20*time.Millisecond, span)
		nodes := slices.Clone(names)
		c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		f.Silent = c.yes(0.5)
		f.Share = 0.02 + 0.5*c.Float64()*c.Float64()
		f.place(c, nodes)
		faults = append(faults, f)
	}
	slices.SortFunc(faults, func(a, b *Fault) int { return int(a.At - b.At) })
	return faults
}

// place says which nodes it is about, of those shuffled.
func (f *Fault) place(c chance, nodes []string) {
	share := f.Share
	f.Share = 0
	switch f.Kind {
	case Cut, CutWay:
		switch shape := c.Float64(); {
		case shape < 0.4: // one link
			f.A, f.B = nodes[:1], nodes[1:2]
		case shape < 0.7: // one node and the rest
			f.A, f.B = nodes[:1], nodes[1:]
		case shape < 0.9: // two sides
			half := len(nodes) / 2
			f.A, f.B = nodes[:half], nodes[half:]
		default: // no side has a majority, some nodes are alone
			f.A, f.B = nodes, nodes
			if k := len(nodes) / 2; f.Kind == CutWay {
				f.A, f.B = nodes[:k], nodes
			}
		}
	case Lossy, Twice:
		f.Share = share
	case Garbled, Failing:
		f.A, f.Share = nodes[:1], min(1, 3*share)
	case Wild:
		f.A, f.By = nodes[:1], pick[time.Duration](c, -1, 1)*c.between(time.Minute, 3*time.Minute)
	case Jump:
		f.A, f.By = nodes[:1], pick[time.Duration](c, -1, 1)*c.between(0, 8*time.Second)
	case Crash:
		count := 1
		if c.yes(0.2) {
			count = 2
		}
		f.A = nodes[:count]
		if c.yes(0.3) {
			f.For = c.between(time.Millisecond, 100*time.Millisecond) // back before others have noticed
		}
	default:
		f.A = nodes[:1]
		if c.yes(0.15) {
			f.A = nodes[:2]
		}
	}
}

// drawSlow draws links that lag: for seconds, or for minutes of a longer run,
// in which clients ask less often.
func (s *Shape) drawSlow(c chance) {
	u := c.Float64()
	if u > 0.15 {
		return
	}
	minutes := u < 0.03
	if minutes {
		s.Span = c.between(time.Minute, 3*time.Minute)
		s.Pause = s.Span * time.Duration(s.Clients) / slowOps
	}
	nodes := s.places()
	for range 1 + c.IntN(2) {
		f := &Fault{Kind: Lagging, At: c.between(0, s.Span/4), By: c.between(50*time.Millisecond, lagMost/2)}
		f.For = c.between(s.Span/4, 3*s.Span/4)
		if c.yes(0.3) {
			f.By = c.between(lagMost/2, 2*time.Second)
		}
		c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		switch f.A = slices.Clone(nodes[:1]); {
		case c.yes(0.4):
			f.B = slices.Clone(nodes[1:2])
		case c.yes(0.5):
			f.B = slices.Clone(nodes[1:])
		}
		s.Faults = append(s.Faults, f)
	}
}

// slowOps is about how many calls clients make in a run of minutes.
const slowOps = 600

// drawFull draws replicas that are full for a while, and values of many sizes.
func (s *Shape) drawFull(c chance) {
	if c.yes(0.85) {
		return
	}
	s.Sizes = 1 + c.IntN(40)
	nodes := s.places()
	c.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for range 1 + c.IntN(2) {
		f := &Fault{Kind: Full, At: c.between(0, s.Span*3/4), For: c.between(s.Span/8, s.Span)}
		f.A = slices.Clone(nodes[:pick(c, 1, 1, 1, fullMost)]) // of the same, or more would be full at once
		s.Faults = append(s.Faults, f)
	}
}
