package main

import (
	"fmt"
	"testing"
)

// What is shared out of a limit. The rows are those of docs/operations.md, and some beyond.
func TestMemoryIsSharedOut(t *testing.T) {
	const mib, value = 1 << 20, 8 << 20
	plain := func(limit int64) memoryAsked {
		return memoryAsked{limit: limit * mib, store: storeDefault, value: value}
	}
	for _, row := range []struct {
		name  string
		asked memoryAsked
		want  string // store, requests, answers, queues in MiB; connections; Go's heap and the sum in MiB
	}{
		{"256 MiB", plain(256), "126 12 24 12; 128; 98 256"},
		{"512 MiB", plain(512), "358 12 24 12; 140; 103 511"},
		{"1 GiB", plain(1 << 10), "716 35 47 35; 427; 223 1023"},
		{"4 GiB", plain(4 << 10), "2867 170 182 170; 2150; 941 4095"},
		{"16 GiB", plain(16 << 10), "11468 256 256 708; 8192; 3813 14981"},
		{"with a disk", memoryAsked{limit: 256 * mib, store: storeDefault, value: value, disk: true}, "104 12 24 12; 128; 122 256"},
		{"with Redis", memoryAsked{limit: 256 * mib, store: storeDefault, value: value, resp: true}, "74 12 24 12; 128; 153 256"},
		{"a store of one's own", memoryAsked{limit: 256 * mib, store: 64 * mib, value: value}, "64 24 36 24; 286; 164 255"},
		{"budgets of one's own", memoryAsked{limit: 256 * mib, store: storeDefault, requests: 8 * mib, answers: 32 * mib, value: value}, "121 8 32 12; 128; 104 256"},
		{"a store that does not fit", memoryAsked{limit: 256 * mib, store: 250 * mib, value: value}, "250 12 24 12; 128; 98 385"},
		{"a store without a bound", memoryAsked{limit: 256 * mib, value: value}, "0 12 24 12; 128; 98 256"},
		{"small values", memoryAsked{limit: 256 * mib, store: storeDefault, value: 1 * mib}, "179 3 4 3; 153; 43 255"},
		{"far too little", plain(32), "4 12 24 12; 128; 32 119"},
	} {
		p := planMemory(row.asked)
		got := fmt.Sprintf("%d %d %d %d; %d; %d %d", p.store/mib, p.requests/mib, p.answers/mib, p.queues/mib, p.conns, p.heap/mib, p.all/mib)
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

// A plan comes to no more than the limit, unless what was asked for does, or the limit is too small
// for anything. Then it says how large a store may be, and a plan with that one fits.
func TestPlansFit(t *testing.T) {
	const mib = 1 << 20
	// 64 bytes are what is rounded.
	for limit := int64(256 * mib); limit < 1<<42; limit += limit / 7 {
		for _, value := range []int64{64 << 10, 1 * mib, 4 * mib} {
			for _, with := range []struct{ resp, disk bool }{{}, {resp: true}, {disk: true}, {true, true}} {
				asked := memoryAsked{limit: limit, store: storeDefault, value: value, resp: with.resp, disk: with.disk}
				p := planMemory(asked)
				if p.all > limit+64 || p.store <= 0 || p.store > limit/100*planStorePercent {
					t.Fatalf("%+v: %+v", asked, p)
				}
				asked.store = limit
				if p = planMemory(asked); p.all <= limit || p.storeFits <= 0 {
					t.Fatalf("%+v: %+v, which cannot be", asked, p)
				}
				asked.store = p.storeFits
				if p = planMemory(asked); p.all > limit+64 {
					t.Fatalf("%+v: %+v, which does not fit", asked, p)
				}
				if p.requests < value || p.answers < value || p.messages < value {
					t.Fatalf("%+v: %+v has no room for a value", asked, p)
				}
			}
		}
	}
}

// --max-memory is a size, or a share of the limit, or else of the machine. Without it a node under
// a limit has a bound, and another has none.
func TestMaxMemoryMayBeAShare(t *testing.T) {
	const gib = 1 << 30
	machine, container := room{total: 64 * gib}, room{limit: 4 * gib, total: 64 * gib}
	for _, row := range []struct {
		args []string
		in   room
		want int64
	}{
		{nil, machine, 0},
		{nil, room{}, 0},
		{nil, container, 4 * gib / 100 * planStorePercent},
		{[]string{"--max-memory=50%"}, machine, 32 * gib},
		{[]string{"--max-memory=50%"}, container, 2 * gib},
		{[]string{"--max-memory", " 12.5 % "}, container, gib / 2},
		{[]string{"--max-memory=3GiB"}, container, 3 * gib},
		{[]string{"--max-memory=0"}, container, 0},
	} {
		cfg, plan := parseServerIn(t, row.in, row.args...)
		if cfg.MaxMemory != row.want || (plan != nil) != (row.in.limit > 0) {
			t.Errorf("%v in %+v: %d, want %d; the plan is %+v", row.args, row.in, cfg.MaxMemory, row.want, plan)
		}
	}
}
