package simnet

import (
	"math"
	"sync"
	"testing"
	"time"

	"httpdhs/dataplane"
	"httpdhs/kv"
)

// miscounting is a store that does not decide as it says.
type miscounting struct {
	dataplane.Store
	decide func(s dataplane.Store, hash uint64, d *kv.Decision) (kv.Applied, error)
}

func (m miscounting) Decide(hash uint64, d *kv.Decision) (kv.Applied, error) {
	return m.decide(m.Store, hash, d)
}

// counts has some clients add to counters, and no members come and go.
func counts(s *Shape) {
	s.Members, s.Crowds, s.Adders = nil, nil, 6
	s.Span, s.Pause = 2*time.Second, 10*time.Millisecond
}

// A primary that carries out a decision again whose answer was lost is found out.
func TestControlCountsTwice(t *testing.T) {
	finds(t, Rules{}, []string{"counter"}, func(s *Shape) {
		counts(s)
		s.Faults = []*Fault{{Kind: Lossy, For: s.Span, Share: 0.04}}
		everywhere(s, func(inner dataplane.Store) dataplane.Store {
			return miscounting{inner, func(s dataplane.Store, hash uint64, d *kv.Decision) (kv.Applied, error) {
				held, _, _, _ := s.GetWithin(math.MaxInt, nil, hash, d.Record.Key)
				a, err := s.Decide(hash, d)
				if held.Version != d.Version || err != nil {
					return a, err
				}
				d.Decide(&held, 0)
				twice := d.Record
				twice.Version = d.Version.Next()
				_, err = s.Apply(hash, &twice)
				return a, err
			}}
		})
	})
}

// So is one that says of some decisions that it has carried them out, and has not.
func TestControlLosesCounts(t *testing.T) {
	finds(t, Rules{}, []string{"counter"}, func(s *Shape) {
		counts(s)
		s.Faults = nil
		var mu sync.Mutex
		decided := 0
		everywhere(s, func(inner dataplane.Store) dataplane.Store {
			return miscounting{inner, func(s dataplane.Store, hash uint64, d *kv.Decision) (kv.Applied, error) {
				mu.Lock()
				defer mu.Unlock()
				if decided++; decided%10 > 0 {
					return s.Decide(hash, d)
				}
				held, _, _, _ := s.GetWithin(math.MaxInt, nil, hash, d.Record.Key)
				d.Decide(&held, time.Now().UnixMilli())
				return kv.Applied{Outcome: kv.Stored, Current: d.Version}, nil
			}}
		})
	})
}

// The checker excuses an addition where it may be lost, and no other. It knows what is told twice,
// out of order, or beside the get behind it.
func TestCheckOfCounters(t *testing.T) {
	at := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	add := func(begin int, sum int64, outcome Outcome) Op {
		return Op{Kind: kv.OpIncr, Key: "counter0", By: 1, Sum: sum, Begin: at(begin), End: at(begin + 1), Outcome: outcome, Version: kv.Version(begin)}
	}
	got := func(found string) Op {
		o := add(2, 2, OK)
		o.Get, o.Value = true, found
		return o
	}
	for name, c := range map[string]struct {
		ops   []Op
		value string
		lost  int // when node1 loses its memory; 0: never
		split int // when there is one
		fails bool
	}{
		"all there":                {ops: []Op{add(1, 1, OK), add(2, 2, OK)}, value: "2"},
		"unknown, and not done":    {ops: []Op{add(1, 1, OK), add(2, 0, Unknown)}, value: "1"},
		"unknown, and done":        {ops: []Op{add(1, 1, OK), add(2, 0, Unknown)}, value: "2"},
		"one is lost":              {ops: []Op{add(1, 1, OK), add(2, 2, OK)}, value: "1", fails: true},
		"one too many":             {ops: []Op{add(1, 1, OK), add(2, 0, Unknown)}, value: "3", fails: true},
		"one that failed is there": {ops: []Op{add(1, 1, OK), add(2, 0, Failed)}, value: "2", fails: true},
		"told twice":               {ops: []Op{add(1, 2, OK), add(2, 2, OK)}, value: "2", fails: true},
		"told out of order":        {ops: []Op{add(1, 2, OK), add(4, 1, OK)}, value: "2", fails: true},
		"lost in a split":          {ops: []Op{add(1, 1, OK), add(4, 1, OK)}, value: "1", split: 4},
		"lost after a split":       {ops: []Op{add(1, 1, OK), add(4, 1, OK)}, value: "1", split: 1, fails: false},
		"lost before a split":      {ops: []Op{add(1, 1, OK), add(2, 2, OK)}, value: "1", split: 8, fails: true},
		"lost with a memory":       {ops: []Op{add(1, 1, OK), add(2, 1, OK)}, value: "1", lost: 2},
		"lost before a memory":     {ops: []Op{add(1, 1, OK), add(2, 2, OK)}, value: "1", lost: 8, fails: true},
		"the get finds it":         {ops: []Op{add(1, 1, OK), got("2")}, value: "2"},
		"the get finds another":    {ops: []Op{add(1, 1, OK), got("3")}, value: "2", fails: true},
	} {
		h := &History{Replicas: 2, Owners: func(string) []string { return []string{"node0", "node1"} }, Ops: c.ops, Kept: true}
		var last kv.Version
		for i := range c.ops {
			if o := &c.ops[i]; o.Outcome != Failed {
				last = o.Version
				for _, node := range []string{"node0", "node1"} {
					h.Events = append(h.Events, Event{At: o.Begin, Kind: Stored, Node: node, Key: o.Key, Version: o.Version})
				}
			}
		}
		if c.lost > 0 {
			h.Events = append(h.Events, Event{At: at(c.lost), Kind: Lost, Node: "node1"})
		}
		if c.split > 0 {
			h.Splits = []Span{{at(c.split), at(c.split) + 1}}
		}
		for _, node := range []string{"node0", "node1"} {
			h.Held = append(h.Held, Held{Node: node, Key: "counter0", Version: last, Value: c.value})
		}
		found := false
		for _, v := range Check(h, Rules{}) {
			found = found || v.Property == "counter"
		}
		if found != c.fails {
			t.Errorf("%s: found %v", name, found)
		}
	}
}
