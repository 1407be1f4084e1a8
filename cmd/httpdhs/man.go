package main

import (
	"fmt"
	"go/doc/comment"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// manCmd writes the manual pages. They are made from the command line's own model, as --help is, so
// the two say the same. Whoever builds packages runs it: it is hidden from --help.
type manCmd struct {
	Dir  string `arg:"" help:"Directory, which is there, to write the pages to."`
	Date string `placeholder:"YYYY-MM-DD" help:"Date that the pages bear; none without."`
}

func (cmd *manCmd) Run(app *kong.Kong) error {
	for _, page := range cmd.pages(app.Model.Node) {
		if err := os.WriteFile(filepath.Join(cmd.Dir, page.name+".1"), []byte(page.text), 0o644); err != nil {
			return fmt.Errorf("cannot write a manual page: %w", err)
		}
	}
	return nil
}

// manPage is a page of section 1.
type manPage struct{ name, text string }

// pages are that of a command, or of the whole program, and those of the commands below it.
func (cmd *manCmd) pages(node *kong.Node) []manPage {
	pages := []manPage{{pageName(node), cmd.page(node)}}
	for _, child := range shown(node.Children) {
		pages = append(pages, cmd.pages(child)...)
	}
	return pages
}

func (cmd *manCmd) page(node *kong.Node) string {
	var m roff
	fmt.Fprintf(&m, ".TH %q 1 %q %q \"User Commands\"\n", strings.ToUpper(pageName(node)), cmd.Date, "httpdhs "+versionName())
	m.macro("nh") // a name that is broken at its hyphens is another one
	m.macro("SH", "NAME")
	first, rest, _ := strings.Cut(node.Help, ".") // of the program's: the others are one sentence
	m.text(pageName(node) + " - " + lowerFirst(first))
	m.macro("SH", "SYNOPSIS")
	m.text(strings.TrimSpace(root(node).Name + " " + strings.TrimSpace(node.Summary())))
	if description := strings.TrimSpace(rest + "\n\n" + node.Detail); description != "" {
		m.macro("SH", "DESCRIPTION")
		m.prose(description)
	}
	if len(node.Positional) > 0 {
		m.macro("SH", "ARGUMENTS")
		for _, arg := range node.Positional {
			m.item(arg.Summary(), kong.DefaultHelpValueFormatter(arg))
		}
	}
	if commands := shown(node.Children); len(commands) > 0 {
		m.macro("SH", "COMMANDS")
		for _, c := range commands {
			m.item(pageName(c)+"(1)", c.Help)
		}
	}
	m.macro("SH", "OPTIONS")
	for _, level := range node.AllFlags(true) {
		for _, f := range level {
			m.item(spelling(f), kong.DefaultHelpValueFormatter(f.Value))
		}
	}
	m.macro("SH", "EXIT STATUS")
	m.item(fmt.Sprint(exitOK), "It was done.")
	m.item(fmt.Sprint(exitError), "It was not done. One line on stderr says why.")
	m.item(fmt.Sprint(exitUsage), "It was asked for in the wrong way. One line on stderr says what to do.")
	if node.Name == serverName {
		m.item(fmt.Sprint(exitConfig), "The same, where a service manager is told how the node is (NOTIFY_SOCKET).")
	}
	if node.Parent != nil {
		m.macro("SH", "SEE ALSO")
		m.text(pageName(node.Parent) + "(1)")
	}
	return m.String()
}

// shown are the commands that --help shows.
func shown(nodes []*kong.Node) []*kong.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *kong.Node) bool { return n.Hidden })
}

// pageName is httpdhs-get for the command get, as git and others call theirs.
func pageName(node *kong.Node) string {
	if node.Parent == nil {
		return node.Name
	}
	return pageName(node.Parent) + "-" + node.Name
}

func root(node *kong.Node) *kong.Node {
	for node.Parent != nil {
		node = node.Parent
	}
	return node
}

// spelling is how a flag is written, as --help has it.
func spelling(f *kong.Flag) string {
	s := "--" + f.Name
	if f.Tag.Negatable != "" {
		s = "--[no-]" + f.Name
	}
	if !f.IsBool() {
		s += "=" + f.FormatPlaceHolder()
	}
	if f.Short != 0 {
		s = "-" + string(f.Short) + ", " + s
	}
	return s
}

func lowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}

// roff is a page as it grows, in the man macros.
type roff struct{ strings.Builder }

// roffSpecial are the characters that roff does not take as they are. A bare - would become a
// hyphen, which no shell knows.
var roffSpecial = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`)

// text writes one line of text, which is no request to roff whatever it begins with.
func (m *roff) text(line string) {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		m.WriteString(`\&`)
	}
	m.WriteString(roffSpecial.Replace(line) + "\n")
}

func (m *roff) macro(name string, args ...string) {
	m.WriteString("." + name)
	for _, arg := range args {
		m.WriteString(` "` + roffSpecial.Replace(arg) + `"`)
	}
	m.WriteString("\n")
}

// item writes a term and, indented below it, what it means.
func (m *roff) item(term, meaning string) {
	m.macro("TP")
	m.macro("B", term)
	m.text(meaning)
}

// prose writes paragraphs, and what is indented as it is. They are told apart as by --help.
func (m *roff) prose(text string) {
	printer := comment.Printer{TextWidth: -1} // a line for a paragraph, and code behind a tab
	body := printer.Text(new(comment.Parser).Parse(text))
	code := false
	for i, block := range strings.Split(strings.TrimRight(string(body), "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		was := code
		code = strings.HasPrefix(lines[0], "\t")
		switch {
		case was && code:
			m.text("")
		case was:
			m.macro("EE")
			m.macro("PP")
		case code:
			m.macro("EX")
		case i > 0:
			m.macro("PP")
		}
		for _, line := range lines {
			m.text(strings.TrimPrefix(line, "\t"))
		}
	}
	if code {
		m.macro("EE")
	}
}
