package rebalance

import "slices"

// Sets of rings are short slices.

func contains(set []Ring, r Ring) bool { return slices.Contains(set, r) }

// appendNew adds what is not in the set yet, 0 aside.
func appendNew(set []Ring, more ...Ring) []Ring {
	for _, r := range more {
		if r != 0 && !contains(set, r) {
			set = append(set, r)
		}
	}
	return set
}

func intersection(a, b []Ring) (both []Ring) {
	for _, r := range a {
		if contains(b, r) {
			both = append(both, r)
		}
	}
	return both
}

func sameSet(a, b []Ring) bool {
	return len(a) == len(b) && len(intersection(a, b)) == len(a)
}

func equal(a, b []Ring) bool { return slices.Equal(a, b) }

// sortFrom sorts all from index i on: what comes from a map has no order.
func sortFrom(set []Ring, i int) { slices.Sort(set[i:]) }
