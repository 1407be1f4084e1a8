// Package house holds no code: its tests keep the rules of the house that no
// compiler knows, as ARCHITECTURE.md states them. They read the source files
// themselves, whatever their build tags, and run in a blink.
package house

import (
	"slices"
	"strings"
	"testing"
)

const (
	module = "httpdhs"

	// linesMax is how long a file may get before it has to be split by idea.
	linesMax = 500
)

// mayImport is the import rule: what a package of the house may import of the
// house. Imports go downwards only, and layers side by side do not know each
// other: each declares the small interface it needs, and node alone sees the
// concrete types. A package that is not listed here is not allowed at all, so
// a new one gets its line, and a reviewer who reads it.
var mayImport = map[string][]string{
	// What is said, and how.
	"kv":                {},
	"api":               {},
	"internal/format":   {"kv"},
	"internal/seal":     {},
	"internal/nonblock": {},
	"internal/accept":   {},
	"internal/slowlog":  {},

	// What is counted beside what is done.
	"internal/histogram": {},

	// One job each, side by side.
	"ring":             {},
	"rebalance":        {},
	"shard":            {"kv"},
	"disk":             {"kv"},
	"membership":       {"wire"},
	"wire":             {"kv", "ring", "rebalance"},
	"peer":             {"kv", "wire", "internal/histogram", "internal/seal", "internal/nonblock"},
	"placement":        {"kv", "ring", "peer"},
	"topology":         {"kv", "ring", "rebalance", "wire", "peer", "placement"},
	"antientropy":      {"kv", "ring", "wire", "peer", "placement"},
	"replicate":        {"kv", "wire", "peer", "placement"},
	"dataplane":        {"kv", "ring", "wire", "peer", "placement", "topology", "antientropy", "replicate"},
	"server":           {"kv", "api", "internal/accept", "internal/format", "internal/histogram", "internal/seal", "internal/nonblock", "internal/slowlog"},
	"server/console":   {},
	"server/resp":      {"kv", "api", "internal/accept", "internal/histogram", "internal/nonblock", "internal/slowlog"},
	"internal/history": {},

	// Users of a cluster over HTTP.
	"client": {"kv", "api", "internal/format"},
	"bench":  {"kv", "api", "internal/format", "client"},

	// What nodes have on disk, without a node.
	"backup": {"kv", "disk", "shard"},

	// What is read at a scrape.
	"internal/metrics": {"antientropy", "disk", "internal/histogram", "replicate", "server", "server/resp", "shard", "topology"},

	// What puts it all together.
	"node": {
		"kv", "api", "internal/metrics", "internal/histogram", "internal/slowlog",
		"ring", "shard", "disk", "wire", "peer", "membership", "topology", "replicate", "dataplane",
		"server", "server/console", "server/resp",
	},
	"internal/described":   {"api"},
	"internal/testcluster": {"api", "internal/poll", "internal/ports", "internal/syncbuf", "node"},
	"internal/simnet":      {"kv", "ring", "shard", "wire", "peer", "membership", "topology", "dataplane", "disk", "internal/crashfs"},
	"cmd/httpdhs":          {"kv", "api", "internal/format", "node", "client", "bench", "backup", "disk"},

	// What the files of deploy/ are held against, in a module of its own.
	"deploy/check": {},

	// Measurements, which do not ship: nothing outside of workshop may import them.
	"workshop/baseline": {},
	"workshop/goals":    {"bench", "workshop/rig"},
	"workshop/limit":    {"internal/nonblock", "internal/poll"},
	"workshop/peers":    {"bench", "workshop/rig"},
	"workshop/store":    {"bench", "workshop/rig", "client", "internal/cputime", "internal/format", "kv", "shard"},
	"workshop/rig":      {"bench", "internal/poll", "internal/ports"},

	// Tests alone.
	"internal/house":      {},
	"internal/poll":       {},
	"internal/cputime":    {},
	"internal/syncbuf":    {},
	"internal/testbinary": {},
	"internal/testcert":   {},
	"internal/ports":      {},
	"internal/memnet":     {"wire"},
	"internal/crashfs":    {"disk"},
	"internal/mutants":    {},
	"internal/browser":    {"internal/poll", "internal/syncbuf"},
	"test":                {},
}

// onlyIn says which packages may use a library, tests included. Libraries that
// shape what they touch stay behind one door.
var onlyIn = map[string][]string{
	"github.com/prometheus/client_golang":     {"internal/metrics"},
	"github.com/alecthomas/kong":              {"cmd/httpdhs"},
	"github.com/coreos/go-systemd/v22":        {"cmd/httpdhs"},
	"github.com/schollz/progressbar/v3":       {"cmd/httpdhs"},
	"github.com/klauspost/compress":           {"cmd/httpdhs", "backup"},
	"golang.org/x/text/unicode/runenames":     {"cmd/httpdhs"},
	"github.com/HdrHistogram/hdrhistogram-go": {"bench"},
	"github.com/redis/go-redis/v9":            {"test"},
	"github.com/redis/rueidis":                {"test"},
	"github.com/miekg/dns":                    {"test"},
	"github.com/getkin/kin-openapi":           {"internal/described", "server"},
	"github.com/chromedp/cdproto":             {"internal/browser"},
}

// pure are the packages whose functions do no I/O: who owns a key and which
// write wins is worked out from arguments alone.
var pure = []string{"kv", "ring", "rebalance"}

// impure are the imports that a pure package would do I/O with.
var impure = []string{"net", "net/http", "os", "os/exec", "syscall", "log", "log/slog", "github.com/valyala/fasthttp"}

// A package imports what mayImport allows it, and tests whatever is no command.
func TestImportsGoDownwardsOnly(t *testing.T) {
	for _, f := range sources(t) {
		allowed, listed := mayImport[f.pkg]
		if !listed {
			t.Errorf("%s: package %s is not in the import rule: add it to mayImport with what it may import", f.path, f.pkg)
			continue
		}
		for _, target := range f.houseImports() {
			switch {
			case strings.HasPrefix(target, "cmd/"):
				t.Errorf("%s: imports %s, and nothing may import a command", f.path, target)
			case within(target, "workshop") && !within(f.pkg, "workshop"):
				t.Errorf("%s: imports %s, which does not ship", f.path, target)
			case f.test: // may put other parts of the house together
			case !slices.Contains(allowed, target):
				t.Errorf("%s: package %s may not import %s: %s", f.path, f.pkg, target, describe(allowed))
			}
		}
	}
}

// A library that onlyIn lists is used by the packages that it names.
func TestLibrariesStayBehindTheirDoor(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			for library, doors := range onlyIn {
				if within(imported, library) && !slices.Contains(doors, f.pkg) {
					t.Errorf("%s: package %s may not use %s: only %s may", f.path, f.pkg, library, strings.Join(doors, " and "))
				}
			}
		}
	}
}

// What is worked out from arguments alone imports nothing that could ask for more.
func TestPurePackagesDoNoIO(t *testing.T) {
	for _, f := range sources(t) {
		if f.test || !slices.Contains(pure, f.pkg) {
			continue
		}
		for _, imported := range f.imports {
			if slices.Contains(impure, imported) {
				t.Errorf("%s: package %s does no I/O and may not import %s", f.path, f.pkg, imported)
			}
		}
	}
}

// Each package has a comment.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		documented[f.pkg] = documented[f.pkg] || f.hasPackageComment
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment: state its job, its invariants and its concurrency", pkg)
		}
	}
}

// The list of packages in ARCHITECTURE.md has each package once, and none that is not there.
func TestListOfPackagesIsTrue(t *testing.T) {
	_, list, _ := strings.Cut(readFile(t, "ARCHITECTURE.md"), "\n## Packages\n")
	for range 2 { // behind the picture
		_, list, _ = strings.Cut(list, "\n```\n")
	}
	list, _, _ = strings.Cut(list, "\n```\n")
	listed := map[string]int{}
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(line, " ")
		if name = strings.TrimSuffix(name, "/"); !exists(name) {
			t.Errorf("the list has %s, which is not there", name)
		}
		listed[name]++
	}
	for name, times := range listed {
		if times > 1 {
			t.Errorf("the list has %s %d times", name, times)
		}
	}
	for _, f := range sources(t) {
		top, _, _ := strings.Cut(f.pkg, "/")
		if listed[f.pkg] == 0 && top != "workshop" && top != "test" {
			listed[f.pkg]++
			t.Errorf("the list lacks %s", f.pkg)
		}
	}
}

// A file has at most linesMax lines; a test may be a long table.
func TestFilesStayShort(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test && f.lines > linesMax {
			t.Errorf("%s has %d lines, more than %d: split it by idea", f.path, f.lines, linesMax)
		}
	}
}

// The rules are only as good as what reads them: a rule that nothing breaks
// may be one that sees nothing.
func TestTheRulesSeeWhatTheyForbid(t *testing.T) {
	f, err := parseText("shard/x.go", []byte("// Package shard.\npackage shard\nimport (\"os\"; \"httpdhs/replicate\"; \"httpdhs\")\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"replicate", "."}; !slices.Equal(f.houseImports(), want) {
		t.Errorf("house imports %q, want %q", f.houseImports(), want)
	}
	if f.pkg != "shard" || f.test || !f.hasPackageComment || f.lines != 3 {
		t.Errorf("read as %+v", f)
	}
	if !within("a.org/b/c", "a.org/b") || within("a.org/bc", "a.org/b") {
		t.Error("within does not stop at a path element")
	}
}

func describe(allowed []string) string {
	if len(allowed) == 0 {
		return "it imports nothing else of the house"
	}
	return "of the house it may import " + strings.Join(allowed, ", ")
}

// houseImports are the imports within the module, without its name.
func (f *source) houseImports() []string {
	var targets []string
	for _, imported := range f.imports {
		switch {
		case imported == module:
			targets = append(targets, ".")
		case within(imported, module):
			targets = append(targets, imported[len(module)+1:])
		}
	}
	return targets
}

// within says whether the import path is that of the parent or below it.
func within(imported, parent string) bool {
	return imported == parent || strings.HasPrefix(imported, parent+"/")
}
