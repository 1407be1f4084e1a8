package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// funcLinesMax is how long a function may get before it has to be split by idea. A test may be a
// long table.
const funcLinesMax = 75

// A function has at most funcLinesMax lines; a test may be a long table.
func TestFunctionsStayShort(t *testing.T) {
	for _, fn := range functions(t, false) {
		if n := fileSet.Position(fn.End()).Line - fileSet.Position(fn.Pos()).Line + 1; n > funcLinesMax {
			t.Errorf("%s: %s has %d lines, more than %d: split it by idea", at(fn), fn.Name.Name, n, funcLinesMax)
		}
	}
}

// functions are those of the code, or of tests.
func functions(t *testing.T, test bool) (all []*ast.FuncDecl) {
	t.Helper()
	for _, f := range sources(t) {
		for _, decl := range f.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && f.test == test {
				all = append(all, fn)
			}
		}
	}
	return all
}

// A panic says whose fault it is: ours (BUG), or that of a machine that has no room for what is
// needed (cannot). One without words passes on what was recovered.
var panicWords = regexp.MustCompile(`^"(BUG: |[a-z]+: cannot )`)

// A panic begins as panicWords says. One without words passes on what was recovered.
func TestPanicsSayWhoseFaultItIs(t *testing.T) {
	eachNode(t, false, func(_ source, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isNamed(call.Fun, "panic") {
			return
		}
		ast.Inspect(call.Args[0], func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if !panicWords.MatchString(lit.Value) {
					t.Errorf("%s: a panic begins with %.30s: begin it with BUG:, or answer an error", at(call), lit.Value)
				}
				return false
			}
			return true
		})
	})
}

// eachNode calls see with each node of the code, or of tests.
func eachNode(t *testing.T, test bool, see func(f source, n ast.Node)) {
	t.Helper()
	for _, f := range sources(t) {
		if f.test == test {
			ast.Inspect(f.file, func(n ast.Node) bool {
				if n != nil {
					see(f, n)
				}
				return true
			})
		}
	}
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// A lock says what it guards, or what it is held for: in a comment, or by "guarded by" at a field
// behind it. One that is embedded guards the struct that it is in.
func TestLocksSayWhatTheyGuard(t *testing.T) {
	eachNode(t, false, func(_ source, n ast.Node) {
		s, ok := n.(*ast.StructType)
		if !ok {
			return
		}
		for i, field := range s.Fields.List {
			if !isLock(field.Type) || len(field.Names) == 0 || field.Comment != nil || field.Doc != nil {
				continue
			}
			by := "guarded by " + field.Names[0].Name
			if !slices.ContainsFunc(s.Fields.List[i:], func(f *ast.Field) bool {
				return strings.Contains(f.Comment.Text()+f.Doc.Text(), by)
			}) {
				t.Errorf("%s: %s does not say what it guards", at(field), field.Names[0].Name)
			}
		}
	})
}

func isLock(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && isNamed(sel.X, "sync") && (sel.Sel.Name == "Mutex" || sel.Sel.Name == "RWMutex")
}

// No package has variables that functions assign to: two nodes fit into one process.
func TestPackagesHoldNoStateThatChanges(t *testing.T) {
	variables := map[string]map[string]bool{} // by package
	for _, f := range sources(t) {
		for _, decl := range f.file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.VAR && !f.test {
				if variables[f.pkg] == nil {
					variables[f.pkg] = map[string]bool{}
				}
				for _, spec := range gen.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						variables[f.pkg][name.Name] = true
					}
				}
			}
		}
	}
	check := func(f source, e ast.Expr) {
		if id := root(e); id != nil && variables[f.pkg][id.Name] && isGlobal(f, id) {
			t.Errorf("%s: %s is a variable of package %s, and is written: pass it in", at(id), id.Name, f.pkg)
		}
	}
	eachNode(t, false, func(f source, n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					check(f, e)
				}
			}
		case *ast.IncDecStmt:
			check(f, n.X)
		}
	})
}

// root is the variable that is written to by writing to e.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.Ident:
			return x
		default:
			return nil
		}
	}
}

// isGlobal says whether a name is that of its package. The parser resolves what is declared in the
// file of its use.
func isGlobal(f source, id *ast.Ident) bool {
	return id.Obj == nil || f.file.Scope.Lookup(id.Name) == id.Obj
}

// ownErrors are sentinels of kv that never get as far as a status: who reads records and requests
// answers in words of its own.
var ownErrors = []string{"ErrExpiresTooLate", "ErrFormat", "ErrShort"}

// Every other one has its row in the table of statuses.
func TestErrorsHaveAStatus(t *testing.T) {
	table := readFile(t, "server/errors.go")
	for _, m := range regexp.MustCompile(`(?m)^\t(Err\w+) += `).FindAllStringSubmatch(readFile(t, "kv/errors.go"), -1) {
		if !slices.Contains(ownErrors, m[1]) && !strings.Contains(table, "\t{kv."+m[1]+", ") {
			t.Errorf("kv.%s has no row in the table of server/errors.go", m[1])
		}
	}
}

// Packages that start goroutines are in the table of ARCHITECTURE.md, which says who waits for
// them, and their tests look for goroutines that are left behind. What does not ship is left out.
func TestGoroutinesHaveAnOwner(t *testing.T) {
	starts, looks := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		if within(f.pkg, "internal") || within(f.pkg, "workshop") || f.pkg == "test" {
			continue
		}
		if f.test {
			looks[f.pkg] = looks[f.pkg] || strings.Contains(readFile(t, f.path), "goleak.Verify")
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			starts[f.pkg] = starts[f.pkg] || startsGoroutine(n)
			return true
		})
	}
	_, table, _ := strings.Cut(readFile(t, "ARCHITECTURE.md"), "\n## Goroutines\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for pkg, yes := range starts {
		switch {
		case !yes:
		case !looks[pkg]:
			t.Errorf("package %s starts goroutines, and none of its tests calls goleak", pkg)
		case !regexp.MustCompile(`\| .*` + "`" + pkg + `[.` + "`" + `]`).MatchString(table):
			t.Errorf("package %s starts goroutines, and the table in ARCHITECTURE.md has none of its", pkg)
		}
	}
}

func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Go" // of sync.WaitGroup
	}
	return false
}
