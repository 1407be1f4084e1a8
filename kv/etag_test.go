package kv

import (
	"fmt"
	"strings"
	"testing"
)

// The condition of a write is that of its fields. What would never match, because
// a proxy has made it, and what has lost its tag, is an error that says so.
func TestParseCondition(t *testing.T) {
	lines := func(in string) (all [][]byte) {
		if in != "" {
			for line := range strings.SplitSeq(in, "|") {
				all = append(all, []byte(line))
			}
		}
		return all
	}
	many := strings.Repeat(`"1f", `, MaxConditionVersions)
	for _, c := range []struct{ match, none, want string }{
		{"", "", "0[]"},
		{"*", "", "2[]"},
		{"", "*", "1[]"},
		{`"1f"`, "", "3[1f]"},
		{`"1f", "20"|"21"`, "", "3[1f 20 21]"},
		{"", `"1f"`, "4[1f]"},
		{`"foreign-gzip"`, "", "3[]"},
		{`"1f" ,,`, "", "3[1f]"},
		// What is no tag may be one that has lost its quotes.
		{`"1f" ,, x, "2`, "", `If-Match has "x", which is no entity tag`},
		{"", `"1f", 20`, `If-None-Match has "20", which is no entity tag`},
		{`"1f"|20`, "", `If-Match has "20", which is no entity tag`},
		{`"1f"-gzip`, "", `If-Match has "-gzip", which is no entity tag`},
		{`"1f", "20`, "", `If-Match has "\"20", which is no entity tag`},
		// "*" is no member of a list.
		{`*, "1f"`, "", "If-Match has * beside something else"},
		{`"1f", *`, "", "If-Match has * beside something else"},
		{"*,*", "", "If-Match has * beside something else"},
		{"*|*", "", "If-Match has * beside something else"},
		{"*, x", "", "If-Match has * beside something else"},
		{"x, *", "", "If-Match has * beside something else"},
		{"", `"1f"|*`, "If-None-Match has * beside something else"},
		{"", `* , W/"1f"`, "If-None-Match has * beside something else"},
		{many, "", "3[" + strings.TrimSpace(strings.Repeat("1f ", MaxConditionVersions)) + "]"},
		{many + `"1f"`, "", "If-Match has more than 16 entity tags"},
		{`"1f"`, "*", "not both"},
		{" ", "", "If-Match has no entity tag"},
		{"1f", "", "If-Match has no entity tag"},
		{"", "|", "If-None-Match has no entity tag"},
		{`W/"1f"`, "", `If-Match has the tag W/"1f", which a proxy`},
		{`"20", W/"x"`, "", `If-Match has the tag W/"x", which a proxy`},
		{"", `W/"1f"`, `If-None-Match has the tag W/"1f", which a proxy`},
		{`"1f-gzip"`, "", `If-Match has the tag "1f-gzip", which a proxy`},
		{`"1f--gzip"`, "", `If-Match has the tag "1f--gzip", which a proxy`},
		{`"1f;br"`, "", `If-Match has the tag "1f;br", which a proxy`},
		{"", `"20", "1f-gzip"`, `If-None-Match has the tag "1f-gzip", which a proxy`},
	} {
		cond, err := ParseCondition(TagField{"If-Match", lines(c.match)}, TagField{"If-None-Match", lines(c.none)}, nil)
		got := fmt.Sprintf("%d%x", cond.Kind, cond.Versions)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s / %s: %s, want %s", c.match, c.none, got, c.want)
		}
	}
}
