package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Properties are what is demanded, by name.
//
//	lost    At the end a key has its last acknowledged write, or one that may have come later.
//	        Not so if as many members lost their memory since that write as had acknowledged it.
//	once    A write takes effect once. After it is over and a later write was acknowledged, a
//	        read that has to see the later one does not find the former. Of reads of a majority
//	        the later does not find less.
//	absent  A key that exists is not said to be absent, by a read that has to see it or by a
//	        create that succeeds.
//	value   What is read was written under that key, by a write that had begun, and since the last
//	        rest, or was there then.
//	stamp   A value has the same ETag wherever it is seen, and before and after.
//	expiry  What is expired is not read.
//	create  Of several creates of a key, with no delete that can be between, one succeeds. So does
//	        one of several writes under the same If-Match. No create is refused where nothing was.
//	error   Nothing fails but for a fault. At rest nothing fails. While members stop, start, join
//	        and leave, nothing fails at the others that needs no more replicas than are left.
//	        Conditional writes are excepted.
//	acks    At rest a write at level live is acknowledged by all replicas.
//	agree   At the end all nodes answer the same, and list the keys that there are, each once.
//	copies  At the end all owners of a key hold the same version.
//
// Where docs/guarantees.md says so, a read has to see a write that was acknowledged before the read
// began. visible is that page in code.
var Properties = []string{"lost", "once", "absent", "value", "stamp", "expiry", "create", "error", "acks", "agree", "copies"}

// Violation is a property that does not hold.
type Violation struct{ Property, What string }

// String is the violation in words.
func (v Violation) String() string { return v.Property + ": " + v.What }

// apart is how far a client's clock and those of the nodes are apart at the most.
const apart = 250 * time.Millisecond

// Check returns every violation of a property in a segment.
func Check(s *Segment) []Violation {
	c := &checker{s: s}
	keys := c.byKey()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		k := keys[key]
		c.values(k)
		for _, late := range []bool{false, true} {
			for _, level := range []Level{One, Quorum, All} {
				c.reads(k, level, late)
			}
		}
		c.majorities(k)
		c.creates(k)
		c.lost(k)
	}
	for i := range s.Ops {
		c.answered(&s.Ops[i])
	}
	c.atRest()
	return c.found
}

// AtRest checks agree and copies alone, for a caller that waits until they hold.
func AtRest(s *Segment) []Violation {
	c := &checker{s: s}
	c.atRest()
	return c.found
}

type checker struct {
	s     *Segment
	found []Violation
}

func (c *checker) tell(property, format string, args ...any) {
	c.found = append(c.found, Violation{property, fmt.Sprintf(format, args...)})
}

// keyed is what happened to one key.
type keyed struct {
	key    string
	ops    []*Op                    // in the order of their begin
	byEnd  []*Op                    // writes that were acknowledged, in the order of their end, with what was there before
	wrote  map[string]*Op           // by value
	known  map[string]time.Duration // by value: when it was certain that its write was over
	byETag map[string]string        // value
	gone   *prefix                  // by when what may delete the key can have begun to: until when that can be
}

// byKey sorts the operations, and makes a write of what was there before.
func (c *checker) byKey() map[string]*keyed {
	keys := make(map[string]*keyed)
	at := func(key string) *keyed {
		k := keys[key]
		if k == nil {
			k = &keyed{key: key, wrote: make(map[string]*Op), known: make(map[string]time.Duration), byETag: make(map[string]string)}
			first := &Op{Kind: Delete, How: "nothing before", Key: key, Level: All, Acks: c.s.Replicas, Begin: -2, End: -1, Outcome: Done}
			if found, ok := c.s.Before[key]; ok {
				first.Kind, first.How, first.Value, first.ETag = Put, "before", found.Value, found.ETag
			}
			keys[key], k.ops = k, []*Op{first}
		}
		return k
	}
	for i := range c.s.Ops {
		o := &c.s.Ops[i]
		k := at(o.Key)
		k.ops = append(k.ops, o)
	}
	for _, key := range c.s.Keys {
		at(key)
	}
	for _, k := range keys {
		k.order(c.s.Replicas)
	}
	return keys
}

func (k *keyed) order(replicas int) {
	slices.SortStableFunc(k.ops, func(a, b *Op) int { return cmp.Compare(a.Begin, b.Begin) })
	for _, o := range k.ops {
		if o.Kind != Get && o.Outcome == Done {
			k.byEnd = append(k.byEnd, o)
		}
		if o.Kind == Put {
			k.wrote[o.Value] = o
			k.known[o.Value] = o.over()
		}
		if o.ETag != "" && o.Value != "" && k.byETag[o.ETag] == "" {
			k.byETag[o.ETag] = o.Value
		}
	}
	slices.SortStableFunc(k.byEnd, func(a, b *Op) int { return cmp.Compare(a.End, b.End) })
	for _, o := range k.ops {
		// What one replica has shown may be under way still: guarantees.md, "Which write wins".
		sure := o.Kind == Get && o.Outcome == Done && (replicas == 1 || o.Level.required(replicas) > 1)
		if over, written := k.known[o.Value]; written && sure {
			k.known[o.Value] = min(over, o.End)
		}
	}
	var gone prefix
	for _, o := range k.ops {
		switch {
		case !o.mayBeDone():
		case o.Kind == Delete:
			gone.add(o.Begin, o.over(), o)
		case o.TTL > 0:
			gone.add(o.Begin+o.TTL-apart, k.known[o.Value], o)
		}
	}
	k.gone = gone.sorted()
}

// prefix finds, of entries up to a time, the one with the greatest rank.
type prefix struct {
	at, rank []time.Duration
	ops      []*Op
}

func (p *prefix) add(at, rank time.Duration, o *Op) {
	p.at, p.rank, p.ops = append(p.at, at), append(p.rank, rank), append(p.ops, o)
}

// sorted is the entries in their order, each with the greatest rank so far.
func (p *prefix) sorted() *prefix {
	order := make([]int, len(p.at))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p.at[i], p.at[j]) })
	var out prefix
	for n, i := range order {
		if n > 0 && out.rank[n-1] > p.rank[i] {
			out.add(p.at[i], out.rank[n-1], out.ops[n-1])
		} else {
			out.add(p.at[i], p.rank[i], p.ops[i])
		}
	}
	return &out
}

// before is the greatest rank of entries before t; nil: there is none.
func (p *prefix) before(t time.Duration) (rank time.Duration, o *Op) {
	n, _ := slices.BinarySearch(p.at, t)
	if n == 0 {
		return -Never, nil
	}
	return p.rank[n-1], p.ops[n-1]
}

// lostSince is how many members have lost their memory since.
func (c *checker) lostSince(t time.Duration) (n int) {
	if c.s.Window == nil {
		return 0
	}
	for _, at := range c.s.Window.Lost {
		if at >= t {
			n++
		}
	}
	return n
}

// acked is how many replicas are known to have the write.
func (c *checker) acked(w *Op) int { return max(w.Acks, w.Level.required(c.s.Replicas)) }

// visible says whether a read of r replicas that begins after the write was acknowledged has to
// find it, or a newer one. Late is one that ended after the faults began.
func (c *checker) visible(w *Op, r int, late bool) bool {
	n, win := c.s.Replicas, c.s.Window
	everyone := w.Level == Live || w.Level == All
	switch {
	case win == nil, !late, w.Begin >= win.To: // at rest
		return everyone || w.Level.required(n)+r > n
	case c.acked(w) >= n && w.End < win.From: // all replicas had it before
		return true
	case win.Split && win.forgetful():
		return false
	case win.Split:
		return c.acked(w)+r > n
	default:
		return everyone && c.lostSince(w.Begin) < c.acked(w)
	}
}

// late says whether an operation ended after the faults began.
func (c *checker) late(o *Op) bool { return c.s.Window != nil && o.End > c.s.Window.From }

// values checks what each read has found by itself.
func (c *checker) values(k *keyed) {
	stamps := make(map[string]*Op)
	for _, o := range k.ops {
		if o.Outcome != Done || o.Kind == Delete {
			continue
		}
		if first := stamps[o.Value]; first == nil && o.ETag != "" {
			stamps[o.Value] = o
		} else if first != nil && o.ETag != "" && first.ETag != o.ETag {
			c.tell("stamp", "%v\n  and %v", first, o)
		}
		if o.Kind == Put {
			continue
		}
		w := k.wrote[o.Value]
		switch {
		case w == nil:
			c.tell("value", "%v: nobody has written that since the last rest", o)
		case w.Begin > o.End:
			c.tell("value", "%v: not yet written by %v", o, w)
		case w.Outcome == Refused || w.Outcome == Failed:
			c.tell("value", "%v: written by %v", o, w)
		case w.TTL > 0 && w.over() != Never && o.Begin > w.End+w.TTL+apart:
			c.tell("expiry", "%v\n  written by %v", o, w)
		}
	}
}

// reads checks what reads at a level found, or creates that succeeded, against the writes that they
// have to see.
func (c *checker) reads(k *keyed, level Level, late bool) {
	var seen, there prefix // of the writes that have to be seen, and of those that are puts
	for _, w := range k.byEnd {
		if !c.visible(w, level.required(c.s.Replicas), late) {
			continue
		}
		seen.add(w.End, w.Begin, w)
		if w.Kind == Put {
			there.add(w.End, w.Begin, w)
		}
	}
	after, puts := seen.sorted(), there.sorted()
	for _, o := range k.ops {
		if c.late(o) != late {
			continue
		}
		switch {
		case o.Kind == Get && o.Level == level && o.Outcome == Done:
			c.replaced(k, o, o.Value, after)
		case o.Kind == Get && o.Level == level && o.Outcome == Absent, o.IfAbsent && level == One && o.Outcome == Done:
			c.vanished(k, o, puts)
		case o.IfMatch != "" && level == One && o.Outcome == Done:
			c.replaced(k, o, k.byETag[o.IfMatch], after)
		}
	}
}

// replaced tells of a read that finds a value though a later write has to be seen.
func (c *checker) replaced(k *keyed, o *Op, value string, after *prefix) {
	over, written := k.known[value]
	if !written {
		return
	}
	if begin, w := after.before(o.Begin); begin > over {
		c.tell("once", "%v\n  written by %v\n  over at %.6f, and replaced by %v", o, k.wrote[value], over.Seconds(), w)
	}
}

// vanished tells of a read that finds nothing though a put has to be seen that nothing can have
// deleted.
func (c *checker) vanished(k *keyed, o *Op, puts *prefix) {
	begin, w := puts.before(o.Begin)
	if until, _ := k.gone.before(o.End); w != nil && begin > until {
		c.tell("absent", "%v\n  after %v", o, w)
	}
}

// majorities checks reads of a majority against each other: unless a memory was lost, or members
// changed, between them.
func (c *checker) majorities(k *keyed) {
	win := c.s.Window
	if win == nil || !win.forgetful() {
		c.neverBack(k, 0, Never)
		return
	}
	c.neverBack(k, 0, win.From)
	c.neverBack(k, win.To, Never)
}

func (c *checker) neverBack(k *keyed, from, to time.Duration) {
	var seen prefix
	first := make(map[string]time.Duration) // by value: when a majority was first known to have had it
	var reads []*Op
	for _, o := range k.ops {
		if o.Kind != Get || o.Level != Quorum && o.Level != All || o.Begin < from || o.End > to {
			continue
		}
		reads = append(reads, o)
		if w := k.wrote[o.Value]; o.Outcome == Done && w != nil {
			seen.add(o.End, w.Begin, o)
			if at, ok := first[o.Value]; !ok || o.End < at {
				first[o.Value] = o.End
			}
		}
	}
	sorted := seen.sorted()
	// What a majority was seen to have is followed by whatever another read that began later finds,
	// or does not find.
	var follows prefix
	for _, o := range reads {
		if o.Outcome == Done || o.Outcome == Absent {
			follows.add(o.End, o.Begin, o)
		}
	}
	next := follows.sorted()
	for _, o := range reads {
		switch o.Outcome {
		case Done:
			if begin, r := next.before(o.Begin); begin > first[o.Value] && r.Value != o.Value {
				c.tell("once", "%v\n  after %v, which followed it", o, r)
			}
		case Absent:
			begin, r := sorted.before(o.Begin)
			if until, _ := k.gone.before(o.End); r != nil && begin > until {
				c.tell("absent", "%v\n  after %v", o, r)
			}
		}
	}
}

// creates checks conditional writes against each other.
func (c *checker) creates(k *keyed) {
	var done []*Op
	for _, o := range k.ops {
		switch {
		case o.conditional() && o.Outcome == Done:
			for _, first := range done {
				c.both(k, first, o)
			}
			done = append(done, o)
		case o.IfAbsent && o.Outcome == Refused:
			c.baseless(k, o)
		}
	}
}

// both tells of two conditional writes that succeed though one makes the other's condition false.
func (c *checker) both(k *keyed, a, b *Op) {
	if a.IfAbsent != b.IfAbsent || a.IfMatch != b.IfMatch {
		return
	}
	if a.End > b.End {
		a, b = b, a
	}
	if until, _ := k.gone.before(b.End); a.IfAbsent && until > a.Begin {
		return
	}
	win := c.s.Window
	settled := win == nil || !c.late(b) || a.Begin >= win.To || c.acked(a) >= c.s.Replicas && a.End < win.From
	if settled || !win.Split && c.lostSince(a.Begin) < c.acked(a) {
		c.tell("create", "%v\n  and %v", a, b)
	}
}

// baseless tells of a create that was refused though there was nothing to refuse it for.
func (c *checker) baseless(k *keyed, o *Op) {
	for _, w := range k.ops {
		if w.Begin < o.End && w.Kind == Put && w.mayBeDone() {
			return
		}
	}
	c.tell("create", "%v: refused, and nobody has put it", o)
}

// lost checks what there is at the end.
func (c *checker) lost(k *keyed) {
	var seen, there prefix
	for _, w := range k.byEnd {
		if c.lostSince(w.Begin) >= c.acked(w) {
			continue
		}
		seen.add(w.End, w.Begin, w)
		if w.Kind == Put {
			there.add(w.End, w.Begin, w)
		}
	}
	after, puts := seen.sorted(), there.sorted()
	for _, node := range slices.Sorted(maps.Keys(c.s.Found)) {
		found, present := c.s.Found[node][k.key]
		if !present {
			begin, w := puts.before(Never)
			if until, _ := k.gone.before(Never); w != nil && begin > until && slices.Contains(c.s.Keys, k.key) {
				c.tell("lost", "%s is absent at node %d at the end\n  after %v", k.key, node, w)
			}
			continue
		}
		over, written := k.known[found.Value]
		begin, w := after.before(Never)
		switch {
		case !written:
			c.tell("value", "%s is %q at node %d at the end: nobody has written that since the last rest", k.key, found.Value, node)
		case w != nil && begin > over:
			c.tell("lost", "%s is %q at node %d at the end\n  written by %v\n  over at %.6f, and replaced by %v",
				k.key, found.Value, node, k.wrote[found.Value], over.Seconds(), w)
		}
	}
}

// answered checks whether an operation was answered as it has to be.
func (c *checker) answered(o *Op) {
	win, n := c.s.Window, c.s.Replicas
	calm := win == nil || o.End < win.From || o.Begin >= win.To
	switch {
	case o.Error == "":
		if calm && o.Kind != Get && o.Level == Live && o.Acks > 0 && o.Acks < n {
			c.tell("acks", "%v: at rest", o)
		}
	case calm:
		c.tell("error", "%v: at rest", o)
	case win.Split, o.conditional(), o.Doubtful && len(win.Lost) > 0, o.Level.required(n) > n-len(win.Lost)-win.Stillborn:
	case win.WasAway(o):
	default:
		c.tell("error", "%v: the node runs, and enough replicas do", o)
	}
}

// atRest checks what nodes say at the end against each other.
func (c *checker) atRest() {
	nodes := slices.Sorted(maps.Keys(c.s.Found))
	for _, key := range c.s.Keys {
		for _, node := range nodes {
			if a, b := c.s.Found[nodes[0]][key], c.s.Found[node][key]; a != b {
				c.tell("agree", "%s is %+v at node %d and %+v at node %d", key, a, nodes[0], b, node)
			}
		}
		copies := c.s.Copies[key]
		for _, held := range copies {
			if held.Version != copies[0].Version || held.Tombstone != copies[0].Tombstone {
				c.tell("copies", "%s: %+v and %+v", key, copies[0], held)
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(c.s.Listed)) {
		want := slices.Sorted(maps.Keys(c.s.Found[node]))
		if got := slices.Sorted(slices.Values(c.s.Listed[node])); !slices.Equal(got, want) {
			c.tell("agree", "node %d lists %d keys, and answers %d: %v", node, len(got), len(want), differ(got, want))
		}
	}
}

// differ are some of the entries that are in one of two sorted lists alone, or in one more often.
func differ(a, b []string) (some []string) {
	for len(some) < 5 && (len(a) > 0 || len(b) > 0) {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			some, a = append(some, "+"+a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			some, b = append(some, "-"+b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return some
}
