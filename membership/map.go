package membership

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"httpdhs/wire"

	"github.com/zeebo/xxh3"
)

// Map is the replicated map of the members, a state-based CRDT (Shapiro et al., "Conflict-free
// Replicated Data Types", 2011). Of two entries of one name the higher version wins. Versions are
// equal when a node is restarted, or when two nodes remove the same third. Then Removed wins over
// Leaving and that over Active, and then the larger encoding. So merging is commutative,
// associative and idempotent, within the bounds.
//
// A version that is raised is one above the highest of the whole map: versions are a Lamport clock
// of all changes. Of two removed members the one with the lower version was removed first, as far
// as anybody could know.
//
// At the bounds the map keeps the wire.MaxRemoved removed entries with the highest (version, name),
// and of the others the wire.MaxMembers with the lowest names. A node admits no more, so only joins
// at the same moment get there. Two nodes still come to agree: nobody drops a removed entry that is
// among the highest of all nodes. It gets everywhere, and then nobody keeps a lower one. For any
// other name the highest entry that is not removed is left, and nobody opposes that.
//
// Forgetting has a price. A node that was away for 1024 other removals brings back a member that
// was removed before them, as one that is down. It has to be removed again.
//
// The zero Map is empty. It is not safe for concurrent use.
type Map struct {
	entries map[string]wire.Member
	bounds  bounds
}

// bounds of a map; zero is the default. Tests lower them.
type bounds struct{ members, removed int }

// supersedes says whether a wins over b. Both have the same name.
func supersedes(a, b wire.Member) bool {
	return bytes.Compare(a.AppendTo(nil), b.AppendTo(nil)) > 0
}

// Merge takes in entries, which are valid, and says whether the map is another than before.
func (m *Map) Merge(in []wire.Member) (changed bool) {
	if m.entries == nil {
		m.entries = make(map[string]wire.Member)
	}
	before := make(map[string]wire.Member) // names that were touched; absent ones have no name
	for _, entry := range in {
		old, ok := m.entries[entry.Name]
		if ok && !supersedes(entry, old) {
			continue
		}
		if _, touched := before[entry.Name]; !touched {
			before[entry.Name] = old
		}
		m.entries[entry.Name] = entry
	}
	if len(before) == 0 {
		return false
	}
	dropped := m.trim()
	for name := range dropped {
		if old, touched := before[name]; !touched || old.Name != "" {
			return true
		}
	}
	return len(before) > len(dropped)
}

// trim keeps the bounds, and returns the names that it dropped.
func (m *Map) trim() map[string]struct{} {
	limit := m.bounds
	if limit == (bounds{}) {
		limit = bounds{members: wire.MaxMembers, removed: wire.MaxRemoved}
	}
	if len(m.entries) <= min(limit.members, limit.removed) {
		return nil
	}
	var members, removed []wire.Member
	for _, entry := range m.entries {
		if entry.State == wire.Removed {
			removed = append(removed, entry)
		} else {
			members = append(members, entry)
		}
	}
	slices.SortFunc(members, byName)
	slices.SortFunc(removed, func(a, b wire.Member) int {
		return cmp.Or(cmp.Compare(b.Version, a.Version), strings.Compare(b.Name, a.Name))
	})
	dropped := make(map[string]struct{})
	for _, surplus := range [][]wire.Member{members[min(limit.members, len(members)):], removed[min(limit.removed, len(removed)):]} {
		for _, entry := range surplus {
			delete(m.entries, entry.Name)
			dropped[entry.Name] = struct{}{}
		}
	}
	return dropped
}

func byName(a, b wire.Member) int { return strings.Compare(a.Name, b.Name) }

// Get returns the entry of a name, removed or not.
func (m *Map) Get(name string) (wire.Member, bool) {
	entry, ok := m.entries[name]
	return entry, ok
}

// All returns all entries by name, those of removed members included.
func (m *Map) All() []wire.Member {
	all := make([]wire.Member, 0, len(m.entries))
	for _, entry := range m.entries {
		all = append(all, entry)
	}
	slices.SortFunc(all, byName)
	return all
}

// full says whether there is no place for another member.
func (m *Map) full() bool {
	members := 0
	for _, entry := range m.entries {
		if entry.State != wire.Removed {
			members++
		}
	}
	return members >= wire.MaxMembers
}

// Digest is equal for equal maps, however they came to be, and for others as good as never.
func (m *Map) Digest() uint64 { return digestOf(m.All()) }

// digestOf takes the entries by name.
func digestOf(all []wire.Member) uint64 {
	var encoded []byte
	for _, entry := range all {
		encoded = entry.AppendTo(encoded)
	}
	return xxh3.Hash(encoded)
}

// next is the version of the next change.
func (m *Map) next() uint64 {
	var highest uint64
	for _, entry := range m.entries {
		highest = max(highest, entry.Version)
	}
	return highest + 1
}
