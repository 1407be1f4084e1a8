package simnet

import (
	"fmt"
	"slices"
	"time"

	"httpdhs/kv"
)

// What a history has to have, in the words of docs/guarantees.md. N is the number of replicas. A
// write is acknowledged if it was answered with success. An operation is before another if it had
// ended when the other began. Newer is by version.
//
//	acks      When a write is answered with a acknowledgements, a owners of its key have stored
//	          it, or something newer. Where they sync always, a Durable that began later has
//	          returned without an error.
//	disk      A node that stops has, when it has loaded its disk, what ledger.go says of a key, or
//	          something newer that it once had. It finds no damage. It starts empty only if
//	          another was in sync for longer than half of the grace after it.
//	lost      At the end all owners hold an acknowledged write, or something newer. Not so if all
//	          owners that had stored it lost it: their memory, and from their disks what need not
//	          last. An owner that lost it, and said afterwards that it is in sync, counts as
//	          holding it. That takes another that still held it then, and no split. A tombstone
//	          may be collected after its grace, here and in all that follows.
//	stop      When nodes stop at once, with all that they hold, and a node has said that this is
//	          safe: of each write that was acknowledged before it was asked, another owner has
//	          that or something newer. Not if nobody need have had it any more.
//	strict    A read that asks r replicas, after a write that had a acknowledgements, meets that
//	          write or a newer one where a + r > N, split or not. Not so if an owner of the key
//	          lost its memory before the read had ended. An owner that has a disk, and lost the
//	          write from that, is none of the a. While members change, only without a split.
//	back      Of two reads with r1 + r2 > N the later one does not find less than the earlier
//	          one. Exceptions as for strict. Nor if an owner lost anything of the key, for a read
//	          does not wait for the disk. These two also mean that no deleted key comes back to a
//	          strict read.
//	last      Of two acknowledged writes at levels other than one, the later is the newer,
//	          however the clocks are set. Not so if the network is split during the later one, or
//	          the earlier one is lost as above. Nor if the later one alone has a condition: the
//	          primary that decides it may not have yet what others have. If fewer than all owners
//	          acknowledged the earlier one, that takes clocks that are kept together. If all
//	          did, they have to meet at an owner. So they have where a node that was started
//	          again coordinates the later one, and too few run to tell whether its clock is
//	          wrong. Not so while those that must still have the earlier one are stopped, or not
//	          in sync since, and so many others never had it, or have lost it from their disks,
//	          as acknowledged the later one.
//	absent    "No such key" is not said of a key with an acknowledged write before the read, at
//	          level live or with a + r > N. Not so if the write was, or may have been, deleted or
//	          expired since. Nor if the network is split during the read, or the write is lost as
//	          above.
//	create    Of all writes under If-None-Match: * to a key that is never deleted one succeeds.
//	          So does one of those under the same If-Match. Not so if the network is split during
//	          the later one. Nor if an owner stopped before that, and not all owners had
//	          acknowledged the earlier one.
//	once      A write has one place in the order of its key. What was seen, and then replaced or
//	          deleted, is not read again. That holds where each of the three meets the next, by
//	          a + r > N: who saw it, who replaced it, and the read. Exceptions as for back. At
//	          rest, a write that is not lost has replaced for good what was seen before it. An
//	          outcome that is unknown may appear late, and once.
//	reason    While the cluster is healthy, and has been for a while, no operation with time
//	          enough fails or has an unknown outcome. Owners that are down are a reason, if too
//	          few are left for the level, or for absence to be known. A full node is one for a
//	          put that must be stored there. So is a queue's bound that a few operations reach. A
//	          node that died before it had its share is no reason.
//	value     What a read finds was written, under that key, by an operation that had begun. It
//	          is not expired.
//	time      Where the nodes keep their clocks together, and one machine's is wrong: the time
//	          that a node in sync goes by is right within a second. So is the stamp of an
//	          acknowledged write. Not so if fewer than three nodes have run.
//	counter   A counter is, at the end, at least what the acknowledged additions make, and at most
//	          that and those of unknown outcome. Each acknowledged one has its own place, in an
//	          order that fits the time, and a get behind it in its run finds its sum. Additions
//	          do not count towards the least, or the order, if the network was split, or an owner
//	          stopped, before all owners had them. Nor if they are lost as above.
//	late      A call is answered at its deadline, unless the node was stopped meanwhile. A slow
//	          disk is no excuse.
//
// And of the end, when all faults are over:
//
//	rest      The cluster comes to rest in a bounded time: all nodes in sync, all queues empty,
//	          all owners of a partition with the same digests.
//	copies    Each key is held by its owners and by nobody else. All of them hold the newest
//	          version that any memory has. So that is also the newest of the writes that were
//	          acknowledged, or whose outcome is unknown, as far as they have survived. A memory
//	          goes back to an older version only where a tombstone was collected.
//	deleted   No node answers with a value of a key of which a newer delete was acknowledged,
//	          unless that is lost.
//	agree     Every node answers every key with that, at every level, and lists the keys that
//	          have a value, each once.

// Rules change what is demanded. The zero value is what is promised.
type Rules struct {
	// AssumeStrict demands strict and back of all operations, whatever their levels: a control,
	// which must fail.
	AssumeStrict bool
}

// Violation is a property that does not hold.
type Violation struct{ Property, What string }

// String is the violation in words.
func (v Violation) String() string { return v.Property + ": " + v.What }

// Check says which properties do not hold, at most a few of each.
func Check(h *History, r Rules) []Violation { return check(h, r).found }

func check(h *History, r Rules) *checker {
	c := &checker{h: h, rules: r, told: make(map[string]int), looked: make(map[string]int), tags: tagsOf(h)}
	if h.Rest != "" {
		c.tell("rest", "the cluster does not come to rest: %s", h.Rest)
	}
	for _, k := range c.byKey() {
		c.acks(k)
		c.stopped(k)
		if slices.Contains(counterKeys, k.key) {
			c.counter(k)
		} else {
			c.reads(k)
			c.last(k)
			c.once(k)
			c.absent(k)
			c.creates(k)
			c.values(k)
		}
		if h.Rest == "" {
			c.lost(k)
			c.copies(k)
			c.agree(k)
		}
	}
	c.late()
	for _, what := range h.Misloaded {
		c.tell("disk", "%s", what)
	}
	c.reasons()
	c.timely()
	if h.Rest == "" {
		c.listed()
		for _, what := range h.differ() {
			c.tell("copies", "%s", what)
		}
	}
	return c
}

// tellMost bounds the violations of one property that are told.
const tellMost = 3

type checker struct {
	h      *History
	rules  Rules
	told   map[string]int
	looked map[string]int // by property: how often it was demanded
	tags   map[string]uint16
	found  []Violation

	lasting map[string][]Durable // History.Durables: each with the most that lasts by then
}

// demand says that a property that holds has to be so, and whether it is.
func (c *checker) demand(property string, holds bool) (broken bool) {
	c.looked[property]++
	return !holds
}

func (c *checker) tell(property, format string, args ...any) {
	if c.told[property]++; c.told[property] <= tellMost {
		c.found = append(c.found, Violation{property, fmt.Sprintf(format, args...)})
	}
}

// keyed is what happened to one key.
type keyed struct {
	key    string
	owners []string
	anyone bool    // owners are those of the end: there were others
	ops    []*Op   // in the order of their begin
	events []Event // those of this key, and of whole nodes
	puts   map[string]*Op
	lossAt time.Duration // when an owner first lost some of what it held of the key
	wipeAt time.Duration // when one first lost all, and its disk
	fellAt time.Duration // when one first stopped, whatever it lost
	kept   map[*Op]bool  // see lasts
	found  map[*Op]*Op   // see wrote
}

func (c *checker) byKey() (keys []*keyed) {
	all := make(map[string]*keyed)
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		k := all[o.Key]
		if k == nil {
			k = &keyed{key: o.Key, owners: c.h.Owners(o.Key), anyone: c.h.Changed, lossAt: Never, wipeAt: Never, fellAt: Never}
			k.puts, k.kept, k.found = make(map[string]*Op), make(map[*Op]bool), make(map[*Op]*Op)
			all[o.Key], keys = k, append(keys, k)
		}
		k.ops = append(k.ops, o)
		if o.Kind == kv.OpPut {
			k.puts[o.Value] = o
		}
	}
	for i, e := range c.h.Events {
		e.n = i
		if e.Key != "" {
			if k := all[e.Key]; k != nil {
				k.events = append(k.events, e)
			}
			continue
		}
		for _, k := range keys {
			if e.Owns == nil || slices.Contains(e.Owns, k.key) {
				k.events = append(k.events, e)
			}
		}
	}
	for _, k := range keys {
		k.losses()
	}
	return keys
}

// acknowledged are the writes that were answered with success.
func (k *keyed) acknowledged() (writes []*Op) {
	for _, o := range k.ops {
		if o.Kind != kv.OpGet && o.Outcome == OK {
			writes = append(writes, o)
		}
	}
	return writes
}

// answered are the reads that said what there is.
func (k *keyed) answered() (reads []*Op) {
	for _, o := range k.ops {
		if o.Kind == kv.OpGet && (o.Outcome == OK || o.Outcome == Absent) {
			reads = append(reads, o)
		}
	}
	return reads
}

// keeps says whether a node was an owner of the key, as far as is known.
func (k *keyed) keeps(node string) bool { return k.anyone || slices.Contains(k.owners, node) }

// forgot says whether an owner of the key lost some of what it held of it by then.
func (k *keyed) forgot(by time.Duration) bool { return k.lossAt <= by }

func (c *checker) acks(k *keyed) {
	for _, w := range k.acknowledged() {
		var stored []string
		for _, e := range k.events {
			if e.At > w.End {
				break
			}
			if e.Kind == Stored && e.Version >= w.Version && k.keeps(e.Node) && !slices.Contains(stored, e.Node) && c.durable(&e, w.End) {
				stored = append(stored, e.Node)
			}
		}
		if c.demand("acks", len(stored) >= max(w.Acks, w.Required)) {
			c.tell("acks", "%v: it is stored by %v of the owners %v", w, stored, k.owners)
		}
	}
}

func (c *checker) reads(k *keyed) {
	writes, reads := k.acknowledged(), k.answered()
	stricts, backs := 0, 0
	defer func() { c.looked["strict"] += stricts; c.looked["back"] += backs }()
	for i, r := range reads {
		if k.wipeAt <= r.End {
			continue
		}
		for _, w := range writes {
			if w.End < r.Begin && c.meet(c.acked(w)-c.fallen(k, w, r.End), r.Required) && c.steady(w, r) {
				if stricts++; w.Version > r.Version && !c.collected(k, w.Version, r) {
					c.tell("strict", "%v\n  after %v", r, w)
				}
			}
		}
		for _, earlier := range reads[:i] {
			if k.forgot(r.End) {
				break
			}
			if earlier.End < r.Begin && c.meet(c.binds(k, earlier), r.Required) && c.steady(earlier, r) {
				if backs++; earlier.Version > r.Version && !c.collected(k, earlier.Version, r) {
					c.tell("back", "%v\n  after %v", r, earlier)
				}
			}
		}
	}
}

// acked is of how many replicas by any ring it is known that they have the write: which they were
// that acknowledged it is not known, and while members change there are more of them.
func (c *checker) acked(w *Op) int {
	if c.h.Changed {
		return w.Required
	}
	return w.Acks
}

// steady says whether what is promised of quorums holds between two operations: where members
// change, while no split is.
func (c *checker) steady(a, b *Op) bool { return !c.h.Changed || c.h.calm(a.Begin, b.End) }

func (c *checker) last(k *keyed) {
	writes, lasts := k.acknowledged(), 0
	defer func() { c.looked["last"] += lasts }()
	for i, w := range writes {
		if w.Level == kv.LevelOne || !c.h.calm(w.Begin, w.End) {
			continue
		}
		for _, earlier := range writes[:i] {
			mixed := w.Cond != kv.Always && earlier.Cond == kv.Always
			if earlier.Level == kv.LevelOne || earlier.End >= w.Begin || mixed {
				continue
			}
			if !c.ordered(earlier, w) {
				continue
			}
			if lasts++; earlier.Version >= w.Version && c.survives(k, earlier, w.End) && !k.replacedAtOnce(w, earlier) && !c.missed(k, earlier, w) {
				c.tell("last", "%v\n  after %v", w, earlier)
			}
		}
	}
}

// replacedAtOnce says whether no owner has stored w, and as many as it was acknowledged by have
// stored something newer than an earlier write while w was under way. Then w took its place in the
// order just before that.
func (k *keyed) replacedAtOnce(w, earlier *Op) bool {
	var newer []string
	for _, e := range k.events {
		switch {
		case e.Kind != Stored:
		case e.Version == w.Version:
			return false
		case e.Version > earlier.Version && e.At >= w.Begin && e.At <= w.End && !slices.Contains(newer, e.Node):
			newer = append(newer, e.Node)
		}
	}
	return len(newer) >= w.Acks
}

// ordered says whether a write that begins after another operation has ended has the greater stamp.
// What fewer than all owners have is acknowledged when the clocks of all members are past it, and
// that takes clocks that are kept together.
func (c *checker) ordered(earlier, w *Op) bool {
	return c.h.Kept || w.Kind == kv.OpGet || earlier.Kind != kv.OpGet && c.acked(earlier) >= c.h.Replicas
}

// meet says whether so many replicas and so many have one in common.
func (c *checker) meet(a, b int) bool { return c.rules.AssumeStrict || a+b > c.h.Replicas }

func (c *checker) absent(k *keyed) {
	writes := k.acknowledged()
	for _, r := range k.answered() {
		if !c.h.calm(r.Begin, r.End) {
			continue
		}
		for _, w := range writes {
			known := w.Level == kv.LevelLive || c.meet(c.acked(w), r.Required)
			if w.Kind != kv.OpPut || w.End >= r.Begin || !known {
				continue
			}
			if r.Outcome == OK {
				c.demand("absent", true)
				break
			}
			if !c.mayBeGone(k, w, r) && c.survives(k, w, r.End) && c.demand("absent", false) {
				c.tell("absent", "%v\n  after %v", r, w)
			}
		}
	}
}

// mayBeGone says whether what w has put may be deleted or expired, or replaced by what expires,
// when r ends.
func (c *checker) mayBeGone(k *keyed, w, r *Op) bool {
	return slices.ContainsFunc(k.ops, func(o *Op) bool {
		if o.Kind == kv.OpGet || o.Begin > r.End || o.Outcome == Failed || o.Outcome == ConditionFailed {
			return false
		}
		if o != w && o.Outcome == OK && o.Version < w.Version {
			return false
		}
		return o.Kind == kv.OpDelete || o.Expires != 0 && c.h.Epoch.Add(r.End+c.h.Apart).UnixMilli() >= o.Expires
	})
}

func (c *checker) creates(k *keyed) {
	deleted := slices.ContainsFunc(k.ops, func(o *Op) bool { return o.Kind == kv.OpDelete || o.Kind == kv.OpPut && o.Expires != 0 })
	for i, b := range k.ops {
		for _, a := range k.ops[:i] {
			same := a.Cond == b.Cond && (a.Cond == kv.IfAbsent && !deleted || a.Cond == kv.IfVersion && a.Expect == b.Expect)
			decided := a.Outcome == OK && (b.Outcome == OK || b.Outcome == ConditionFailed) || a.Outcome == ConditionFailed && b.Outcome == OK
			if !same || !decided {
				continue
			}
			first, second := a, b
			if first.End > second.End {
				first, second = b, a
			}
			if c.excused(k, first, second) {
				continue
			}
			if c.demand("create", first.Outcome != OK || second.Outcome != OK) && c.survives(k, first, second.End) {
				c.tell("create", "%v\n  and %v", first, second)
			}
		}
	}
}

// excused says whether the second of two conditional writes may not know of the first.
func (c *checker) excused(k *keyed, first, second *Op) bool {
	return !c.h.calm(second.Begin, second.End) || first.Acks < c.h.Replicas && k.fellAt <= second.End
}

func (c *checker) values(k *keyed) {
	for _, r := range k.answered() {
		if r.Outcome != OK {
			continue
		}
		put := k.puts[r.Value]
		switch {
		case put == nil:
			c.tell("value", "%v: nobody has written that", r)
		case put.Begin > r.End:
			c.tell("value", "%v: not written yet by %v", r, put)
		case r.Expires != put.Expires:
			c.tell("value", "%v: another expiry than that of %v", r, put)
		case r.Expires != 0 && c.h.Epoch.Add(r.Begin-c.h.Apart).UnixMilli() > r.Expires:
			c.tell("value", "%v: it is expired", r)
		case put.Outcome == OK && put.Version < r.Version: // less: it was stamped again since
			c.tell("value", "%v: a newer version than %v", r, put)
		}
	}
}

// lateMost is how late an answer may be: time passes in the simulation only while all wait.
const lateMost = 10 * time.Millisecond

func (c *checker) late() {
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		if c.demand("late", o.Late <= lateMost) {
			c.tell("late", "%v: %v after its deadline", o, o.Late)
		}
	}
}

func (c *checker) agree(k *keyed) {
	want := c.held(k.owners[0], k.key)
	live := want.Version != 0 && !want.Tombstone
	for _, o := range k.ops {
		if !o.Final {
			continue
		}
		for _, w := range k.acknowledged() {
			if w.Kind == kv.OpDelete && c.lasts(k, w) && c.demand("deleted", o.Outcome != OK || o.Version > w.Version || k.putBehind(w, o)) {
				c.tell("deleted", "%v\n  after %v", o, w)
			}
		}
		if live && (o.Outcome != OK || o.Value != want.Value) || !live && o.Outcome != Absent {
			c.tell("agree", "%v: want %q", o, want.Value)
		}
	}
}

func (c *checker) listed() {
	var want []string
	for _, held := range c.h.Held {
		if held.Version != 0 && !held.Tombstone && !slices.Contains(want, held.Key) {
			want = append(want, held.Key)
		}
	}
	slices.Sort(want)
	for node, keys := range c.h.Listed {
		got := slices.Clone(keys)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			c.tell("agree", "%s lists %v, want %v", node, got, want)
		}
	}
}
