package house

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of dependencies has the modules that go.mod requires, and says which packages use them.
// "tests" stands for those that tests alone use, and a folder for the packages below it.
func TestTableOfDependenciesIsTrue(t *testing.T) {
	users := map[string]map[string]bool{} // module to package or "tests"
	for _, m := range requirement.FindAllStringSubmatch(readFile(t, "go.mod"), -1) {
		users[m[1]] = map[string]bool{}
	}
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			for module := range users {
				if within(imported, module) {
					users[module][userOf(f)] = true
				}
			}
		}
	}
	_, table, _ := strings.Cut(readFile(t, "ARCHITECTURE.md"), "\n## Dependencies\n")
	named := map[string]bool{}
	for _, row := range dependencyRow.FindAllStringSubmatch(table, -1) {
		module, where := row[1], strings.Split(strings.ReplaceAll(row[2], "`", ""), ", ")
		got := users[module]
		if got == nil {
			t.Errorf("the table has %s, which go.mod does not require", module)
			continue
		}
		named[module] = true
		if len(got) > 1 {
			delete(got, "tests") // said of those that tests alone use
		}
		want := slices.Sorted(maps.Keys(got))
		if slices.Sort(where); !slices.Equal(where, want) {
			t.Errorf("the table says that %s is used by %s, and it is by %s", module, strings.Join(where, ", "), strings.Join(want, ", "))
		}
	}
	for module := range users {
		if !named[module] {
			t.Errorf("the table of dependencies in ARCHITECTURE.md lacks %s", module)
		}
	}
}

var (
	requirement   = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // direct: the others end with a comment
	dependencyRow = regexp.MustCompile(`(?m)^\| ([a-z0-9.]+/\S+) \|[^|]*\| ([^|]*) \|$`)
)

func userOf(f source) string {
	switch {
	case f.test:
		return "tests"
	case within(f.pkg, "workshop"):
		return "workshop"
	}
	return path.Clean(f.pkg)
}
