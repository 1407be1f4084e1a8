package simnet

import "testing"

// Seeds that have found something hold ever since. What each of them found is in its name.
func TestFoundSeeds(t *testing.T) {
	for _, found := range []struct {
		name  string
		seed  uint64
		still bool // drawn before members could change
		kept  bool // drawn since nodes may keep their clocks together
	}{
		{"a node that starts coordinates before it has heard of all", 759, true, false},
		{"the sync loop spins and lets no time pass", 644, true, false},
		{"one that leaves and is removed waits for ever to hand over", 9, false, false},
		{"a count of downs that begins anew for the same life", 70, false, false},
		{"the table of a ring that is written is forgotten", 142, false, false},
		{"the same, of another ring", 475, false, false},
		{"readers without authority say that a key does not exist, and an owner to come holds it", 2163, false, false},
		{"five members that start at once read by five rings, and nobody has room for the next", 4378, false, false},
		{"a condition is decided by who was the primary by an earlier ring", 3869, false, false},
		{"one that comes to be in sync decides a condition, while what another has decided is on its way", 4044, false, false},
		{"a node that is cut off goes back to what its machine says, and stamps what nobody believes", 15, false, true},
		{"clocks that were ahead are set right, and all refuse all", 3089, false, true},
		{"a node with a wrong clock takes the others for down before it knows that it is wrong", 1418, false, true},
		{"a node with a wrong clock is asked for something before it knows that it is wrong", 23, false, true},
	} {
		t.Run(found.name, func(t *testing.T) {
			for _, v := range Check(run(t, drawShape(found.seed, !found.still, found.kept)), Rules{}) {
				t.Errorf("seed %d: %v", found.seed, v)
			}
		})
	}
}
