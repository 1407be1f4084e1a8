package house

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	columnsMax  = 100 // of a line of prose; a tab is four
	sentenceMax = 30  // words
)

// privateWords are words that this project once had for what the literature has terms for, or that
// nobody says. docs/glossary.md has the terms.
var privateWords = regexp.MustCompile(`(?i)\b(heed\w*|anew|be it that|unsynced|downs)\b`)

// Lines of prose, which are those of documents and comments, break at 100 columns.
func TestProseBreaks(t *testing.T) {
	for _, f := range sources(t) {
		n := 0
		for line := range strings.Lines(readFile(t, f.path)) {
			n++
			if strings.HasPrefix(strings.TrimSpace(line), "//") && tooWide(line) {
				t.Errorf("%s:%d: a comment of more than %d columns: break it", f.path, n, columnsMax)
			}
		}
	}
	for _, name := range tree(t, ".md") {
		for _, line := range proseLines(readFile(t, name)) {
			if tooWide(line) && strings.Count(strings.TrimSpace(line), " ") > 1 { // a link has nowhere to break
				t.Errorf("%s: a line of more than %d columns: break it: %s", name, columnsMax, line)
			}
		}
	}
}

func tooWide(line string) bool {
	line = strings.TrimRight(line, "\n")
	return utf8.RuneCountInString(line)+3*strings.Count(line, "\t") > columnsMax
}

// proseLines are a document's lines but those of code, of tables and of HTML.
func proseLines(body string) (lines []string) {
	code := false
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		switch start := strings.TrimSpace(line); {
		case strings.HasPrefix(start, "```"):
			code = !code
		case code || strings.HasPrefix(start, "|") || strings.HasPrefix(start, "<"):
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// A sentence can be read once: none is longer than 30 words. Standard terms are used, and none of
// our own.
func TestSentencesAreShort(t *testing.T) {
	texts := comments(t)
	for _, d := range documents(t) {
		texts = append(texts, text{d.path, strings.Join(proseLines(d.body), "\n")})
	}
	for _, in := range texts {
		if strings.HasPrefix(in.path, "internal/house/") {
			continue
		}
		for _, s := range sentences(in.body) {
			if n := len(strings.Fields(s)); n > sentenceMax {
				t.Errorf("%s: a sentence of %d words: %s", in.path, n, s)
			}
			if word := privateWords.FindString(s); word != "" {
				t.Errorf("%s says %q, for which there is a term in docs/glossary.md: %s", in.path, word, s)
			}
		}
	}
}

var (
	paragraphEnd = regexp.MustCompile(`\n\s*(?:\n\s*)*(?:[-*+]|\d+\.) |\n\s*\n|\n#[^\n]*|\n(?:   |\t)[^\n]*`)
	sentenceEnd  = regexp.MustCompile(`[.!?:;][*_")\]]*(?:\s+|$)`)

	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
)

// sentences are those of a text. A colon and a semicolon end one too.
func sentences(body string) (all []string) {
	body = linkTarget.ReplaceAllString(codeSpan.ReplaceAllString("\n"+body, "X"), "]")
	for _, paragraph := range paragraphEnd.Split(body, -1) {
		for _, s := range sentenceEnd.Split(paragraph, -1) {
			if s = strings.Join(strings.Fields(s), " "); s != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

// The rules on prose see what they forbid, and let pass what they do not.
func TestProseIsSeen(t *testing.T) {
	if !tooWide("\t// "+strings.Repeat("x", 94)) || tooWide("\t// "+strings.Repeat("ü", 93)) {
		t.Error("columns are not counted")
	}
	if got := proseLines("a\n```\nb\n```\n| c |\nd"); !slices.Equal(got, []string{"a", "d"}) {
		t.Errorf("prose is %q", got)
	}
	got := sentences("One is\nhere, with `a. b`. Two: three\n\n- four\n- [five](x. y)\n")
	if want := []string{"One is here, with X", "Two", "three", "four", "[five]"}; !slices.Equal(got, want) {
		t.Errorf("sentences are %q, want %q", got, want)
	}
	if !privateWords.MatchString("it heeds that") || privateWords.MatchString("it shuts down") {
		t.Error("words of our own are not seen")
	}
}
