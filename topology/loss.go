package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"httpdhs/placement"
	"httpdhs/wire"
)

// Loss is what would be lost if some members stopped at the same time.
//
// A copy counts if its node is up and has authority for the partition, has refused nothing of it,
// and every member that is up counts on the node. A node that is down may have a copy on its disk,
// and that does not count: it may lack what was written since.
type Loss struct {
	Unsure error    // why this node cannot tell; nil: it can, and the rest is so
	Last   []int    // partitions of which they hold something, and no other node has a copy that counts
	Keys   int      // live ones, in these, as far as the members to be stopped say
	Mute   []string // of these, who does not say what it holds: then it counts for what it owns
	Quorum []int    // partitions of which a quorum of owners is up, and would not be any more
	Waits  []Wait   // what stands against the stop, by node

	underWay bool // something stands against it, and that is batches that are under way alone
}

// Wait is what has to come to pass at a node before its copies count.
type Wait struct {
	Node       string
	Why        string
	Partitions int // of Last, that it owns
}

// survey is how all members stand at a moment.
type survey struct {
	stop      []string // members to be stopped
	self      string
	view      *placement.View
	standings map[string]*wire.Standing // of those that have answered
	silent    map[string]error          // why others have not, which are not known to be down
	down      map[string]bool
	cutOff    map[string]error // why of those that are down, unless no process is there
}

// judge says what would be lost. before are the standings of an earlier survey, by which members
// had queued what has to have arrived since; nil: there was none, and nothing has to.
func (s *survey) judge(before map[string]*wire.Standing) Loss {
	var loss Loss
	for _, name := range s.stop {
		if s.standings[name] == nil {
			loss.Mute = append(loss.Mute, name)
		}
	}
	doubts := s.doubts()
	late := s.late(before)
	waits, arriving := make(map[string]*Wait), 0
	for part := range s.view.Partitions() {
		if s.losesQuorum(part) {
			loss.Quorum = append(loss.Quorum, part)
		}
		keys, stake := s.atStake(part)
		if !stake {
			continue
		}
		arrives := 0
		safe := slices.ContainsFunc(s.view.Owners(part), func(n uint16) bool {
			name := s.view.Names[n]
			if s.whyNot(name, part, doubts) != "" {
				return false
			}
			arrives = 1
			return late[name] == ""
		})
		if safe {
			continue
		}
		loss.Last, loss.Keys = append(loss.Last, part), loss.Keys+keys
		arriving += arrives
		for _, n := range s.view.Owners(part) {
			name := s.view.Names[n]
			why := cmp.Or(s.whyNot(name, part, doubts), late[name])
			if slices.Contains(s.stop, name) {
				continue
			}
			if waits[name] == nil {
				waits[name] = &Wait{Node: name, Why: why}
			}
			waits[name].Partitions++
		}
	}
	loss.underWay = arriving > 0 && arriving == len(loss.Last)
	for _, name := range slices.Sorted(maps.Keys(waits)) {
		loss.Waits = append(loss.Waits, *waits[name])
	}
	return loss
}

// atStake is how many keys the members to be stopped hold of a partition, and whether they hold
// anything of it. One that does not say holds what it owns, as far as is known.
func (s *survey) atStake(part int) (keys int, stake bool) {
	for _, name := range s.stop {
		if said := s.standings[name]; said != nil {
			keys, stake = max(keys, said.Parts[part].Keys), stake || said.Parts[part].Held
			continue
		}
		stake = stake || slices.ContainsFunc(s.view.Owners(part), func(n uint16) bool { return s.view.Names[n] == name })
	}
	return keys, stake
}

// whyNot is why a node's copy of a partition does not count; empty: it does, once what the members
// had queued for it has arrived.
func (s *survey) whyNot(name string, part int, doubts map[string]string) string {
	said := s.standings[name]
	switch {
	case slices.Contains(s.stop, name):
		return "it is to stop too"
	case s.down[name]:
		return "it is down"
	case said == nil && s.silent[name] != nil:
		return fmt.Sprintf("it does not say how it stands (%v)", s.silent[name])
	case said == nil:
		return "it is no member any more"
	case said.Stopping:
		return "it is stopping"
	case !said.Parts[part].Whole:
		return "it is not in sync"
	}
	return doubts[name]
}

// doubts are the nodes that a member does not count on, and why. What such a member has coordinated
// may be missing there. A member that says nothing counts on nobody. Nor does one that is to be
// stopped, and may run on the other side of a split: what it has written there would be lost.
func (s *survey) doubts() map[string]string {
	doubts := make(map[string]string)
	for name := range s.standings {
		for _, other := range slices.Sorted(maps.Keys(s.standings)) {
			if other == name {
				continue
			}
			if way := s.standings[other].WayTo(name); way == nil || !way.Counts {
				doubts[name] = other + " does not count on it yet"
			}
		}
		for _, other := range slices.Sorted(maps.Keys(s.silent)) {
			doubts[name] = fmt.Sprintf("%s does not say whether it counts on it (%v)", other, s.silent[other])
		}
		for _, other := range s.stop {
			if why := s.cutOff[other]; why != nil {
				doubts[name] = fmt.Sprintf("%s is down (%v), and may be cut off with what it lacks", other, why)
			}
		}
	}
	return doubts
}

// late are the nodes that have not been sent all that members had queued for them. Of a write that
// waited for one replica, that may be the one to be stopped; its coordinator has the rest still to
// send, whether it is to stop or not.
func (s *survey) late(before map[string]*wire.Standing) map[string]string {
	late := make(map[string]string)
	if before == nil {
		return late
	}
	for _, from := range slices.Sorted(maps.Keys(s.standings)) {
		now, was := s.standings[from], before[from]
		for i := range now.Ways {
			way := &now.Ways[i]
			var queued *wire.Way
			if was != nil && was.Boot == now.Boot {
				queued = was.WayTo(way.Name)
			}
			if queued == nil || way.Finished < queued.Queued {
				late[way.Name] = "what " + from + " has written is on its way to it"
			}
		}
	}
	return late
}

// losesQuorum says whether a quorum of the owners by the ring that is read is up, and would not be
// without the members to be stopped.
func (s *survey) losesQuorum(part int) bool {
	owners := s.view.Readers(part)
	up, left := 0, 0
	for _, n := range owners {
		name := s.view.Names[n]
		if s.standings[name] == nil && s.silent[name] == nil {
			continue
		}
		if up++; !slices.Contains(s.stop, name) {
			left++
		}
	}
	quorum := len(owners)/2 + 1
	return up >= quorum && left < quorum
}
