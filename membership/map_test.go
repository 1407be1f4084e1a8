package membership

import (
	"fmt"
	"slices"
	"testing"

	"httpdhs/wire"

	"pgregory.net/rapid"
)

// entries draws lists that meet each other: few names, few versions.
func entries(names int) *rapid.Generator[[]wire.Member] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.Member {
		return wire.Member{
			Name:    fmt.Sprintf("n%d:1", rapid.IntRange(1, names).Draw(t, "name")),
			Version: rapid.Uint64Range(0, 4).Draw(t, "version"),
			State:   wire.State(rapid.IntRange(0, 2).Draw(t, "state")),
			Weight:  rapid.IntRange(1, 2).Draw(t, "weight"),
			Zone:    rapid.SampledFrom([]string{"", "a"}).Draw(t, "zone"),
		}
	}), 0, 3*names)
}

func merged(b bounds, lists ...[]wire.Member) *Map {
	m := &Map{bounds: b}
	for _, list := range lists {
		m.Merge(list)
	}
	return m
}

// Whatever the order in which entries are merged, one by one or in lists, once or more often, the
// map is the same; and the digest is the same if and only if the maps are.
func TestMergingIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := entries(4)
		a, b, c := list.Draw(t, "a"), list.Draw(t, "b"), list.Draw(t, "c")
		want := merged(bounds{}, a, b, c)
		shuffled := rapid.Permutation(slices.Concat(a, b, c)).Draw(t, "shuffled")
		for name, got := range map[string]*Map{
			"commutative": merged(bounds{}, c, b, a),
			"associative": merged(bounds{}, a, merged(bounds{}, b, c).All()),
			"idempotent":  merged(bounds{}, a, b, c, b, a, c),
			"one by one":  merged(bounds{}, shuffled),
		} {
			if !slices.Equal(got.All(), want.All()) {
				t.Fatalf("not %s: %v, want %v", name, got.All(), want.All())
			}
		}
		other := merged(bounds{}, a, b)
		if same := slices.Equal(other.All(), want.All()); same != (other.Digest() == want.Digest()) {
			t.Fatalf("equal: %v, yet digests %x and %x", same, other.Digest(), want.Digest())
		}
	})
}

// Merge says that the map changed if and only if it did.
func TestMergeSaysWhetherTheMapChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bounds{members: 3, removed: 2}
		list := entries(6)
		m := merged(b, list.Draw(t, "before"))
		before := m.All()
		in := list.Draw(t, "in")
		changed := m.Merge(in)
		if changed == slices.Equal(before, m.All()) {
			t.Fatalf("changed is %v: %v, then %v", changed, before, m.All())
		}
	})
}

// The higher version wins whatever else the entries say; then the state decides, and then the rest.
func TestWhichEntryWins(t *testing.T) {
	base := wire.Member{Name: "a:1", Version: 5, State: wire.Leaving, Weight: 2, Zone: "m"}
	for what, winner := range map[string]wire.Member{
		"version": {Name: "a:1", Version: 6, State: wire.Active, Weight: 1},
		"removed": {Name: "a:1", Version: 5, State: wire.Removed, Weight: 1},
		"weight":  {Name: "a:1", Version: 5, State: wire.Leaving, Weight: 3},
		"zone":    {Name: "a:1", Version: 5, State: wire.Leaving, Weight: 2, Zone: "n"},
	} {
		for _, order := range [][]wire.Member{{base, winner}, {winner, base}} {
			if got, _ := merged(bounds{}, order).Get("a:1"); got != winner {
				t.Errorf("%s: %v wins over %v", what, got, winner)
			}
		}
	}
}

// At the bounds the newest removals are remembered, and the members with the smallest names.
func TestWhatIsForgotten(t *testing.T) {
	m := merged(bounds{members: 2, removed: 2}, []wire.Member{
		{Name: "d:1", Version: 1, State: wire.Removed}, {Name: "a:1", Version: 4, State: wire.Removed},
		{Name: "c:1", Version: 3, State: wire.Removed}, {Name: "b:1", Version: 2, State: wire.Removed},
		{Name: "z:1", Version: 9}, {Name: "y:1", Version: 8}, {Name: "x:1", Version: 0},
	})
	var names []string
	for _, entry := range m.All() {
		names = append(names, entry.Name)
	}
	if want := []string{"a:1", "c:1", "x:1", "y:1"}; !slices.Equal(names, want) {
		t.Errorf("kept %q, want %q", names, want)
	}
}

// Maps that have to forget entries still become equal when all keep exchanging them, and stay
// within their bounds.
func TestMapsThatForgetStillConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bounds{members: rapid.IntRange(1, 3).Draw(t, "members"), removed: rapid.IntRange(1, 3).Draw(t, "removed")}
		maps := make([]*Map, rapid.IntRange(2, 5).Draw(t, "nodes"))
		for i := range maps {
			maps[i] = merged(b, entries(8).Draw(t, "own"))
		}
		const rounds = 20
		for round := 0; ; round++ {
			quiet := true
			for _, pair := range rapid.Permutation(pairs(len(maps))).Draw(t, "order") {
				there := maps[pair[1]].Merge(maps[pair[0]].All())
				here := maps[pair[0]].Merge(maps[pair[1]].All())
				quiet = quiet && !here && !there
			}
			for _, m := range maps {
				members, removed := 0, 0
				for _, entry := range m.All() {
					if entry.State == wire.Removed {
						removed++
					} else {
						members++
					}
				}
				if members > b.members || removed > b.removed {
					t.Fatalf("%d members and %d removed, bounds %+v", members, removed, b)
				}
			}
			if quiet {
				break
			}
			if round == rounds {
				t.Fatalf("still exchanging after %d rounds", rounds)
			}
		}
		for _, m := range maps {
			if m.Digest() != maps[0].Digest() {
				t.Fatalf("quiet, yet different: %v and %v", m.All(), maps[0].All())
			}
		}
	})
}

func pairs(n int) (all [][2]int) {
	for i := range n {
		for j := range i {
			all = append(all, [2]int{i, j})
		}
	}
	return all
}
