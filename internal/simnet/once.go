package simnet

import (
	"slices"
	"time"

	"httpdhs/kv"
)

// once is the property "once". A write comes back if three things happen one after the other: it is
// seen or acknowledged, something else is written or read in its place, and a read finds it. Each
// of the three has to meet the next: the later knows what the earlier did. Versions prove nothing
// here, since a write that is stamped again has a later one.
func (c *checker) once(k *keyed) {
	seen := make(map[*Op][]*Op) // by write: the reads that found it, and itself if it is acknowledged
	wrote := make(map[*Op]*Op)  // by read
	var later []*Op             // what takes the place of another, in the order of its begin
	for _, o := range k.ops {
		switch {
		case o.Kind == kv.OpGet && (o.Outcome == OK || o.Outcome == Absent):
			w := c.wrote(k, o)
			if w == nil {
				continue // the key was never written, or nobody can tell
			}
			wrote[o] = w
			seen[w] = append(seen[w], o)
			later = append(later, o)
		case o.Kind != kv.OpGet && o.Outcome == OK:
			wrote[o] = o
			seen[o] = append(seen[o], o)
			later = append(later, o)
		}
	}
	for _, r := range later {
		if r.Kind != kv.OpGet || !r.Final && k.forgot(r.End) {
			continue
		}
		c.comesBack(k, r, wrote, seen[wrote[r]], later)
	}
}

// comesBack looks for proof that what a read found was replaced before.
func (c *checker) comesBack(k *keyed, r *Op, wrote map[*Op]*Op, seen, later []*Op) {
	first := Never
	for _, s := range seen {
		first = min(first, s.End)
	}
	from, _ := slices.BinarySearchFunc(later, first, func(o *Op, at time.Duration) int { return int(min(1, max(-1, o.Begin-at))) })
	for _, m := range later[from:] {
		if m.Begin >= r.Begin {
			return
		}
		if m.End >= r.Begin || wrote[m] == wrote[r] || !c.meet(c.binds(k, m), r.Required) {
			continue
		}
		for _, s := range seen {
			// What a read of one replica has shown may be under way still, and so begun after m.
			if s.Kind == kv.OpGet && s.Required == 1 && c.h.Replicas > 1 || s.End >= m.Begin || !c.meet(c.binds(k, s), c.binds(k, m)) || !c.replaces(k, s, m, r) {
				continue
			}
			if c.demand("once", false) {
				c.tell("once", "%v\n  after %v\n  after %v", r, m, s)
				return
			}
		}
	}
	c.demand("once", true)
}

// binds is how many replicas have what an operation found or wrote. A read has as many store it as
// it asked, but a full one refuses. So does one whose disk takes nothing, tombstones too. Then only
// those have it that acknowledged the write. While these are down, a later read may miss it:
// guarantees.md, "Reads".
func (c *checker) binds(k *keyed, o *Op) int {
	switch {
	case o.Kind != kv.OpGet:
		return c.acked(o)
	case !c.h.Full, o.Outcome != OK && !c.h.NoDisk:
		return o.Required
	}
	switch w := c.wrote(k, o); {
	case w == nil && o.Outcome == OK:
		return o.Required
	case w == nil, w.Outcome != OK:
		return 0
	default:
		return min(o.Required, c.acked(w))
	}
}

// wrote is keyed.wrote, which is asked again and again of the same read.
func (c *checker) wrote(k *keyed, r *Op) *Op {
	w, known := k.found[r]
	if !known {
		w = k.wrote(r, c.tags)
		k.found[r] = w
	}
	return w
}

// replaces says whether m has to be later than s, and r to know of it.
func (c *checker) replaces(k *keyed, s, m, r *Op) bool {
	switch {
	case !c.steady(s, r), !c.ordered(s, m):
		return false
	case m.Cond != kv.Always && wroteAlways(s):
		return false // the primary that decides may not have an unconditional write yet
	case k.forgot(r.End): // r is final
		return m.Kind != kv.OpGet && c.survives(k, m, r.End)
	}
	return true
}

func wroteAlways(o *Op) bool { return o.Kind == kv.OpGet || o.Cond == kv.Always }

// wrote is the write that a read found; nil: none, or it cannot be told. Values
// tell who wrote them. A tombstone has the version of its delete: if none was
// acknowledged with it, the only one at the node that stamped it which may have.
func (k *keyed) wrote(r *Op, tags map[string]uint16) (w *Op) {
	if r.Outcome == OK {
		return k.puts[r.Value]
	}
	if r.Version == 0 {
		return nil
	}
	for _, o := range k.ops {
		switch {
		case o.Kind == kv.OpGet || o.Outcome == Failed || o.Outcome == ConditionFailed || o.Begin > r.End:
		case o.Outcome == OK && o.Version == r.Version && (o.Kind == kv.OpDelete || o.Expires != 0):
			return o
		case o.Kind == kv.OpPut && o.Expires == 0, o.Outcome == OK && o.Version < r.Version:
		case !stampedBy(tags, o.Node, r.Version):
		case w != nil:
			return nil
		default:
			w = o
		}
	}
	return w
}

// tagsOf are the tags of nodes, which the versions of acknowledged writes tell.
func tagsOf(h *History) map[string]uint16 {
	tags := make(map[string]uint16)
	for i := range h.Ops {
		if o := &h.Ops[i]; o.Kind != kv.OpGet && o.Outcome == OK {
			tags[o.Node] = o.Version.Tag()
		}
	}
	return tags
}

// stampedBy says whether the node may have stamped the version.
func stampedBy(tags map[string]uint16, node string, v kv.Version) bool {
	tag, known := tags[node]
	return !known || tag == v.Tag()
}
