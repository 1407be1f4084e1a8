package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The program of each page in docs/start runs as it stands, against a cluster, and prints what the
// page says. Languages that are not installed are skipped.
func TestStartPages(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	pages, err := filepath.Glob("../docs/start/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, page := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile("`make\\sbuild`,\\sthen\\s`bin/httpdhs dev`").Match(text) {
				t.Error("the page does not say where the command comes from")
			}
			p := startProgram(t, string(text))
			if _, err := exec.LookPath(p.command[0]); err != nil {
				t.Skipf("%s is not installed", p.command[0])
			}
			for i, addr := range []string{"localhost:1234", "localhost:1235", "localhost:1236"} {
				p.text = strings.ReplaceAll(p.text, addr, c.addr(i))
			}
			if out, err := p.run(t); err != nil || out != p.prints {
				t.Errorf("it prints\n%s%v\nThe page says\n%s", out, err, p.prints)
			}
		})
	}
}

// program is what a page of docs/start has its reader save, run and see.
type program struct {
	file, text string
	command    []string
	prints     string
}

func (p *program) run(t *testing.T) (out string, err error) {
	t.Helper()
	if p.command[0] == "go" {
		return runInModule(t, p.text)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, p.file), []byte(p.text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(p.command[0], p.command[1:]...)
	run.Dir = dir
	printed, err := run.CombinedOutput()
	return string(printed), err
}

// startProgram is the first program of a page: the block that names its file in the first line, the
// command that runs it, and what that prints.
func startProgram(t *testing.T, page string) (p program) {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	named := regexp.MustCompile(`^(?:<\?php )?(?://|#) (\S+\.\S+)\n`)
	at := slices.IndexFunc(blocks, func(b []string) bool { return named.MatchString(b[2]) })
	if at < 0 || len(blocks) < at+3 || blocks[at+2][1] != "text" {
		t.Fatal("it has no program with its file, its command and what it prints")
	}
	return program{
		file:    named.FindStringSubmatch(blocks[at][2])[1],
		text:    blocks[at][2],
		command: strings.Fields(blocks[at+1][2]),
		prints:  blocks[at+2][2],
	}
}
