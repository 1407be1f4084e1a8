package topology

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/wire"
)

// testSurvey is how three nodes stand with so many replicas: all is well, each holds a key of each
// partition that it owns, and all that was queued is delivered.
func testSurvey(t *testing.T, replicas int, stop ...string) *survey {
	t.Helper()
	names := []string{"a", "b", "c"}
	var nodes []ring.Node
	for _, name := range names {
		nodes = append(nodes, ring.Node{Name: name, Weight: 1})
	}
	table, err := ring.New(nodes, ring.Settings{Partitions: testPartitions, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	s := &survey{
		stop: stop, self: "a", standings: make(map[string]*wire.Standing), silent: make(map[string]error), down: make(map[string]bool), cutOff: make(map[string]error),
		view: placement.NewView(1, 1, []*ring.Table{table}, "a", func(name string) *peer.Peer {
			return peer.New(&peer.Options{Name: name, Clock: kv.NewClock(1, time.Now), Log: slog.New(slog.DiscardHandler)})
		}),
	}
	for _, name := range names {
		said := &wire.Standing{Boot: 1, Parts: make([]wire.Part, testPartitions)}
		for part := range said.Parts {
			if s.owns(name, part) {
				said.Parts[part] = wire.Part{Whole: true, Held: true, Keys: 1}
			}
		}
		for _, other := range names {
			if other != name {
				said.Ways = append(said.Ways, wire.Way{Name: other, Counts: true, Queued: 5, Finished: 5})
			}
		}
		s.standings[name] = said
	}
	return s
}

func (s *survey) owns(name string, part int) bool {
	return slices.ContainsFunc(s.view.Owners(part), func(n uint16) bool { return s.view.Names[n] == name })
}

// owned counts the partitions that all these nodes own.
func (s *survey) owned(names ...string) (n int) {
	for part := range testPartitions {
		if !slices.ContainsFunc(names, func(name string) bool { return !s.owns(name, part) }) {
			n++
		}
	}
	return n
}

// A stop loses a partition if nobody else who is up has all of it. Who is not in sync, down or
// stopping does not count. Nor does who says nothing, or is not counted on by a member, or has not
// been sent what those that stop had queued for it. What nobody who stops holds is not lost.
func TestLossIsOfLastCopies(t *testing.T) {
	way := func(s *survey, from, to string) *wire.Way { return s.standings[from].WayTo(to) }
	for name, test := range map[string]struct {
		replicas int
		stop     []string
		change   func(s *survey)
		lost     []string // what all these own
		why      string   // of a wait
		underWay bool
	}{
		"all is well":                      {2, []string{"a"}, nil, nil, "", false},
		"two of three":                     {2, []string{"a", "b"}, nil, []string{"a", "b"}, "", false},
		"two of three, of three replicas":  {3, []string{"a", "b"}, nil, nil, "", false},
		"all":                              {3, []string{"a", "b", "c"}, nil, []string{"a"}, "", false},
		"one replica":                      {1, []string{"a"}, nil, []string{"a"}, "", false},
		"they hold nothing":                {1, []string{"a"}, func(s *survey) { s.standings["a"].Parts = make([]wire.Part, testPartitions) }, nil, "", false},
		"only tombstones":                  {1, []string{"a"}, func(s *survey) { s.tombstones("a") }, []string{"a"}, "", false},
		"the other is not in sync":         {2, []string{"a"}, func(s *survey) { s.notInSync("b") }, []string{"a", "b"}, "b: it is not in sync", false},
		"the other is down":                {2, []string{"a"}, func(s *survey) { s.lose("b", true) }, []string{"a", "b"}, "b: it is down", false},
		"the other says nothing":           {2, []string{"a"}, func(s *survey) { s.lose("b", false) }, []string{"a"}, "b: it does not say how it stands", false},
		"the other is stopping":            {2, []string{"a"}, func(s *survey) { s.standings["b"].Stopping = true }, []string{"a", "b"}, "b: it is stopping", false},
		"the other is not counted on":      {2, []string{"a"}, func(s *survey) { way(s, "c", "b").Counts = false }, []string{"a", "b"}, "b: c does not count on it yet", false},
		"nor by the one to be stopped":     {2, []string{"a"}, func(s *survey) { way(s, "a", "b").Counts = false }, []string{"a", "b"}, "b: a does not count on it yet", false},
		"the other is not known":           {2, []string{"a"}, func(s *survey) { s.standings["c"].Ways = nil }, []string{"a", "b"}, "b: c does not count on it yet", false},
		"something is on its way":          {2, []string{"a"}, func(s *survey) { way(s, "a", "b").Finished = 4 }, []string{"a", "b"}, "b: what a has written is on its way to it", true},
		"to one that is to stop":           {2, []string{"a"}, func(s *survey) { way(s, "b", "a").Finished = 4 }, nil, "", false},
		"from one that stays":              {2, []string{"a"}, func(s *survey) { way(s, "c", "b").Finished = 4 }, []string{"a", "b"}, "b: what c has written is on its way to it", true},
		"it was started again meanwhile":   {2, []string{"a"}, func(s *survey) { s.standings["a"].Boot = 2 }, []string{"a"}, "b: what a has written is on its way to it", true},
		"the one to be stopped is down":    {2, []string{"a"}, func(s *survey) { s.lose("a", true) }, nil, "", false},
		"it may be cut off":                {2, []string{"a"}, func(s *survey) { s.lose("a", true); s.cutOff["a"] = memnet.ErrReset }, []string{"a"}, "b: a is down", false},
		"another may be":                   {2, []string{"a"}, func(s *survey) { s.lose("c", true); s.cutOff["c"] = memnet.ErrReset }, []string{"a", "c"}, "c: it is down", false},
		"and the other is not in sync":     {2, []string{"a"}, func(s *survey) { s.lose("a", true); s.notInSync("b") }, []string{"a", "b"}, "b: it is not in sync", false},
		"what is not owned is held by one": {2, []string{"a"}, func(s *survey) { s.hoard("a"); s.notInSync("b"); s.notInSync("c") }, []string{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			before := testSurvey(t, test.replicas, test.stop...)
			s := testSurvey(t, test.replicas, test.stop...)
			if test.change != nil {
				test.change(s)
			}
			loss, want := s.judge(before.standings), 0
			if test.lost != nil {
				want = s.owned(test.lost...)
			}
			for _, name := range test.stop {
				if slices.Contains(loss.Mute, name) == (s.standings[name] != nil) {
					t.Errorf("%q do not say what they hold", loss.Mute)
				}
			}
			if len(loss.Last) != want || loss.underWay != test.underWay {
				t.Errorf("%d partitions are lost, want %d; under way: %v", len(loss.Last), want, loss.underWay)
			}
			var waits []string
			for _, w := range loss.Waits {
				waits = append(waits, fmt.Sprintf("%s: %s", w.Node, w.Why))
			}
			if test.why != "" && !slices.ContainsFunc(waits, func(w string) bool { return strings.HasPrefix(w, test.why) }) {
				t.Errorf("waits for %q, want %q", waits, test.why)
			}
		})
	}
}

func (s *survey) notInSync(name string) {
	for part := range s.standings[name].Parts {
		s.standings[name].Parts[part].Whole = false
	}
}

func (s *survey) tombstones(name string) {
	for part := range s.standings[name].Parts {
		s.standings[name].Parts[part].Keys = 0
	}
}

// hoard has a node hold something of each partition.
func (s *survey) hoard(name string) {
	for part := range s.standings[name].Parts {
		s.standings[name].Parts[part].Held = true
	}
}

func (s *survey) lose(name string, down bool) {
	delete(s.standings, name)
	if s.down[name] = down; !down {
		s.silent[name] = memnet.ErrReset
	}
}

// A quorum is lost where so many owners are up that they are one, and would not be any more.
func TestLossOfQuorums(t *testing.T) {
	for name, test := range map[string]struct {
		replicas int
		stop     []string
		change   func(s *survey)
		lost     []string
	}{
		"one of three replicas":                  {3, []string{"a"}, nil, nil},
		"two of them":                            {3, []string{"a", "b"}, nil, []string{"a"}},
		"one, where another is down":             {3, []string{"a"}, func(s *survey) { s.lose("c", true) }, []string{"a"}},
		"one, where another says nothing":        {3, []string{"a"}, func(s *survey) { s.lose("c", false) }, nil},
		"one, where there is none":               {3, []string{"a"}, func(s *survey) { s.lose("b", true); s.lose("c", true) }, nil},
		"one of two":                             {2, []string{"a"}, nil, []string{"a"}},
		"one of two, where its partners are not": {2, []string{"a"}, func(s *survey) { s.lose("b", true); s.lose("c", true) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, want := testSurvey(t, test.replicas, test.stop...), 0
			if test.change != nil {
				test.change(s)
			}
			if test.lost != nil {
				want = s.owned(test.lost...)
			}
			if got := len(s.judge(nil).Quorum); got != want {
				t.Errorf("%d, want %d", got, want)
			}
		})
	}
}

// holdOne has each node that is started from now on hold a key of each partition.
func (c *cluster) holdOne() {
	c.adjust = func(o *Options) { o.Holding = func(int) (int, bool) { return 1, true } }
}

// A node asks all others whether a stop is safe, and those that are down do not count. What it
// cannot find out is not safe.
func TestWouldLose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClusterOf(t, 3, (*cluster).holdOne)
		name := func(i int) string { return c.table.Nodes()[i].Name }
		lose := func(asked int, stop ...string) Loss {
			return c.nodes[asked].WouldLose(stop, time.Now().Add(time.Second))
		}
		for i := range c.nodes {
			if loss := lose(0, name(i)); loss.Unsure != nil || len(loss.Last) > 0 {
				t.Errorf("%s cannot be stopped: %+v", name(i), loss)
			}
		}
		if loss := lose(2, name(0), name(1)); len(loss.Last) == 0 || loss.Keys != len(loss.Last) {
			t.Errorf("two can be stopped: %+v", loss)
		}
		c.net.Between(name(0), name(1), memnet.FailWith(memnet.ErrReset))
		if loss := lose(0, name(2)); len(loss.Last) == 0 {
			t.Error("a node can be stopped though another does not say how it stands")
		}
		c.net.Clear()
		c.kill(1)
		poll.True(t, "the others see it down", func() bool { return c.nodes[0].node(c, 1).down() && c.nodes[2].node(c, 1).down() })
		if loss := lose(0, name(2)); loss.Unsure != nil || len(loss.Last) == 0 {
			t.Errorf("a node can be stopped though another is down: %+v", loss)
		}
		c.nodes[0].Overtaken("a test")
		if loss := lose(0, name(1)); loss.Unsure == nil {
			t.Error("a node that is not in sync knows")
		}
	})
}

// It is safe once what the node to be stopped had queued has arrived, and not before. That takes
// two questions.
func TestWouldLoseAsksTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClusterOf(t, 3, (*cluster).holdOne)
		stop, other := c.nodes[0], c.nodes[0].node(c, 1).peer
		held := memnet.NewGate(t)
		c.net.Between(stop.name, other.Name(), memnet.OnBatches(func(msg []byte, _ func() ([]byte, error)) ([]byte, error) {
			return held.Hold(msg, func() ([]byte, error) {
				return wire.AppendResult(wire.OpenBatch(nil), &wire.Result{Code: wire.Stored}), nil
			})
		}))
		record := kv.Record{Key: []byte("k"), Entry: kv.Entry{Version: 1 << 30}}
		if !other.Apply([]peer.Write{{Record: &record}}, false, false) {
			t.Fatal("nothing is queued")
		}
		ask := func() Loss { return c.nodes[2].WouldLose([]string{stop.name}, time.Now().Add(300*time.Millisecond)) }
		if loss := ask(); loss.Unsure != nil || len(loss.Last) == 0 || len(loss.Waits) == 0 {
			t.Errorf("while a batch is on its way: %+v", loss)
		}
		held.Open()
		if loss := ask(); loss.Unsure != nil || len(loss.Last) > 0 {
			t.Errorf("when it has arrived: %+v", loss)
		}
	})
}

// Each key with too few copies in sync is counted by one node, and none while all are in sync.
func TestUnderReplicatedKeysAreCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClusterOf(t, 3, (*cluster).holdOne)
		sum := func() (sum int64) {
			for _, n := range c.nodes {
				if n != nil {
					sum += n.UnderReplicated()
				}
			}
			return sum
		}
		if got := sum(); got != 0 {
			t.Errorf("%d while all are in sync", got)
		}
		c.kill(1)
		poll.True(t, "the others see it down", func() bool { return c.nodes[0].node(c, 1).down() && c.nodes[2].node(c, 1).down() })
		want := int64(0)
		for part := range testPartitions {
			if slices.Contains(c.table.Owners(part), 1) {
				want++
			}
		}
		if got := sum(); got != want || want == 0 {
			t.Errorf("%d while one is down, want %d", got, want)
		}
	})
}

// The keys of a partition are counted by its first owner that is up and in sync, else by its first
// that is up.
func TestWhoCountsKeys(t *testing.T) {
	s := testSurvey(t, 3)
	owners := s.view.Readers(0)
	up, synced := stands{up: true}, stands{up: true, inSync: true}
	for at, want := range map[[3]stands]int{
		{synced, synced, synced}: -1,
		{synced, {}, synced}:     0,
		{up, synced, {}}:         1,
		{{}, up, up}:             1,
		{up, up, synced}:         2,
		{{}, {}, {}}:             -1,
	} {
		of := make([]stands, len(s.view.Names))
		for i, n := range owners {
			of[n] = at[i]
		}
		for i, n := range owners {
			if countsKeys(owners, int(n), of) != (i == want) {
				t.Errorf("%v: owner %d, want %d", at, i, want)
			}
		}
	}
}
