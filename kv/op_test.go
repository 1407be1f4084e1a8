package kv

import (
	"testing"
	"time"
)

// A level is a number of replicas, or a name for one.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		s           string
		read, write Level // 0: not one
	}{
		{"one", LevelOne, LevelOne},
		{"quorum", LevelQuorum, LevelQuorum},
		{"all", LevelAll, LevelAll},
		{"live", 0, LevelLive},
		{"1", 1, 1},
		{"2", 2, 2},
		{"127", 127, 127},
		{"128", 0, 0},
		{"0", 0, 0},
		{"-1", 0, 0},
		{"", 0, 0},
		{"One", 0, 0},
		{"1.0", 0, 0},
	} {
		if got, err := ParseReadLevel(c.s); got != c.read || (err == nil) != (c.read != 0) {
			t.Errorf("ParseReadLevel(%q) = %d, %v, want %d", c.s, got, err, c.read)
		}
		if got, err := ParseWriteLevel(c.s); got != c.write || (err == nil) != (c.write != 0) {
			t.Errorf("ParseWriteLevel(%q) = %d, %v, want %d", c.s, got, err, c.write)
		}
	}
}

// Two quorums of the same replicas always share one.
func TestRequired(t *testing.T) {
	for replicas, quorum := range []int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3} {
		if replicas == 0 {
			continue
		}
		for level, want := range map[Level]int{0: 1, LevelLive: 1, LevelOne: 1, LevelQuorum: quorum, LevelAll: replicas, 7: 7} {
			if got := level.Required(replicas); got != want {
				t.Errorf("Level(%d).Required(%d) = %d, want %d", level, replicas, got, want)
			}
		}
	}
}

// A condition looks at what a reader would see: what is deleted or expired
// has no version to match (RFC 9110, section 13.1).
func TestConditionHolds(t *testing.T) {
	for _, c := range []struct {
		cond                 Condition
		nothing, dead, value bool // held: nothing, version 5 but not live, version 5
	}{
		{Condition{Kind: Always}, true, true, true},
		{Condition{Kind: IfAbsent}, true, true, false},
		{Condition{Kind: IfPresent}, false, false, true},
		{Condition{Kind: IfVersion, Versions: []Version{4, 5}}, false, false, true},
		{Condition{Kind: IfVersion, Versions: []Version{4}}, false, false, false},
		{Condition{Kind: IfVersion, Versions: []Version{0}}, false, false, false},
		{Condition{Kind: IfVersion}, false, false, false},
		{Condition{Kind: IfNotVersion, Versions: []Version{4, 5}}, true, true, false},
		{Condition{Kind: IfNotVersion, Versions: []Version{4}}, true, true, true},
		{Condition{Kind: IfNotVersion}, true, true, true},
	} {
		for _, h := range []struct {
			version Version
			live    bool
			want    bool
		}{{0, false, c.nothing}, {5, false, c.dead}, {5, true, c.value}} {
			if got := c.cond.Holds(&Entry{Version: h.version}, h.live, 0); got != h.want {
				t.Errorf("%+v holds for version %d, live %v: %v", c.cond, h.version, h.live, got)
			}
		}
	}
}

// Whatever an operation does, it says how it is carried out, and each condition is decided. What is
// added to the kinds has to say so too: none is carried out as another by default.
func TestKindsAreTold(t *testing.T) {
	for _, c := range []struct {
		kind OpKind
		cond ConditionKind
		want Mode
	}{
		{OpGet, Always, ModeRead},
		{OpGet, IfVersion, ModeRead},
		{OpPut, Always, ModeMerge},
		{OpPut, IfAbsent, ModeDecide},
		{OpDelete, Always, ModeMerge},
		{OpDelete, IfVersion, ModeDecide},
	} {
		if op := (Op{Kind: c.kind, Cond: Condition{Kind: c.cond}}); op.Mode() != c.want {
			t.Errorf("operation %d with condition %d has mode %d, want %d", c.kind, c.cond, op.Mode(), c.want)
		}
	}
	for kind := range opKinds {
		(&Op{Kind: kind}).Mode()
	}
	for kind := range conditionKinds {
		(&Condition{Kind: kind}).Holds(&Entry{Version: 1}, true, 0)
	}
	panics := func(what string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s is taken for another", what)
			}
		}()
		f()
	}
	panics("an unknown operation", func() { (&Op{Kind: opKinds}).Mode() })
	panics("an unknown condition", func() { (&Condition{Kind: conditionKinds}).Holds(&Entry{Version: 1}, true, 0) })
}

// A call that is reset has nothing of its last use but the memory.
func TestCallReset(t *testing.T) {
	c := Call{Ops: []Op{{Kind: OpPut, Acks: 2}}, Write: LevelAll, Deadline: time.Now(), Buf: []byte("value")}
	c.Reset()
	if len(c.Ops) != 0 || len(c.Buf) != 0 || c.Write != 0 || !c.Deadline.IsZero() {
		t.Errorf("a reset call is %+v", c)
	}
	if cap(c.Ops) != 1 || cap(c.Buf) == 0 || c.Ops[:1][0].Kind != OpGet || c.Ops[:1][0].Acks != 0 {
		t.Errorf("a reset call has room for %d ops and %d bytes, the first %+v", cap(c.Ops), cap(c.Buf), c.Ops[:1])
	}
}
