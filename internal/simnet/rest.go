package simnet

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/ring"
	"httpdhs/shard"
)

const (
	// watchEvery is how often the watch looks at the nodes.
	watchEvery = 20 * time.Millisecond

	// settleTime is how long the nodes have to be on good terms to count as settled. In it each
	// probes each other twice, so that what they know of each other is from then.
	settleTime = 1500 * time.Millisecond

	// hearTime is how long after a split nodes may take to hear of what others did without them:
	// what is lost of a probe that was under way, the pause to the next, and its way.
	hearTime = 2 * time.Second
)

// splitWatch knows when the network was split.
//
// A split is over when nodes have had the time to hear of it. Two faults come at once where a node
// also lost its memory meanwhile, or its clock was wrong. Then it is over when all nodes are in
// sync and on good terms.
type splitWatch struct {
	log *eventLog

	mu    sync.Mutex // guards all below
	on    int        // faults that split, now
	open  bool       // a split is not over
	two   bool       // there is another fault in it
	whole time.Duration
	fine  time.Duration // since when the network is whole, and all is fine; less than 0: it is not
	spans []Span
}

func (w *splitWatch) turn(on, two bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !on {
		w.on--
		return
	}
	w.on++
	if !w.open {
		w.open, w.two = true, false
		w.spans = append(w.spans, Span{From: w.log.now(), To: Never})
	}
	w.two = w.two || two
	w.whole, w.fine = -1, -1
}

// look takes in how things are, and says whether the network is split. stuck: a message hangs that
// was lost in the split, or sides have removed each other. fresh: a node is down or never was in
// sync. fine: all nodes are on good terms.
func (w *splitWatch) look(stuck, fresh, fine bool) (split bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		return false
	}
	now := w.log.now()
	since := func(t *time.Duration, ok bool) time.Duration {
		switch {
		case !ok:
			*t = -1
			return 0
		case *t < 0:
			*t = now
		}
		return now - *t
	}
	w.two = w.two || fresh
	whole, settled := since(&w.whole, w.on == 0 && !stuck), since(&w.fine, w.on == 0 && !stuck && fine)
	if whole >= hearTime && (!w.two || settled >= settleTime) {
		w.spans[len(w.spans)-1].To = now
		w.open = false
	}
	return w.open
}

func (w *splitWatch) isOpen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

func (w *splitWatch) all() []Span {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spans)
}

// watch notes when nodes get in sync and when splits are over.
func (s *sim) watch() {
	synced := make(map[*running]uint64) // by which ring
	apart := false
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ended:
			return
		}
		s.lookAtClocks()
		if now := s.clocksApart(); now != apart { // nodes refuse each other then
			apart = now
			s.splits.turn(apart, true)
		}
		s.lookAtHealth()
		fresh := false
		for _, n := range s.nodes {
			s.net.mu.Lock()
			run, gone := n.run, n.gone
			s.net.mu.Unlock()
			if run != nil && run.plane.Board.InSync() {
				s.noteSynced(run, synced)
				n.slot.note(s.log.now())
			}
			fresh = fresh || !gone && synced[run] == 0
		}
		if s.splits.isOpen() && s.splits.look(s.net.hangs() || s.anyForlorn(), fresh, s.quarrel() == "") && fresh {
			s.clocks.cannotTell()
		}
	}
}

// noteSynced notes the first time that a node is in sync. Where members change it also notes each
// time that the node is so by another ring.
func (s *sim) noteSynced(run *running, synced map[*running]uint64) {
	e, by := Event{Kind: InSync, Node: run.name()}, uint64(1)
	var now *ring.Table
	if s.shape.Members != nil {
		now, _ = run.plane.Topology.Rings()
		by = now.Fingerprint()
	}
	if synced[run] == by {
		return
	}
	synced[run] = by
	if now != nil {
		e.Owns = []string{}
		for _, key := range s.keys {
			if slices.Contains(ownersBy(now, key), e.Node) {
				e.Owns = append(e.Owns, key)
			}
		}
		s.net.mu.Lock()
		run.node.owner, run.node.ever = true, true
		s.net.mu.Unlock()
	}
	s.rec.event(e)
}

// quarrel says which node that runs does not get on with another; empty: none.
func (s *sim) quarrel() string {
	if s.net.hangs() {
		return "a node waits for an answer that was lost"
	}
	for _, run := range s.runs() {
		n := run.node
		if !run.plane.Board.InSync() && !run.leaving.Load() {
			return fmt.Sprintf("%s is not in sync: %v", n.name, run.plane.Topology.SyncReason())
		}
		for _, p := range run.plane.Topology.Peers() {
			switch {
			case s.net.at(p.Name) == nil:
			case p.State != peer.Up:
				return fmt.Sprintf("%s takes %s for %v: %v", n.name, p.Name, p.State, p.Reason)
			case !p.Ping.InSync && !s.net.at(p.Name).leaving.Load():
				return fmt.Sprintf("%s has not heard that %s is in sync", n.name, p.Name)
			case p.Queued > 0:
				return fmt.Sprintf("%s keeps %d bytes for %s", n.name, p.Queued, p.Name)
			}
		}
	}
	return ""
}

// rest waits until the cluster is at rest: all nodes are in sync and on good terms, and all owners
// of a partition have the same digests. It says why not, when the time for it is over.
func (s *sim) rest() (why string) {
	calm := 0
	for end := time.Now().Add(s.shape.RestTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		why = ""
		if s.shape.Members != nil {
			why = s.discord()
		}
		if why == "" {
			why = s.quarrel()
		}
		if why == "" {
			s.settle()
			if differs := s.differs(); len(differs) > 0 {
				why = differs[0]
			}
		}
		if why != "" {
			calm = 0
			continue
		}
		if calm++; calm == int(settleTime/(50*time.Millisecond)) {
			return ""
		}
	}
	s.tellStatements()
	return why
}

// tellStatements logs what the nodes last heard of each other: what keeps them from coming to rest
// is in there.
func (s *sim) tellStatements() {
	for _, run := range s.runs() {
		for _, p := range run.plane.Topology.Peers() {
			s.log.add("%s takes %s for %v (%v), which said %+v", run.name(), p.Name, p.State, p.Reason, p.Ping)
		}
	}
}

// settle takes the ring of those that agree for the one that is.
func (s *sim) settle() {
	if s.shape.Members != nil {
		s.ring, _ = s.runs()[0].plane.Topology.Rings()
	}
}

// differs are the partitions of which owners hold different records, and the partitions that a node
// holds and does not own.
func (s *sim) differs() (all []string) {
	runs := s.runs()
	for part := range s.ring.Partitions() {
		var owners []string
		for _, i := range s.ring.Owners(part) {
			owners = append(owners, s.ring.NodeAt(i).Name)
		}
		var want [shard.Buckets]uint64
		s.net.at(owners[0]).store.Store.Digests(part, &want)
		for _, run := range runs {
			var got [shard.Buckets]uint64
			run.store.Store.Digests(part, &got)
			switch owns := slices.Contains(owners, run.name()); {
			case owns && got != want:
				all = append(all, fmt.Sprintf("%s and %s hold different records of partition %d", owners[0], run.name(), part))
			case !owns && got != [shard.Buckets]uint64{}:
				all = append(all, fmt.Sprintf("%s holds records of partition %d, which it does not own", run.name(), part))
			}
		}
	}
	return all
}

// expire waits until all that has a time to live is expired by every clock: what is left does not
// change any more.
func (s *sim) expire() {
	var last int64
	s.rec.mu.Lock()
	for i := range s.rec.ops {
		last = max(last, s.rec.ops[i].Expires)
	}
	s.rec.mu.Unlock()
	for _, run := range s.runs() {
		if wait := time.UnixMilli(last).Sub(run.now()); wait >= 0 {
			time.Sleep(wait + time.Millisecond)
		}
	}
}

// finalReads reads every key at every node, at every level, and lists all keys.
func (s *sim) finalReads(h *History) {
	c := s.newClient(s.shape.Clients)
	for _, run := range s.runs() {
		n := run.node
		for _, key := range s.keys {
			for _, level := range []kv.Level{kv.LevelOne, kv.LevelQuorum, kv.LevelAll} {
				op := Op{Client: c.id, Node: n.name, Kind: kv.OpGet, Key: key, Level: level, Final: true}
				c.ask(n, []Op{op}, 5*time.Second)
			}
		}
		s.list(n, h)
	}
}

// list notes all keys that the node lists.
func (s *sim) list(n *node, h *History) {
	req := kv.ListRequest{Limit: 7, Deadline: time.Now().Add(5 * time.Second)}
	for more := true; more; {
		page, err := s.net.at(n.name).plane.List(&req)
		if err != nil {
			h.Listed[n.name] = append(h.Listed[n.name], "error: "+err.Error())
			return
		}
		for i := range page.Records {
			h.Listed[n.name] = append(h.Listed[n.name], string(page.Records[i].Key))
		}
		more, req.From = page.More, page.Next
	}
}

// look looks into every store.
func (s *sim) look(h *History) {
	h.Differs = s.differs()
	for _, run := range s.runs() {
		n := run.node
		for _, key := range s.keys {
			e, _, ok := run.store.Store.Get(nil, kv.Hash([]byte(key)), []byte(key))
			if !ok {
				continue
			}
			held := Held{Node: n.name, Key: key, Version: e.Version, Tombstone: !e.Live(run.now().UnixMilli())}
			if !held.Tombstone { // an expired value may have been swept already, or not
				held.Value = string(e.Value)
			}
			h.Held = append(h.Held, held)
		}
	}
}
