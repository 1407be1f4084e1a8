package membership

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpdhs/wire"
)

// newAttendance makes one that is in sync when told so, by the clock of the bubble.
func newAttendance(in *atomic.Bool, keep func(time.Time)) *Attendance {
	return NewAttendance(AttendanceOptions{InSync: in.Load, Now: time.Now, Keep: keep, Grace: time.Hour})
}

// wantSaid says what a hello says: so long ago; never where it is the age of the epoch.
func wantSaid(t *testing.T, what string, a *Attendance, want int64) {
	t.Helper()
	if got := a.Said(); got != want {
		t.Errorf("%s: it says %d, want %d, which is %v earlier", what, got, want, time.Duration(got-want)*time.Millisecond)
	}
}

// A node that was started without data says now while it is in sync, and else when it last was.
func TestWhatANodeSaysOfBeingInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in atomic.Bool
		a := newAttendance(&in, nil)
		wantSaid(t, "never in sync", a, 0)
		in.Store(true)
		time.Sleep(time.Minute)
		wantSaid(t, "in sync", a, time.Now().UnixMilli())
		in.Store(false)
		at := time.Now().UnixMilli()
		time.Sleep(time.Minute)
		wantSaid(t, "not any more", a, at)
		loading := newAttendance(&in, func(time.Time) {})
		wantSaid(t, "loading", loading, wire.InSyncUnknown)
		loading.Loaded(7)
		wantSaid(t, "in sync long ago", loading, 7)
	})
}

// A node that goes on with data of yesterday has forgotten no delete since, until a grace has
// passed. Until then it says yesterday, and what has passed: who starts later may hold as much.
func TestWhoStartsLaterIsNotLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yesterday := time.Now().Add(-24 * time.Hour).UnixMilli()
		var in atomic.Bool
		a := newAttendance(&in, nil)
		a.Loaded(yesterday)
		wantSaid(t, "before it has decided", a, yesterday)
		a.GoesOn(Verdict{InSyncAt: yesterday + 7})
		wantSaid(t, "not in sync yet", a, yesterday)
		in.Store(true)
		time.Sleep(10 * time.Minute)
		wantSaid(t, "in sync", a, yesterday+7+(10*time.Minute).Milliseconds())
		time.Sleep(49 * time.Minute)
		wantSaid(t, "within the grace", a, yesterday+7+(59*time.Minute).Milliseconds())
		time.Sleep(time.Minute)
		wantSaid(t, "after the grace", a, time.Now().UnixMilli())
	})
}

// A node that starts empty, since others went on, has not gone on itself before it is in sync. Then
// it knows what they know.
func TestWhoStartsEmptyHasNotGoneOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yesterday := time.Now().Add(-24 * time.Hour).UnixMilli()
		var in atomic.Bool
		a := newAttendance(&in, nil)
		a.Loaded(yesterday - 1e9)
		a.GoesOn(Verdict{Empty: true, InSyncAt: yesterday})
		time.Sleep(10 * time.Minute)
		wantSaid(t, "not in sync yet", a, 0)
		in.Store(true)
		wantSaid(t, "in sync", a, yesterday+(10*time.Minute).Milliseconds())
		in.Store(false)
		time.Sleep(10 * time.Minute)
		wantSaid(t, "not any more", a, yesterday+(10*time.Minute).Milliseconds())
	})
}

// A time that is ahead, of a clock that was wrong, does not last.
func TestATimeAheadDoesNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tomorrow := time.Now().Add(24 * time.Hour).UnixMilli()
		var in atomic.Bool
		a := newAttendance(&in, nil)
		a.Loaded(tomorrow)
		a.GoesOn(Verdict{InSyncAt: tomorrow})
		wantSaid(t, "not in sync yet", a, tomorrow)
		in.Store(true)
		wantSaid(t, "in sync", a, time.Now().UnixMilli())
	})
}

// The disk is told when the node comes to be in sync, every ten seconds while it is, and when it is
// not any more: never that it was when it was not.
func TestWhenItWasInSyncIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in atomic.Bool
		var kept []time.Time
		a := newAttendance(&in, func(at time.Time) { kept = append(kept, at) })
		quit, over := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(over)
			a.Run(quit)
		}()
		time.Sleep(time.Minute)
		if len(kept) > 0 {
			t.Errorf("never in sync, and kept %v", kept)
		}
		began := time.Now()
		in.Store(true)
		time.Sleep(time.Minute - time.Millisecond)
		in.Store(false)
		time.Sleep(time.Minute)
		close(quit)
		<-over
		if len(kept) < 6 || len(kept) > 8 {
			t.Errorf("kept %d times in a minute: %v", len(kept), kept)
		}
		for i, at := range kept {
			if at.Before(began) || at.After(began.Add(time.Minute)) || i > 0 && at.Sub(kept[i-1]) > AttendanceBehind {
				t.Errorf("kept %v, %v after it came to be in sync", at, at.Sub(began))
			}
		}
		if last := kept[len(kept)-1]; began.Add(time.Minute).Sub(last) > 2*attendancePoll {
			t.Errorf("last in sync at %v, and kept %v", began.Add(time.Minute), last)
		}
	})
}

// What is to be done once the node is in sync is done then, and once.
func TestWhatFollowsBeingInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in atomic.Bool
		done := 0
		a := newAttendance(&in, nil)
		a.Then(func() { done++ })
		for _, step := range []struct {
			in   bool
			want int
		}{{false, 0}, {true, 1}, {false, 1}, {true, 1}} {
			in.Store(step.in)
			if a.look(); done != step.want {
				t.Errorf("in sync %v: done %d times, want %d", step.in, done, step.want)
			}
		}
	})
}
