package topology

import (
	"sync"
	"time"
)

// strain says how late this node itself is. Where the machine has more to do than it can, all
// answers are late and nobody is down. Members that are taken for down compare what they hold, and
// the machine has yet more to do. So a node whose own timers fire late gives others more time, as
// in "Lifeguard: Local Health Awareness for More Accurate Failure Detection" (Dadgar, Phillips and
// Currey, 2017). That does not touch the lease of another: to be taken for down later is no harm to
// it.
type strain struct {
	mu   sync.Mutex    // guards what follows
	late time.Duration // by which a timer was late at that time
	at   time.Time
}

const (
	// lateHalves is in how long a lateness counts half.
	lateHalves = 2 * time.Second

	// lateUsual is by how much timers may be late on a machine that has time.
	lateUsual = 20 * time.Millisecond

	// patienceMax is how many times probeTimeout a probe may take at most: less than SilenceMax, or
	// the lease would lapse while all places of probes are taken.
	patienceMax = 3
)

// note takes note that a timer fired late by that much.
func (s *strain) note(late time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	late = min(late, patienceMax*lateUsual) // what was once long counts no longer than it is true
	if late > s.nowLocked(now) {
		s.late, s.at = late, now
	}
}

func (s *strain) nowLocked(now time.Time) time.Duration {
	return s.late >> min(max(0, now.Sub(s.at))/lateHalves, 62)
}

// patience is how long an answer to a probe may take.
func (s *strain) patience(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := s.nowLocked(now)
	if late <= lateUsual {
		return probeTimeout
	}
	return min(probeTimeout*late/lateUsual, patienceMax*probeTimeout)
}
