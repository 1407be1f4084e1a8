package peer

import (
	"sync/atomic"
	"testing"
)

// Several things are done at once, and one of them panics. The panic is raised where they are
// waited for, when all of them are over. That is in a handler, which counts it. In a goroutine of
// its own it would end the process.
func TestPanicsAreTheCallers(t *testing.T) {
	var all Group
	var done atomic.Int32
	for i := range 5 {
		all.Go(func() {
			if i == 2 {
				panic("a fault")
			}
			done.Add(1)
		})
	}
	defer func() {
		if v := recover(); v != "a fault" || done.Load() != 4 {
			t.Errorf("panic: %v; %d of 4 others are done", v, done.Load())
		}
	}()
	all.Wait()
	t.Error("nobody is told")
}
