package antientropy

import (
	"testing"

	"httpdhs/placement"
)

// What a damaged disk has of a partition is forgotten where an owner with authority is asked: it
// may have lost the delete of what it holds. What was written since the start stays, and where
// nobody has authority so does all.
func TestWhatIsSuspectIsFetchedAnew(t *testing.T) {
	for _, sure := range []bool{true, false} {
		_, nodes := newNodes(t)
		own, other := nodes[0], nodes[1]
		own.put(t, 0, 50) // it has these alone
		last := own.clock.Last()
		own.put(t, 50, 60)
		other.put(t, 60, 70)
		held := make([]bool, testPartitions)
		for part := range held {
			held[part] = true
		}
		writer := placement.Writer{Board: other.board}
		writer.SetHeld(held)
		writer.Alone(true)
		own.Suspect(all(), last)
		task := placement.Pull{
			From:   []placement.Source{{Peer: own.peers[1], Sure: sure, Partitions: all()}},
			Wanted: func() bool { return true }, Had: func([]int) bool { return true },
		}
		if _, err := own.puller.pull(&task); err != nil {
			t.Fatal(err)
		}
		want := 20
		if !sure {
			want = 70
		}
		if got := own.store.Stats().Keys; got != want {
			t.Errorf("sure %v: it holds %d keys, want %d", sure, got, want)
		}
		if left := len(own.puller.suspects.parts); sure && left > 0 {
			t.Errorf("%d partitions are suspect still", left)
		}
	}
}
