package simnet

import "testing"

// Seeds that have found something hold ever since. What each of them found is in its name.
func TestFoundSeeds(t *testing.T) {
	for _, found := range []struct {
		name  string
		seed  uint64
		still bool // drawn before members could change
	}{
		{"a node that starts coordinates before it has heard of all", 759, true},
		{"the sync loop spins and lets no time pass", 644, true},
		{"one that leaves and is removed waits for ever to hand over", 9, false},
		{"a count of downs that begins anew for the same life", 70, false},
		{"the table of a ring that is written is forgotten", 142, false},
		{"the same, of another ring", 475, false},
		{"readers without authority say that a key does not exist, and an owner to come holds it", 2163, false},
		{"five members that start at once read by five rings, and nobody has room for the next", 4378, false},
		{"a condition is decided by who was the primary by an earlier ring", 3869, false},
	} {
		t.Run(found.name, func(t *testing.T) {
			for _, v := range Check(run(t, drawShape(found.seed, !found.still)), Rules{}) {
				t.Errorf("seed %d: %v", found.seed, v)
			}
		})
	}
}
