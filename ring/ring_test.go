package ring

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cluster returns n nodes whose names depend on the seed. Weights are 1 to maxWeight, zones are
// dealt out in turns (0 zones: nodes state none).
func cluster(seed uint64, n, maxWeight, zones int) []Node {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{Name: fmt.Sprintf("10.%d.%d.%d:1234", seed, i>>8, i&255), Weight: 1 + random.IntN(maxWeight)}
		if zones > 0 {
			nodes[i].Zone = fmt.Sprintf("zone-%d", i%zones)
		}
	}
	return nodes
}

func table(t testing.TB, nodes []Node, s Settings) *Table {
	t.Helper()
	table, err := New(nodes, s)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// What New cannot make a table of, it refuses with an error of the right kind that names the fault.
func TestBadInput(t *testing.T) {
	good := Settings{Partitions: 8, Replicas: 2}
	one := []Node{{Name: "a:1", Weight: 1}}
	many := cluster(1, MaxNodes+1, 1, 0)
	for _, c := range []struct {
		name  string
		nodes []Node
		s     Settings
		kind  error
		says  string
	}{
		{"no nodes", nil, good, ErrNodes, "at least one"},
		{"too many nodes", many, good, ErrNodes, "65536"},
		{"no name", []Node{{Weight: 1}}, good, ErrNodes, "no name"},
		{"a name twice", []Node{one[0], {Name: "b:1", Weight: 1}, one[0]}, good, ErrNodes, `"a:1" is there twice`},
		{"weight 0", []Node{{Name: "a:1"}}, good, ErrNodes, `weight of "a:1" is 0`},
		{"weight -1", []Node{{Name: "a:1", Weight: -1}}, good, ErrNodes, "use 1 to 100"},
		{"weight 101", []Node{{Name: "a:1", Weight: 101}}, good, ErrNodes, "use 1 to 100"},
		{"partitions 0", one, Settings{Replicas: 1}, ErrSettings, "power of two"},
		{"partitions -8", one, Settings{Partitions: -8, Replicas: 1}, ErrSettings, "power of two"},
		{"partitions 1000", one, Settings{Partitions: 1000, Replicas: 1}, ErrSettings, "power of two"},
		{"partitions 131072", one, Settings{Partitions: 1 << 17, Replicas: 1}, ErrSettings, "1 to 65536"},
		{"replicas 0", one, Settings{Partitions: 8}, ErrSettings, "replicas is 0"},
		{"replicas 256", one, Settings{Partitions: 8, Replicas: 256}, ErrSettings, "1 to 255"},
		{"partitioner", one, Settings{8, 1, "chord"}, ErrSettings, `"chord": use one of ring, rendezvous, modulus`},
	} {
		_, err := New(c.nodes, c.s)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.says)
		}
	}
}

// A partition is the high bits of the hash, and with one partition it is always 0.
func TestPartition(t *testing.T) {
	nodes := cluster(1, 2, 1, 0)
	for _, c := range []struct {
		partitions int
		hash       uint64
		want       int
	}{
		{1, 0, 0}, {1, 1<<64 - 1, 0}, {2, 1<<63 - 1, 0}, {2, 1 << 63, 1},
		{1024, 1<<54 - 1, 0}, {1024, 5 << 54, 5}, {1024, 1<<64 - 1, 1023}, {MaxPartitions, 1<<64 - 1, MaxPartitions - 1},
	} {
		if got := table(t, nodes, Settings{c.partitions, 1, ""}).Partition(c.hash); got != c.want {
			t.Errorf("of %d partitions, hash %x: got %d, want %d", c.partitions, c.hash, got, c.want)
		}
	}
}

// What a table says of itself: nodes by name, their indices, settings with the default filled in;
// and neither the nodes that went in nor those that come out are the table's own.
func TestAccessors(t *testing.T) {
	in := []Node{{"b:1", 2, "z"}, {"a:1", 1, ""}}
	tab := table(t, in, Settings{Partitions: 16, Replicas: 3})
	in[0].Name = "changed"
	tab.Nodes()[0].Name = "changed"
	if want := []Node{{"a:1", 1, ""}, {"b:1", 2, "z"}}; !slices.Equal(tab.Nodes(), want) {
		t.Errorf("nodes: got %v, want %v", tab.Nodes(), want)
	}
	if i, ok := tab.Index("b:1"); i != 1 || !ok {
		t.Errorf("index of b:1: got %d, %v", i, ok)
	}
	if _, ok := tab.Index("aa:1"); ok {
		t.Error("a node that is not there has an index")
	}
	if want := (Settings{16, 3, "ring"}); tab.Settings() != want || tab.Partitions() != 16 || tab.Replicas() != 2 {
		t.Errorf("got %v, %d partitions, %d replicas", tab.Settings(), tab.Partitions(), tab.Replicas())
	}
	if cap(tab.Owners(3)) != 2 {
		t.Error("an append to a partition's owners would write into the next one's")
	}
}

// The hot path does not allocate.
func TestHotPathAllocations(t *testing.T) {
	tab := table(t, cluster(1, 5, 1, 0), Settings{1024, 3, ""})
	sum := 0
	if n := testing.AllocsPerRun(100, func() { sum += int(tab.Owners(tab.Partition(1 << 60))[0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The fingerprint is the same on every release and machine (a golden value), and in any order of
// nodes. It is another one when any field of a node or of the settings is.
func TestFingerprint(t *testing.T) {
	nodes := []Node{{"a:1", 1, "x"}, {"b:1", 2, ""}, {"c:1", 1, "y"}}
	s := Settings{64, 2, "ring"}
	base := table(t, nodes, s).Fingerprint()
	if want := uint64(0x7a7bd166ff2caca2); base != want {
		t.Errorf("got %#x, want %#x", base, want)
	}
	same := []Node{nodes[2], nodes[0], nodes[1]}
	if got := table(t, same, Settings{64, 2, ""}).Fingerprint(); got != base {
		t.Error("it depends on the order of nodes, or on whether the default is spelled out")
	}
	seen := map[uint64]string{base: "base"}
	differs := func(what string, change func(nodes []Node, s *Settings) []Node) {
		t.Helper()
		s := s
		got := table(t, change(slices.Clone(nodes), &s), s).Fingerprint()
		if other, ok := seen[got]; ok {
			t.Errorf("%s: the same fingerprint as %s", what, other)
		}
		seen[got] = what
	}
	differs("name", func(n []Node, _ *Settings) []Node { n[0].Name = "a:2"; return n })
	differs("weight", func(n []Node, _ *Settings) []Node { n[0].Weight = 2; return n })
	differs("zone", func(n []Node, _ *Settings) []Node { n[0].Zone = "y"; return n })
	differs("a node less", func(n []Node, _ *Settings) []Node { return n[:2] })
	differs("partitions", func(n []Node, s *Settings) []Node { s.Partitions = 128; return n })
	differs("replicas", func(n []Node, s *Settings) []Node { s.Replicas = 3; return n })
	differs("rendezvous", func(n []Node, s *Settings) []Node { s.Partitioner = "rendezvous"; return n })
	differs("modulus", func(n []Node, s *Settings) []Node { s.Partitioner = "modulus"; return n })
}

// Owners are the same on every release and machine that gives the same fingerprint: a digest of
// whole tables, golden. When it has to change, fingerprintFormat has to change with it.
func TestGoldenOwners(t *testing.T) {
	want := []uint64{0x13dacccc13c1587f, 0x820557d348cb50d4, 0x62682065b72f8d9d} // in the order of Names
	for i, name := range Names() {
		var digest uint64
		for _, zones := range []int{0, 4} {
			tab := table(t, cluster(3, 25, 5, zones), Settings{1024, 3, name})
			for p := range tab.Partitions() {
				for _, o := range tab.Owners(p) {
					digest = mix(digest + uint64(o) + 1)
				}
			}
		}
		if digest != want[i] {
			t.Errorf("%s: got %#x, want %#x", name, digest, want[i])
		}
	}
}

func BenchmarkTable(b *testing.B) {
	for _, name := range Names() {
		for _, maxWeight := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/weights=%d", name, maxWeight), func(b *testing.B) {
				nodes := cluster(1, 1000, maxWeight, 0)
				b.ReportAllocs()
				for b.Loop() {
					table(b, nodes, Settings{1 << 14, 3, name})
				}
			})
		}
	}
}

func BenchmarkOwners(b *testing.B) {
	tab := table(b, cluster(1, 10, 1, 0), Settings{1024, 3, ""})
	sum, hash := 0, uint64(1)
	for b.Loop() {
		hash *= golden
		sum += int(tab.Owners(tab.Partition(hash))[0])
	}
	_ = sum
}
