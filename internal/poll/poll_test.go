package poll

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// fakeT notes what ends a test.
type fakeT struct{ said string }

func (*fakeT) Helper() {}

func (t *fakeT) Fatalf(format string, args ...any) { t.said = fmt.Sprintf(format, args...) }

// What becomes so in time ends the wait; what does not ends the test, with the reason.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		since := func() time.Duration { return time.Since(began) }
		var f fakeT
		Until(&f, "a second has passed", func() error {
			if since() < time.Second {
				return errors.New("too early")
			}
			return nil
		})
		True(&f, "two have", func() bool { return since() >= 2*time.Second })
		if f.said != "" || since() > 2*time.Second+pauseMax {
			t.Errorf("after %v: %q", since(), f.said)
		}
		began = time.Now()
		True(&f, "pigs fly", func() bool { return false })
		if want := "it is not so that pigs fly"; f.said != want || since() < Patience {
			t.Errorf("after %v: %q, want %q", since(), f.said, want)
		}
		Until(&f, "pigs fly", func() error { return errors.New("no wings") })
		if want := "it is not so that pigs fly: no wings"; f.said != want {
			t.Errorf("got %q, want %q", f.said, want)
		}
	})
}

// Without any time left it still asks once, and the answer counts.
func TestItAsksOnceAtLeast(t *testing.T) {
	if err := Within(0, func() error { return nil }); err != nil {
		t.Error(err)
	}
	no := errors.New("no")
	if err := While(func() bool { return false }, func() error { return no }); err != no {
		t.Errorf("got %v", err)
	}
}
