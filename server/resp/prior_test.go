package resp

import (
	"strings"
	"testing"
)

// Writes that find what was there have no bound on what they find. So a call has few of them.
func TestCallsFindABoundedNumberOfPriorValues(t *testing.T) {
	_, store, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("SET k v\r\n", "+OK\r\n")
	store.mu.Lock()
	store.calls, store.largest = 0, 0
	store.mu.Unlock()
	const many = 10 * callPriors
	c.say(strings.Repeat("GETEX k EX 100\r\n", many), strings.Repeat("$1\r\nv\r\n", many))
	store.mu.Lock()
	defer store.mu.Unlock()
	if store.largest > callPriors {
		t.Errorf("a call has %d of them, want %d at most", store.largest, callPriors)
	}
}
