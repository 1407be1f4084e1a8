package resp

import (
	"maps"
	"slices"
	"testing"
)

// StartFake serves a store in a map until the test ends, for tests outside of the package.
func StartFake(t testing.TB, o Options) (addr string) {
	_, _, addr = start(t, o)
	return addr
}

// PlayLocks runs scripts of locks at a server, and expects their answers.
func PlayLocks(t *testing.T, addr string) { playLocks(t, dial(t, addr)) }

// CommandNames are the commands that COMMAND tells of.
func CommandNames() (names []string) { return slices.Sorted(maps.Keys(readAbout())) }

// UntoldCommands are those that it does not tell of.
func UntoldCommands() (names []string) {
	t := newTable()
	for i := range t.all {
		for _, cmd := range append(t.all[i].sub, t.all[i]) {
			if t.about[cmd.name] == nil {
				names = append(names, cmd.name)
			}
		}
	}
	return names
}
