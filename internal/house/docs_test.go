package house

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the documents and the comments name has to be there: a reader who looks for it and does not
// find it believes nothing else.

// text is a document, or the comments of a Go file.
type text struct {
	path string // from the module's root, with slashes
	body string
}

// documents are all Markdown files.
func documents(t *testing.T) (texts []text) {
	t.Helper()
	for _, name := range tree(t, ".md") {
		texts = append(texts, text{name, readFile(t, name)})
	}
	return texts
}

// comments are those of all Go files.
func comments(t *testing.T) (texts []text) {
	t.Helper()
	for _, f := range sources(t) {
		var b strings.Builder
		for _, group := range f.file.Comments {
			b.WriteString(group.Text() + "\n")
		}
		texts = append(texts, text{f.path, b.String()})
	}
	return texts
}

// names finds what texts name by a pattern's first group, and fails for what is not right.
func names(t *testing.T, texts []text, pattern *regexp.Regexp, right func(in text, name string) bool, what string) {
	t.Helper()
	for _, in := range texts {
		for _, name := range namesIn(in.body, pattern) {
			if !right(in, name) {
				t.Errorf("%s names %s: %s", in.path, name, what)
			}
		}
	}
}

func namesIn(body string, pattern *regexp.Regexp) (all []string) {
	for _, found := range pattern.FindAllStringSubmatch(body, -1) {
		all = append(all, strings.TrimRight(found[1], "."))
	}
	return all
}

// How texts name what is to be there.
var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	goFile     = regexp.MustCompile(`(?:^|[^\w/.*-])([a-z][\w/-]*\.go)\b`)
	treePath   = regexp.MustCompile(`(?:^|[^\w/.-])((?:internal|workshop|cmd|deploy|docs|scripts|shard|server|test)/[\w/.-]*\w)`)
	testName   = regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w*…?)`)
	flagName   = regexp.MustCompile(`(?:^|[^\w-])(--[a-z][a-z0-9-]+)\b`)
	flagEnv    = regexp.MustCompile(`\bHTTPDHS_([A-Z_]+)\b`)
	testEnv    = regexp.MustCompile(`\b((?:[A-Z]+_)+[A-Z]+)\b`)
	metric     = regexp.MustCompile(`\b(httpdhs_[a-z_]+[a-z])\b`)
	makeTarget = regexp.MustCompile(`(?m)^make ([a-z]+(?:-[a-z]+)*)\b`)
	qualified  = regexp.MustCompile(`\b([A-Za-z]\w*\.[A-Z]\w*)\b`)
	identifier = regexp.MustCompile("`([a-z]+(?:\\.[A-Za-z]\\w*)+)")
)

// The patterns see what they are for.
func TestNamesAreSeen(t *testing.T) {
	for _, c := range []struct {
		pattern *regexp.Regexp
		body    string
		want    []string
	}{
		{link, "see [a](b.md#c) and [d](https://e)", []string{"b.md#c", "https://e"}},
		{goFile, "x.go, (server/y.go). *.go /z.go", []string{"x.go", "server/y.go"}},
		{treePath, "`internal/seal`, docs/design/x.md. POST /internal/exchange", []string{"internal/seal", "docs/design/x.md"}},
		{testName, "TestX and `FuzzY…`, Tests", []string{"TestX", "FuzzY…"}},
		{flagName, "`--port=1`, --max-memory; a--b", []string{"--port", "--max-memory"}},
		{flagEnv, "HTTPDHS_MAX_MEMORY", []string{"MAX_MEMORY"}},
		{testEnv, "WIRE_SEED, GET", []string{"WIRE_SEED"}},
		{metric, `httpdhs_members{state="down"} > 0`, []string{"httpdhs_members"}},
		{makeTarget, "make check\nmake bench-store # make x\nmake\n", []string{"check", "bench-store"}},
		{qualified, "see kv.Entry, Stats.Accounted. x.go", []string{"kv.Entry", "Stats.Accounted"}},
		{identifier, "`kv.Entry.Supersedes`, `Peer.carry`, `x`", []string{"kv.Entry.Supersedes"}},
	} {
		if got := namesIn(c.body, c.pattern); !slices.Equal(got, c.want) {
			t.Errorf("in %q %q were seen, want %q", c.body, got, c.want)
		}
	}
}

// Links lead to a file, and to a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	names(t, documents(t), link, func(in text, link string) bool {
		if strings.Contains(link, "://") {
			return true
		}
		file, heading, _ := strings.Cut(link, "#")
		target := in.path
		if file != "" {
			target = path.Join(path.Dir(in.path), file)
		}
		if !exists(target) {
			return false
		}
		return heading == "" || slices.Contains(anchors(readFile(t, target)), heading)
	}, "no such file, or no such heading in it")
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are the names by which the headings of a document are linked to.
func anchors(body string) (all []string) {
	for line := range strings.Lines(body) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			name := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			all = append(all, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return all
}

// Files and folders that are named are there: a path from the root or, of a bare Go file, one in
// the package of the comment or, for a document, in any.
func TestFilesThatAreNamedExist(t *testing.T) {
	bare := map[string]bool{}
	for _, f := range sources(t) {
		bare[path.Base(f.path)] = true
	}
	isThere := func(in text, name string) bool {
		if exists(name) || exists(path.Join(path.Dir(in.path), name)) {
			return true
		}
		return path.Ext(in.path) == ".md" && bare[name]
	}
	texts := append(documents(t), comments(t)...)
	names(t, texts, goFile, isThere, "there is no such file")
	names(t, texts, treePath, func(_ text, name string) bool { return exists(name) }, "there is no such file or folder")
}

// Tests that are named exist; "TestFlood…" names all that begin so.
func TestTestsThatAreNamedExist(t *testing.T) {
	var all []string
	for _, f := range sources(t) {
		for _, decl := range f.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && f.test {
				all = append(all, fn.Name.Name)
			}
		}
	}
	names(t, append(documents(t), comments(t)...), testName, func(_ text, name string) bool {
		return slices.ContainsFunc(all, func(fn string) bool {
			begin, cut := strings.CutSuffix(name, "…")
			return fn == name || cut && strings.HasPrefix(fn, begin)
		})
	}, "there is no such test")
}

// foreignFlags are those of programs that are not ours, as the documents name them.
var foreignFlags = []string{
	"--cacert", "--connect-timeout", "--data-binary", "--data-urlencode", "--fail-with-body", "--path-as-is", "--retry", // curl
	"--from-literal", "--logs", "--reuse-values", "--set", // kubectl, helm
	"--arg",                                                                                                                                               // jq
	"--pipe",                                                                                                                                              // redis-cli
	"--build", "--network-alias", "--no-build", "--ulimit", "--build-arg", "--cap-drop", "--hostname", "--name", "--network", "--platform", "--read-only", // docker
	"--now",  // systemctl
	"--gzip", // no flag: the ending of an entity tag that Apache has packed
}

// Flags that are named exist.
func TestFlagsThatAreNamedExist(t *testing.T) {
	known := append(flags(t), foreignFlags...)
	names(t, append(documents(t), comments(t)...), flagName, func(_ text, name string) bool {
		return slices.Contains(known, name)
	}, "there is no such flag")
	names(t, documents(t), flagEnv, func(_ text, name string) bool {
		return slices.Contains(known, "--"+strings.ToLower(strings.ReplaceAll(name, "_", "-")))
	}, "there is no flag of that variable")
}

// flags are those of all commands: fields with a help, as kong names them, and calls of package
// flag.
func flags(t *testing.T) []string {
	t.Helper()
	all := []string{"--help"}
	for _, f := range sources(t) {
		ast.Inspect(f.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				if f.pkg == "cmd/httpdhs" && n.Tag != nil {
					all = append(all, kongFlags(n)...)
				}
			case *ast.CallExpr:
				all = append(all, stdFlag(n)...)
			}
			return true
		})
	}
	return all
}

var upperInside = regexp.MustCompile(`(\w)([A-Z])`)

// kongFlags are the names of a field of a command.
func kongFlags(field *ast.Field) (all []string) {
	tag := tagOf(field)
	if tag.Get("help") == "" || tag.Get("arg") != "" {
		return nil
	}
	for _, name := range field.Names {
		flag := tag.Get("name")
		if flag == "" {
			flag = strings.ToLower(upperInside.ReplaceAllString(name.Name, "$1-$2"))
		}
		all = append(all, "--"+flag)
		if _, ok := tag.Lookup("negatable"); ok {
			all = append(all, "--no-"+flag)
		}
	}
	if alias := tag.Get("aliases"); alias != "" {
		all = append(all, "--"+alias)
	}
	return all
}

// stdFlag is the name of a flag of package flag.
func stdFlag(call *ast.CallExpr) []string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "flag" {
		return nil
	}
	for _, arg := range call.Args {
		if lit, ok := arg.(*ast.BasicLit); ok {
			return []string{"--" + strings.Trim(lit.Value, `"`)}
		}
	}
	return nil
}

var codeSpan = regexp.MustCompile("(?s)```\\w*\n(.*?)```|`([^`]+)`")

// codeIn is what documents show as code, a span a line.
func codeIn(docs []text) (texts []text) {
	for _, doc := range docs {
		var b strings.Builder
		for _, span := range codeSpan.FindAllStringSubmatch(doc.body, -1) {
			b.WriteString(span[1] + span[2] + "\n")
		}
		texts = append(texts, text{doc.path, b.String()})
	}
	return texts
}

// Metrics that are named exist.
func TestMetricsThatAreNamedExist(t *testing.T) {
	full := readFile(t, "internal/metrics/testdata/full.txt")
	names(t, append(documents(t), comments(t)...), metric, func(_ text, name string) bool {
		return strings.Contains(full, "# TYPE "+name+" ") || strings.Contains(full, name+"{")
	}, "there is no such metric")
}

// Commands of the Makefile that are named exist, and so do variables that tests are told by.
func TestMakeTargetsThatAreNamedExist(t *testing.T) {
	makefile := readFile(t, "Makefile")
	names(t, codeIn(documents(t)), makeTarget, func(_ text, name string) bool {
		return strings.Contains(makefile, "\n"+name+":")
	}, "the Makefile has no such target")
	var sources strings.Builder
	for _, name := range slices.Concat(tree(t, ".go"), tree(t, ".sh"), []string{"Makefile", ".ci/run"}) {
		sources.WriteString(readFile(t, name))
	}
	names(t, codeIn(documents(t)), testEnv, func(_ text, name string) bool {
		isOthers := strings.HasPrefix(name, "SESSION_") // a setting of Flask
		return strings.HasPrefix(name, "HTTPDHS_") || isOthers || strings.Contains(sources.String(), name)
	}, "nothing reads such a variable")
}

// fileEndings are those of files that documents name, and that may begin as a package is called.
var fileEndings = []string{"go", "crt", "key", "service", "env", "mjs", "php", "py"}

// Names of the code that a document writes as `package.Name` are there, and what a comment writes
// as package.Name, or Type.Name of its own package.
func TestIdentifiersThatAreNamedExist(t *testing.T) {
	declared := map[string]map[string]bool{}
	for _, f := range sources(t) {
		base := path.Base(f.pkg)
		if declared[base] == nil {
			declared[base] = map[string]bool{}
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				declared[base][id.Name] = true
			}
			return true
		})
	}
	names(t, documents(t), identifier, func(_ text, name string) bool {
		parts := strings.Split(name, ".")
		of := declared[parts[0]]
		if of == nil || exists(name) || slices.Contains(fileEndings, parts[1]) {
			return true // not a package of the house
		}
		return !slices.ContainsFunc(parts[1:], func(part string) bool { return !of[part] })
	}, "the package has no such name")
	names(t, comments(t), qualified, func(in text, name string) bool {
		first, second, _ := strings.Cut(name, ".")
		if ast.IsExported(first) {
			own := declared[path.Base(path.Dir(in.path))]
			return !own[first] || own[second]
		}
		of := declared[first]
		return of == nil || of[second]
	}, "there is no such name")
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(name)))
	return err == nil
}
