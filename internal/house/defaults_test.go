package house

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// A default that a document gives of a flag is the flag's: behind the flag in brackets, or behind a
// comma, or in the second cell of a row of docs/bench.md.
func TestDefaultsThatAreNamedAreTrue(t *testing.T) {
	defaults := defaultsOf(t)
	check := func(in text, flag, said string) {
		want, known := defaults[flag]
		if said = shortened(said); known && want != "0" && said != shortened(want) {
			t.Errorf("%s says that %s is %s by default, and it is %s", in.path, flag, said, want)
		}
	}
	seen := 0
	for _, doc := range documents(t) {
		for _, m := range flagAndDefault.FindAllStringSubmatch(doc.body, -1) {
			check(doc, m[1], m[2])
			seen++
		}
		if doc.path != "docs/bench.md" {
			continue
		}
		for _, row := range flagRow.FindAllStringSubmatch(doc.body, -1) {
			flags := namesIn(row[1], flagName)
			for i, said := range strings.Split(row[2], ", ") {
				check(doc, flags[i], strings.Trim(said, "`"))
				seen++
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d defaults were seen in the documents", seen)
	}
}

var (
	flagAndDefault = regexp.MustCompile("`(--[a-z-]+)`(?:, | \\()([0-9.]+(?: ?(?:KiB|MiB|h|m|s|hours?|minutes|seconds))?)\\b")
	flagRow        = regexp.MustCompile("(?m)^\\| (`--[^|]*`) \\| ([^ |]+(?:, [^ |]+)*) \\|")
)

// shortened writes 5 minutes as 5m, and 8 MiB as 8MiB.
func shortened(value string) string {
	for word, unit := range map[string]string{"hour": "h", "minute": "m", "second": "s"} {
		value = strings.Replace(strings.Replace(value, word+"s", unit, 1), word, unit, 1)
	}
	return strings.ReplaceAll(value, " ", "")
}

// defaultsOf are the defaults of the commands' flags. Those of a flag that several commands have
// with other ones are left out.
func defaultsOf(t *testing.T) map[string]string {
	t.Helper()
	all, several := map[string]string{}, map[string]bool{}
	for _, f := range sources(t) {
		ast.Inspect(f.file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || f.pkg != "cmd/httpdhs" || field.Tag == nil {
				return true
			}
			value, ok := tagOf(field).Lookup("default")
			for _, flag := range kongFlags(field) {
				if before, again := all[flag]; again && before != value {
					several[flag] = true
				}
				if ok {
					all[flag] = value
				}
			}
			return true
		})
	}
	for flag := range several {
		delete(all, flag)
	}
	return all
}
