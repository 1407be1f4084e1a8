// Package poll waits for what nobody announces: it asks, until it is so. Tests and measurements
// poll through it and nowhere else; internal/house holds them to that.
//
// It asks every millisecond at first, and every 50 later. A bubble of testing/synctest makes that
// no time at all. Functions are safe for concurrent use if the condition is.
package poll

import (
	"errors"
	"time"
)

// Patience is how long anything in a test may take. It is far beyond what it should take: only a
// fault reaches it, also where every core is busy.
const Patience = 2 * time.Minute

const (
	pauseMin = time.Millisecond
	pauseMax = 50 * time.Millisecond
)

// T is what Until needs of a test. *testing.T, *testing.B and *rapid.T have it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Until waits until cond returns nil. After Patience it ends the test, with cond's last error.
func Until(t T, what string, cond func() error) {
	t.Helper()
	if err := Within(Patience, cond); err != nil {
		t.Fatalf("it is not so that %s: %v", what, err)
	}
}

// True is Until for a condition that has nothing to say.
func True(t T, what string, cond func() bool) {
	t.Helper()
	err := Within(Patience, func() error {
		if !cond() {
			return errNotSo
		}
		return nil
	})
	if err != nil {
		t.Fatalf("it is not so that %s", what)
	}
}

var errNotSo = errors.New("it is not so")

// Within waits until cond returns nil, for so long at most, and returns its last error.
func Within(limit time.Duration, cond func() error) error {
	end := time.Now().Add(limit)
	return While(func() bool { return time.Now().Before(end) }, cond)
}

// While waits until cond returns nil, for as long as more says, and returns its last error. It
// asks once at least.
func While(more func() bool, cond func() error) error {
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		err := cond()
		if err == nil || !more() {
			return err
		}
		time.Sleep(pause)
	}
}
