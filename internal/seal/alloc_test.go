//go:build !race

package seal

import (
	"strings"
	"testing"
)

// Sealing and opening allocate nothing once buffers have grown.
func TestSealsDoNotAllocate(t *testing.T) {
	for _, secret := range secrets {
		x := newExchange(t, secret, strings.Repeat("b", 1000), "answer")
		if got := testing.AllocsPerRun(200, func() { x.roundTrip(t) }); got != 0 {
			t.Errorf("secret %q: %v allocations", secret, got)
		}
	}
}
