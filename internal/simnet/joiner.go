package simnet

import (
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/topology"
)

// Joiners that die while they fetch. What they fetch is little here, so each message of a fetch
// takes longer instead.

// awayTime is how long the others may take to go on without a member that died before it had its
// share.
const awayTime = 5 * time.Minute

// drawFalter draws joiners that die, in some of the runs in which members come and go.
func (s *Shape) drawFalter(c chance) {
	if s.Members == nil || c.yes(0.75) {
		return
	}
	s.Fetching = c.between(10*time.Millisecond, 150*time.Millisecond)
	m := s.Members
	for range 1 + c.IntN(2) {
		ch := &Change{Kind: Falter, At: c.between(0, s.Span*3/4), Place: c.IntN(s.Nodes + m.Spares)}
		ch.After, ch.Then = c.between(20*time.Millisecond, 2*time.Second), c.between(0, 2*time.Second)
		if back := c.between(100*time.Millisecond, 6*time.Second); c.yes(0.7) {
			ch.Back = back
		}
		m.Changes = append(m.Changes, ch)
	}
	sortChanges(m.Changes)
}

// falter has a node join, die, and return if it does; then another is restarted.
func (s *sim) falter(n *node, ch *Change) {
	s.log.add("%s joins, crashes in %v, is back after %v, and another restarts after %v", n.name, ch.After, ch.Back, ch.Then)
	time.Sleep(ch.After)
	s.kill(s.net.at(n.name), killed)
	if ch.Back > 0 {
		time.Sleep(ch.Back)
		s.mustStart(n)
	} else if s.hadShare(n.name, s.runs()) {
		// The others do not take it off, and one that leaves would wait for it.
		s.acts.Go(func() {
			s.setGone(n, true)
			s.remove(n, time.Now().Add(s.shape.RestTime))
		})
	} else {
		s.net.mu.Lock()
		n.ended = true
		s.net.mu.Unlock()
	}
	time.Sleep(ch.Then)
	if other := s.about(&Change{Kind: Away, Place: ch.Place + 1}); other != nil && other != n {
		s.log.add("%s is restarted", other.name)
		s.kill(s.net.at(other.name), killed)
		s.mustStart(other)
	}
}

// withoutAway waits until the others have gone on without members that died before they had their
// share. Then an operator removes those. It says why not, when the time for it is over.
func (s *sim) withoutAway() string {
	var away []*node
	s.net.mu.Lock()
	for _, n := range s.nodes {
		if !n.gone && n.run == nil {
			away = append(away, n)
		}
	}
	s.net.mu.Unlock()
	if len(away) == 0 {
		return ""
	}
	owner := slices.ContainsFunc(away, func(n *node) bool { return s.hadShare(n.name, s.runs()) || !s.remembered(n) })
	for end := time.Now().Add(min(awayTime, s.shape.RestTime)); !owner && s.health.unsure(); time.Sleep(watchEvery) {
		if time.Now().After(end) {
			s.tellStatements()
			return "it does not get well while " + away[0].name + " is away, which had just joined"
		}
	}
	c := s.newClient(s.shape.Clients + 1 + s.crowded())
	for _, run := range s.runs() {
		for _, op := range c.probes(run.node) {
			c.ask(run.node, []Op{op}, crowdTimeout)
		}
	}
	for _, n := range away {
		s.setGone(n, true)
		s.remove(n, time.Now().Add(s.shape.RestTime))
	}
	return ""
}

// remembered says whether a node runs that was there before n, and has not had to guess since by
// which ring to read. No other node can tell that n never had its share.
func (s *sim) remembered(n *node) bool {
	s.net.mu.Lock()
	last := n.last
	s.net.mu.Unlock()
	runs := s.runs()
	return slices.ContainsFunc(runs, func(o *running) bool { return o.since < last && !guesses(o, runs) })
}

// guesses says whether a node has told one of the others that it guesses by which ring to read.
func guesses(o *running, runs []*running) bool {
	return slices.ContainsFunc(runs, func(run *running) bool {
		return slices.ContainsFunc(run.plane.Topology.Peers(), func(p topology.Status) bool { return p.Name == o.name() && p.Ping.Said.Guess })
	})
}

// probes writes and reads some keys at all their owners.
func (c *client) probes(n *node) (ops []Op) {
	for _, key := range plainKeys {
		put := Op{Client: c.id, Node: n.name, Kind: kv.OpPut, Cond: kv.Always, Key: key, Value: c.value(), Level: kv.LevelAll}
		get := Op{Client: c.id, Node: n.name, Kind: kv.OpGet, Key: key, Level: kv.LevelAll}
		ops = append(ops, put, get)
	}
	return ops
}
