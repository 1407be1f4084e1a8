package house

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lockRooms are the packages whose locks are in the table of docs/design/rooms.md.
var lockRooms = []string{"wire", "peer", "placement", "topology", "antientropy", "replicate", "dataplane"}

// The table of locks has all those between the store and the server, and no other.
func TestTableOfLocksIsWhole(t *testing.T) {
	_, table, _ := strings.Cut(readFile(t, "docs/design/rooms.md"), "\n## Which lock guards what?\n")
	table, _, _ = strings.Cut(table, "\n## ")
	told := namesIn(table, regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|"))
	var there []string
	eachNode(t, false, func(f source, n ast.Node) {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || !slices.Contains(lockRooms, f.pkg) {
			return
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			there = append(there, locksOf(spec.Name.Name, s)...)
		}
	})
	for _, lock := range there {
		if !slices.Contains(told, lock) {
			t.Errorf("the table of locks lacks %s", lock)
		}
	}
	for _, lock := range told {
		if !slices.Contains(there, lock) {
			t.Errorf("the table of locks has %s, and the code has not", lock)
		}
	}
}

// locksOf are the locks in a struct of that name. One that is embedded has the name of the struct.
func locksOf(name string, s *ast.StructType) (all []string) {
	for _, field := range s.Fields.List {
		if isLock(field.Type) && len(field.Names) == 0 {
			all = append(all, name)
		}
		for _, id := range field.Names {
			inner, ok := field.Type.(*ast.StructType)
			switch {
			case isLock(field.Type):
				all = append(all, name+"."+id.Name)
			case ok:
				all = append(all, locksOf(name+"."+id.Name, inner)...)
			}
		}
	}
	return all
}
