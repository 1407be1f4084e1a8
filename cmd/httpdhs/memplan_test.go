package main

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
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

// The table of docs/sizing.md is what its formulas come to. A container with the limit that it
// gives leaves the store what the row needs, and hardly more, with a disk and the Redis protocol
// too.
func TestSizingTableIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../docs/sizing.md")
	if err != nil {
		t.Fatal(err)
	}
	size := func(s string) float64 {
		var b byteSize
		if err := b.UnmarshalText([]byte(strings.Replace(s, " ", "", 1))); err != nil {
			t.Fatal(err)
		}
		return float64(b)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) M \| (\d+ k?B), (\d+ k?B) \| (\d) \| (\d) \| (\S+ .iB) \| (\S+ .iB) \| (\S+ .iB) \|$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) < 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		var keys, copies, nodes float64
		if _, err := fmt.Sscan(row[1]+" "+row[4]+" "+row[5], &keys, &copies, &nodes); err != nil {
			t.Fatal(err)
		}
		held := keys * 1e6 * (size(row[2]) + size(row[3]) + 32) * copies / (nodes - 1) * 1.05
		for i, want := range []float64{held / 0.9, held*2.5 + 256<<20} {
			if got := size(row[6+2*i]); math.Abs(got-want) > want/20 {
				t.Errorf("%s: %s, want %.0f MiB", row[0], row[6+2*i], want/(1<<20))
			}
		}
		need, limit := held/0.9, int64(size(row[7]))
		for _, resp := range []bool{false, true} {
			for _, disk := range []bool{false, true} {
				p := planMemory(memoryAsked{limit: limit, store: storeDefault, value: 8 << 20, resp: resp, disk: disk})
				if float64(p.store) < need || limit > 512<<20 && float64(p.store) > need*1.05 {
					t.Errorf("%s: a limit of %s leaves the store %d MiB", row[0], row[7], p.store>>20)
				}
			}
		}
	}
}
