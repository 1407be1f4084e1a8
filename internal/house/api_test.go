package house

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// speaks says, of each package for programs outside of this module, whose types its exported API
// may consist of, beside its own and those of the standard library.
var speaks = map[string][]string{
	"client": {"api"},
	"api":    {},
}

// A program of another module can write down every type that such a package takes and returns: none
// is of an internal package, and none of a library that could be exchanged.
func TestPublicAPIsSpeakPublicTypes(t *testing.T) {
	load := compiled(t, "./client", "./api")
	for name, others := range speaks {
		pkg, err := load.Import(module + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		w := &apiWalk{own: pkg, foreign: map[string][]string{}, seen: map[types.Type]bool{}}
		w.exported(pkg)
		for path, uses := range w.foreign {
			if house, ok := strings.CutPrefix(path, module+"/"); !ok || !slices.Contains(others, house) {
				t.Errorf("the API of package %s shows types of %s: %s", name, path, strings.Join(uses, ", "))
			}
		}
		if len(w.seen) == 0 {
			t.Errorf("the API of package %s has no types", name)
		}
	}
}

// The walk goes wherever a user of the API gets: into fields, methods, parameters and results, and
// into unexported types and aliases on the way.
func TestTheWalkSeesForeignTypes(t *testing.T) {
	foreign := types.NewPackage("example.org/foreign", "foreign")
	own := types.NewPackage("own", "own")
	named := func(in *types.Package, name string, of types.Type) *types.Named {
		obj := types.NewTypeName(token.NoPos, in, name, nil)
		return types.NewNamed(obj, of, nil)
	}
	far := named(foreign, "Far", types.NewStruct(nil, nil))
	field := func(name string, of types.Type) types.Type {
		return types.NewStruct([]*types.Var{types.NewField(token.NoPos, own, name, of, false)}, nil)
	}
	returns := func(result types.Type) *types.Signature {
		return types.NewSignatureType(nil, nil, nil, nil, types.NewTuple(types.NewParam(token.NoPos, own, "", result)), false)
	}
	withMethod := named(own, "hidden", types.NewStruct(nil, nil))
	withMethod.AddMethod(types.NewFunc(token.NoPos, own, "M", returns(types.NewPointer(far))))
	for what, tc := range map[string]struct {
		t    types.Type
		sees bool
	}{
		"a field":             {field("F", types.NewSlice(far)), true},
		"an unexported field": {field("f", far), false},
		"a result":            {returns(types.NewMap(types.Typ[types.String], far)), true},
		"a hidden type":       {returns(withMethod), true},
		"an alias":            {types.NewAlias(types.NewTypeName(token.NoPos, own, "A", nil), far), true},
		"a type argument":     {returns(types.NewChan(types.SendRecv, far)), true},
		"its own":             {returns(named(own, "T", types.Typ[types.Int])), false},
	} {
		w := &apiWalk{own: own, foreign: map[string][]string{}, seen: map[types.Type]bool{}}
		w.walk(what, tc.t)
		if got := len(w.foreign["example.org/foreign"]) > 0; got != tc.sees {
			t.Errorf("%s: seen is %v, want %v", what, got, tc.sees)
		}
	}
}

// apiWalk follows an exported API to the types that it consists of.
type apiWalk struct {
	own     *types.Package
	foreign map[string][]string // import paths and what leads there; without the standard library
	seen    map[types.Type]bool
}

// exported walks all that the package exports.
func (w *apiWalk) exported(pkg *types.Package) {
	for _, name := range pkg.Scope().Names() {
		if token.IsExported(name) {
			w.walk(name, pkg.Scope().Lookup(name).Type())
		}
	}
}

// walk follows one type. from is what leads to it.
func (w *apiWalk) walk(from string, t types.Type) {
	t = types.Unalias(t)
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t := t.(type) {
	case *types.Named:
		w.named(from, t)
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				w.walk(from+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			w.walk(from+"."+m.Name(), m.Type())
		}
	case *types.Signature:
		for _, vars := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range vars.Variables() {
				w.walk(from, v.Type())
			}
		}
	case *types.Map:
		w.walk(from, t.Key())
		w.walk(from, t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		w.walk(from, t.Elem())
	}
}

// named follows a type that has a name: into it if it is the package's own.
func (w *apiWalk) named(from string, t *types.Named) {
	for arg := range t.TypeArgs().Types() {
		w.walk(from, arg)
	}
	pkg := t.Obj().Pkg()
	switch {
	case pkg == nil: // error, any
	case pkg == w.own || pkg.Path() == w.own.Path():
		for m := range t.Methods() {
			if m.Exported() {
				w.walk(from+"."+m.Name(), m.Type())
			}
		}
		w.walk(from, t.Underlying())
	case !isStandard(pkg.Path()):
		w.foreign[pkg.Path()] = append(w.foreign[pkg.Path()], from)
	}
}

// isStandard says whether a package is of the standard library: the others have a dot in the first
// element of their path, or are the house's own.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != module && !strings.Contains(first, ".")
}

// compiled makes an importer of packages of the module and of all that they import. The go command
// compiles them, as far as that is not done.
func compiled(t *testing.T, patterns ...string) types.Importer {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, patterns...)...)
	list.Dir = "../.."
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, fmt.Errorf("no compiled package %s", path)
		}
		return os.Open(files[path])
	})
}
