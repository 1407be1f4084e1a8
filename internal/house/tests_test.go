package house

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bubbles are packages whose tests run in bubbles of testing/synctest: a sleep there is no wait.
var bubbles = []string{"dataplane", "internal/simnet", "membership", "peer", "replicate", "topology"}

// Tests wait for a condition, through internal/poll, and not for time to pass. A sleep is allowed
// where time is what the test is about: then its line says that nothing is waited for.
func TestTestsDoNotSleepInHope(t *testing.T) {
	helpers := []string{"internal/browser", "internal/testcluster"}
	for _, f := range sources(t) {
		if !f.test && !slices.Contains(helpers, f.pkg) || f.pkg == "internal/poll" || slices.Contains(bubbles, f.pkg) {
			continue
		}
		body := readFile(t, f.path)
		if strings.Contains(body, `"testing/synctest"`) {
			continue
		}
		for line := range strings.Lines(body) {
			if strings.Contains(line, "time."+"Sleep(") && !strings.Contains(line, "nothing is waited for") {
				t.Errorf("%s sleeps: wait with internal/poll, or say in the line that nothing is waited for: %s", f.path, strings.TrimSpace(line))
			}
		}
	}
}

// Ports of tests are the kernel's choice, or those of internal/ports.
func TestPortsAreNotMadeUp(t *testing.T) {
	fixed := regexp.MustCompile(`net\.Listen\("[a-z0-9]+", "[^"]*:[1-9]`)
	for _, f := range sources(t) {
		if found := fixed.FindString(readFile(t, f.path)); f.test && found != "" {
			t.Errorf("%s: %s…: take port 0, or one of internal/ports", f.path, found)
		}
	}
}

// Tests run the binary that internal/testbinary builds, and look at its sources: go test would keep
// their results when these change.
func TestBinariesAreBuiltInOnePlace(t *testing.T) {
	builds, looks := map[string]bool{}, map[string]bool{} // packages
	for _, f := range sources(t) {
		body := readFile(t, f.path)
		if f.test && strings.Contains(body, `"go", "`+`build"`) {
			t.Errorf("%s runs go build: build with internal/testbinary", f.path)
		}
		builds[f.pkg] = builds[f.pkg] || strings.Contains(body, "testbinary."+"Build(")
		looks[f.pkg] = looks[f.pkg] || strings.Contains(body, "testbinary."+"LookAtSources(")
	}
	for pkg, yes := range builds {
		if yes && !looks[pkg] {
			t.Errorf("package %s runs the binary and does not call testbinary.LookAtSources", pkg)
		}
	}
}

// Every test says in prose what holds.
func TestTestsSayWhatHolds(t *testing.T) {
	for _, fn := range functions(t, true) {
		name := fn.Name.Name
		if strings.HasPrefix(name, "Test") && name != "TestMain" && fn.Recv == nil && fn.Doc == nil {
			t.Errorf("%s: %s has no comment that says what holds", at(fn), name)
		}
	}
}

// What the import rule allows is used: a permission that nobody needs is one that nobody decided.
func TestTheImportRuleAllowsWhatIsUsed(t *testing.T) {
	uses := map[string]map[string]bool{}
	for _, f := range sources(t) {
		if uses[f.pkg] == nil {
			uses[f.pkg] = map[string]bool{}
		}
		for _, target := range f.houseImports() {
			uses[f.pkg][target] = uses[f.pkg][target] || !f.test
		}
	}
	for pkg, allowed := range mayImport {
		if uses[pkg] == nil {
			t.Errorf("mayImport has package %s, which is not there", pkg)
			continue
		}
		for _, target := range allowed {
			if !uses[pkg][target] {
				t.Errorf("mayImport lets package %s import %s, and it does not", pkg, target)
			}
		}
	}
	for library, doors := range onlyIn {
		for _, pkg := range doors {
			if !slices.ContainsFunc(sources(t), func(f source) bool {
				return f.pkg == pkg && slices.ContainsFunc(f.imports, func(i string) bool { return within(i, library) })
			}) {
				t.Errorf("onlyIn lets package %s use %s, and it does not", pkg, library)
			}
		}
	}
}

// The rules on code see what they forbid.
func TestTheCodeRulesSee(t *testing.T) {
	for name, want := range map[string]bool{`"BUG: x"`: true, `"shard: cannot y"`: true, `"oops"`: false} {
		if panicWords.MatchString(name) != want {
			t.Errorf("a panic with %s passes: %t", name, !want)
		}
	}
	if len(functions(t, false)) < 1000 || len(functions(t, true)) < 500 {
		t.Error("the functions are not seen")
	}
	var locks, goroutines int
	eachNode(t, false, func(_ source, n ast.Node) {
		if field, ok := n.(*ast.Field); ok && isLock(field.Type) {
			locks++
		}
		if startsGoroutine(n) {
			goroutines++
		}
	})
	if locks < 20 || goroutines < 20 {
		t.Errorf("%d locks and %d goroutines are seen", locks, goroutines)
	}
}
