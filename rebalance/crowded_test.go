package rebalance

import "testing"

// A member may have no room left to write the target. Then those that hold a ring in common, by
// which somebody reads, go back to it: the least of them, so that all choose alike. Otherwise each
// stays with what it reads by.
func TestCrowdedMembersMeetInACommonRing(t *testing.T) {
	const target = Ring(9)
	world := func(writes []Ring, holds ...Ring) *World {
		return &World{Target: target, Known: func(Ring) bool { return true }, On: func(string, Ring) bool { return true }, Members: map[string]Peer{
			"b": {Live: true, InTarget: true, Believed: true, Said: &Statement{Reads: 3, Writes: writes, Holds: holds}},
			"c": {Live: false, Said: &Statement{Reads: 1}},
		}}
	}
	full := []Ring{3, 4, 5, 6}
	for name, tc := range map[string]struct {
		w    *World
		want Ring
	}{
		"crowded":               {world(full, 3, 7), 3},
		"crowded, none is held": {world(full, 7), 4},
		"room left":             {world([]Ring{3, 4, 5, target}, 3, 7), 4},
	} {
		s := &State{reads: 4, writes: []Ring{4, 3, target}, said: Statement{Reads: 4, Writes: []Ring{4, 3, target}, Holds: []Ring{3, 4, 7}, Wants: []Ring{3, 4, 7}}}
		s.choose(tc.w)
		if s.Reads() != tc.want {
			t.Errorf("%s: reads by %d, want %d", name, s.Reads(), tc.want)
		}
	}
}

// Members that start at once, each with a map of its own, read by more rings than there is room
// for, and have authority for none. They go on by the target. Each stays while there is room. Each
// stays too while anybody has authority for what it owns, or may have it and was not heard yet.
func TestCrowdedMembersWithoutAuthorityMeetInTheTarget(t *testing.T) {
	const target, without = Ring(9), Ring(7) // c is not on that ring
	full := []Ring{3, 4, 5, 6}
	world := func(writes []Ring, holds ...Ring) *World {
		return &World{
			Target: target, Known: func(r Ring) bool { return r != 8 }, On: func(_ string, r Ring) bool { return r < without },
			Members: map[string]Peer{
				"b": {Live: true, InTarget: true, Said: &Statement{Reads: 3, Writes: writes}},
				"c": {Live: true, InTarget: true, Said: &Statement{Reads: 5, Holds: holds}},
				"d": {Live: false, Said: &Statement{Reads: 6, Holds: []Ring{6}}},
			},
		}
	}
	unheard := world(full)
	unheard.Members["e"] = Peer{Live: true, InTarget: true}
	for name, tc := range map[string]struct {
		w    *World
		self []Ring
		want Ring
	}{
		"crowded":                                    {world(full), nil, target},
		"crowded, one is not heard":                  {unheard, nil, 4},
		"crowded, somebody holds one":                {world(full, 5), nil, 4},
		"crowded, somebody holds what it is not on":  {world(full, without), nil, target},
		"crowded, somebody holds what is not known":  {world(full, 8), nil, 4},
		"crowded, this node holds one":               {world(full), []Ring{4}, 4},
		"crowded, this node holds what it is not on": {world(full), []Ring{without}, target},
		"room left": {world([]Ring{3, 4, 5, target}), nil, 4},
	} {
		s := &State{reads: 4, writes: []Ring{4, 3, 5, target}, said: Statement{Reads: 4, Writes: []Ring{4, 3, 5, target}, Holds: tc.self}}
		s.choose(tc.w)
		if s.Reads() != tc.want {
			t.Errorf("%s: reads by %d, want %d", name, s.Reads(), tc.want)
		}
	}
}
