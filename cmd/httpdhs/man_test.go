package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// manPages are the pages as they are written to a directory, by name.
func manPages(t *testing.T, args ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if status, out, stderr := httpdhs(append([]string{"man", dir}, args...)...); status != exitOK || out+stderr != "" {
		t.Fatalf("status %d, %s%s", status, out, stderr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(file)] = string(body)
	}
	return pages
}

// There is a page of the program and of each command that --help shows, and no other. It has each
// word that --help has: what the command does, its arguments, its flags, their defaults and
// variables.
func TestManPagesSayWhatHelpSays(t *testing.T) {
	pages := manPages(t)
	parser, err := newParser(new(commands), &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	layout := regexp.MustCompile(`(?m)^(Usage|Commands|Arguments|Flags):|^Run "httpdhs .*`)
	seen := 0
	var look func(node *kong.Node)
	look = func(node *kong.Node) {
		page := pages[pageName(node)+".1"]
		seen++
		_, help, _ := httpdhs(append(strings.Fields(node.FullPath())[1:], "--help")...)
		help = layout.ReplaceAllString(help, "")
		if page == "" || len(strings.Fields(help)) < 10 {
			t.Fatalf("%s: the page has %d bytes, and --help says %q", pageName(node), len(page), help)
		}
		said := wordsOf(strings.NewReplacer(`\-`, "-", `\(dq`, `"`, `\e`, `\`, `\&`, "", "(1)\"", "\"").Replace(page))
		for _, child := range shown(node.Children) {
			said = append(said, child.Name) // it says httpdhs-NAME(1) of them
			look(child)
		}
		for _, word := range wordsOf(help) {
			if !slices.Contains(said, word) {
				t.Errorf("%s: --help says %q, and the page does not", pageName(node), word)
			}
		}
	}
	look(parser.Model.Node)
	if len(pages) != seen {
		t.Errorf("%d pages for %d commands", len(pages), seen)
	}
}

// wordsOf are the words of a text in lower case, without the marks around them.
func wordsOf(text string) (words []string) {
	for _, word := range strings.Fields(strings.ToLower(text)) {
		words = append(words, strings.Trim(word, `".,;:()`))
	}
	return words
}

// What is no request to roff is not read as one, a paragraph stays one, and what is indented stays
// as it is.
func TestManTextIsNoMarkup(t *testing.T) {
	var m roff
	m.prose(".dot\n'quote\n\nsecond \\fB \"x\" --flag\n\n    code  here\n    .more\n\nlast")
	const want = `\&.dot 'quote` + "\n.PP\nsecond " + `\efB \(dqx\(dq \-\-flag` + "\n.EX\ncode  here\n" + `\&.more` + "\n.EE\n.PP\nlast\n"
	if got := m.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// man and mandoc, where they are installed, have nothing to complain about.
func TestManPagesAreClean(t *testing.T) {
	var linters [][]string
	for _, command := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"man", "--warnings", "-l", "-Tutf8"}} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Logf("there is no %s here", command[0])
			continue
		}
		linters = append(linters, command)
	}
	if len(linters) == 0 {
		t.Skip("neither man nor mandoc is here")
	}
	dir := t.TempDir()
	var files []string
	for name, body := range manPages(t, "--date=2026-01-31") {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, command := range linters {
		cmd := exec.Command(command[0], append(command[1:], files...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANPAGER=cat", "PAGER=cat")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if command[0] == "mandoc" {
			complaints.Write(out)
		}
		if err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v\n%s", command[0], err, &complaints)
		}
	}
}
