package bench

import (
	"strconv"
	"testing"
)

// A store that keeps what it acknowledges is found to, whatever is asked.
func TestVerifyOverRESPFindsNothingWhereNothingIs(t *testing.T) {
	linuxOnly(t)
	for _, w := range []Workload{Put, Mixed, Incr} {
		_, addrs := newFakeRESP(t, 3)
		c := respConfig(addrs, w)
		c.Verify, c.ReadRatio, c.Dist, c.Threads = true, 0.5, Zipf, 2
		if v := mustRun(t, c).Verify; !v.OK() || v.Acknowledged == 0 || v.Reads != 3*v.Acknowledged || len(v.Nodes) != 3 {
			t.Errorf("%s: %+v", w, v)
		}
	}
}

// A write with an unknown outcome may be there or not, one that was refused may not.
func TestOutcomesOverRESP(t *testing.T) {
	linuxOnly(t)
	for _, w := range []Workload{Put, Incr} {
		for _, happens := range []bool{true, false} {
			for answer, unknown := range map[string]bool{
				"-UNKNOWN x\r\n": true, "-UNAVAILABLE x\r\n": true, "-ERR x\r\n": false,
			} {
				s, addrs := newFakeRESP(t, 1)
				s.set(func() {
					s.onWrite = func(n int, _, _ string) (bool, string) {
						if n > 250 && n%10 == 0 { // after the counters were set
							return happens, answer
						}
						return true, ""
					}
				})
				c := respConfig(addrs, w)
				c.Verify = true
				v := mustRun(t, c).Verify
				if ok := unknown || !happens; v.OK() != ok || (v.Unknown > 0) != unknown {
					t.Errorf("%s, happens %v, %q: %+v", w, happens, answer, v)
				}
			}
		}
	}
}

// A counter that misses an increment is caught, and one that has one twice.
func TestVerifyCatchesAWrongCounter(t *testing.T) {
	linuxOnly(t)
	s, addrs := newFakeRESP(t, 2)
	c := respConfig(addrs, Incr)
	c.Verify = true
	s.set(func() {
		s.onWrite = func(n int, name, _ string) (bool, string) { return name != "INCR" || n%100 > 0, "" }
	})
	if v := mustRun(t, c).Verify; v.Stale == 0 || v.Lost+v.Resurrected+v.Corrupt > 0 {
		t.Errorf("some are missing: %+v", v)
	}
	s.set(func() {
		s.onWrite = func(n int, name, key string) (bool, string) {
			if name == "INCR" && n%100 == 0 {
				s.write([]string{name, key}, true)
			}
			return true, ""
		}
	})
	if v := mustRun(t, c).Verify; v.Corrupt == 0 || v.Lost+v.Resurrected+v.Stale > 0 {
		t.Errorf("some are there twice: %+v", v)
	}
}

// A counter has at least what was acknowledged, and at most what may have been done besides.
func TestJudgeCounter(t *testing.T) {
	for _, test := range []struct {
		exists bool
		value  string
		want   Fault
	}{
		{true, "4", Stale}, {true, "5", ""}, {true, "7", ""}, {true, "8", Corrupt},
		{true, "-5", Corrupt}, {true, "", Corrupt}, {false, "", Lost},
	} {
		if got := judgeCounter(5, 2, test.exists, []byte(test.value)); got != test.want {
			t.Errorf("%v, %q: %q, want %q", test.exists, test.value, got, test.want)
		}
	}
}

// A counter counts from 0, whatever was stored under its key before. Where it cannot be set to
// that, nothing can be verified.
func TestCountersBeginAtZero(t *testing.T) {
	linuxOnly(t)
	s, addrs := newFakeRESP(t, 1)
	c := respConfig(addrs, Incr)
	c.Verify = true
	s.set(func() {
		for i := range c.Keys {
			s.values[key16(i)] = "a value"
		}
	})
	if v := mustRun(t, c).Verify; !v.OK() || v.Acknowledged == 0 {
		t.Errorf("%+v", v)
	}
	s.set(func() { s.onWrite = func(_ int, name, _ string) (bool, string) { return name != "SET", "-OOM\r\n" } })
	if r, err := Run(t.Context(), c); err == nil {
		t.Errorf("it was verified: %+v", r.Verify)
	}
	s.set(func() {
		s.onWrite = func(n int, name, key string) (bool, string) {
			if name == "SET" && key == key16(7) {
				return false, "-OOM\r\n"
			}
			return true, ""
		}
	})
	if r, err := Run(t.Context(), c); err == nil {
		t.Errorf("it was verified without one of its keys: %+v", r.Verify)
	}
}

func key16(n int) string { return string(zeros(16-len(strconv.Itoa(n)))) + strconv.Itoa(n) }
