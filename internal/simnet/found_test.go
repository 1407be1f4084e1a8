package simnet

import "testing"

// Seeds that have found something hold ever since. What each of them found is in its name.
func TestFoundSeeds(t *testing.T) {
	for _, found := range []struct {
		name string
		seed uint64
		as   era
	}{
		{"a node that starts coordinates before it has heard of all", 759, unchanging},
		{"the anti-entropy loop spins and lets no time pass", 644, unchanging},
		{"one that leaves and is removed waits for ever to hand over", 9, changing},
		{"a suspicion epoch that counts from zero again for the same life", 70, changing},
		{"the table of a ring that is written is forgotten", 142, changing},
		{"the same, of another ring", 475, changing},
		{"readers without authority say that a key does not exist, and an owner to come holds it", 2163, changing},
		{"five members that start at once read by five rings, and nobody has room for the next", 4378, changing},
		{"a condition is decided by who was the primary by an earlier ring", 3869, changing},
		{"one that comes to be in sync decides a condition, while what another has decided is on its way", 4044, changing},
		{"a node that is cut off goes back to what its machine says, and stamps what nobody believes", 15, together},
		{"clocks that were ahead are set right, and all refuse all", 3089, together},
		{"a node with a wrong clock takes the others for down before it knows that it is wrong", 1418, together},
		{"a node with a wrong clock is asked for something before it knows that it is wrong", 23, together},
		{"a node is in sync while those that could tell it the time are slow to start", 2288, dawdling},
		{"a data directory that was made is gone after a power cut", 3, onDisk},
		{"segments that were given up, and never synced, are taken for damage", 179, onDisk},
		{"a node that was killed before its disk knew it to be in sync starts empty", 182, onDisk},
	} {
		t.Run(found.name, func(t *testing.T) {
			for _, v := range Check(run(t, drawShape(found.seed, found.as)), Rules{}) {
				t.Errorf("seed %d: %v", found.seed, v)
			}
		})
	}
}
