package rebalance

import "testing"

// A disturbance is put into the schedule in which each node does what it can, round by round,
// before the at-th action of that. Either another action comes first, or the one that was due is
// stuck for two rounds. To go through all schedules with so many departures from a fair one reaches
// states at any depth (Emmi, Qadeer and Rakamarić, Delay-Bounded Scheduling, 2011). All schedules
// of so many actions would end long before a ring has changed.
type disturbance struct {
	at    int
	other action
	stuck bool
}

// disturbedRun goes through the schedule with the disturbances, in rising order. It returns how
// many actions were due, and those that might have come first at each position from `from` on.
func disturbedRun(cfg *config, first []action, ds []disturbance, from int) (due int, others [][]action, fault string) {
	m := newModel(cfg)
	if err := m.heal(); err != nil {
		return 0, nil, err.Error()
	}
	m.left = cfg.budget
	for _, a := range first {
		m.do(a)
	}
	var stuck action
	var until, round int
	may := func(a action) {
		if m.fault != "" || a.verb == givesUp || a.verb == stuck.verb && a.x == stuck.x && a.y == stuck.y && round < until || !m.can(a) {
			return
		}
		for len(ds) > 0 && ds[0].at == due {
			d := ds[0]
			ds = ds[1:]
			if d.stuck {
				stuck, until = a, round+2
				due++
				return
			}
			if m.can(d.other) {
				m.do(d.other)
				m.check()
			}
		}
		if due >= from {
			others = append(others, m.enabled(a))
		}
		due++
		if m.can(a) {
			m.do(a)
			m.check()
		}
	}
	for round = range 6 {
		may(action{verb: begins, x: round % 3, i: round % parts})
		m.round(may)
	}
	if m.fault != "" {
		return due, nil, m.fault
	}
	if err := m.heal(); err != nil {
		return due, nil, err.Error()
	}
	return due, others, ""
}

// enabled are all possible actions except one.
func (m *model) enabled(but action) (all []action) {
	for v := range weights {
		for x := range nodesMax {
			for y := range nodesMax {
				for i := range 1 << nodesMax {
					a := action{verb(v), x, y, i}
					if !a.verb.uses(y, i) || a == but || !m.can(a) {
						continue
					}
					all = append(all, a)
				}
			}
		}
	}
	return all
}

// uses leaves one of those actions that differ in nothing that they are about.
func (v verb) uses(y, i int) bool {
	switch v {
	case sends, greets, stores, storesAgain, settles, suspects, removes:
		return i == 0
	case delivers, repeats, loses:
		return i < wireMax
	case begins, drops:
		return y == 0 && i < parts
	case pulls, handsOver:
		return i < parts
	case acknowledges, givesUp:
		return y == 0 && i < 2
	case readies:
		return y == 0
	}
	return y == 0 && i == 0
}

// explore goes through all ways to disturb the schedule once more, up to k times, at every step-th
// position.
func explore(cfg *config, first []action, ds []disturbance, from, step, k int, found func([]disturbance, string)) (runs int) {
	due, others, fault := disturbedRun(cfg, first, ds, from)
	runs = 1
	if fault != "" {
		found(ds, fault)
		return runs
	}
	if k == 0 {
		return runs
	}
	for at := from; at < due && at-from < len(others); at += step {
		with := append(append([]disturbance(nil), ds...), disturbance{at: at, stuck: true})
		runs += explore(cfg, first, with, at+1, step, k-1, found)
		for _, a := range others[at-from] {
			with[len(with)-1] = disturbance{at: at, other: a}
			runs += explore(cfg, first, with, at, step, k-1, found)
		}
	}
	return runs
}

// Every schedule that departs once from a fair one, anywhere and in any way, holds all properties,
// while a node joins, leaves, or crashes. Without REBALANCE_DEPARTURES, the number of departures,
// one is tried at few positions: make model tries all.
func TestEveryDepartureFromAFairScheduleHoldsTheProperties(t *testing.T) {
	for _, c := range []struct {
		scenario string
		first    []action
	}{
		{"join", []action{{verb: restarts, x: 2}}},
		{"one replica", []action{{verb: restarts, x: 2}}},
		{"leave", []action{{verb: leaves, x: 0}}},
		{"crash", []action{{verb: crashes, x: 2}, {verb: restarts, x: 2}}},
		{"suspicion", []action{{verb: suspects, x: 0, y: 1}}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			t.Parallel()
			if raced {
				t.Skip("too slow with the race detector")
			}
			cfg := scenarios[c.scenario]
			cfg.budget.writes = 20
			departures, step := setting("REBALANCE_DEPARTURES", 0), 1
			if departures == 0 {
				departures, step = 1, 29
			}
			runs := explore(&cfg, c.first, nil, 0, step, departures, func(ds []disturbance, fault string) {
				t.Fatalf("%v: %s", ds, fault)
			})
			t.Logf("%d schedules", runs)
		})
	}
}
