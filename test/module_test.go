package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program with which the README and the documentation of package client begin runs, as it
// stands, in a module of its own.
func TestGoProgramOfAnotherModule(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	program := goProgram(t, "../README.md", "```go\n", "", "```")
	if documented := goProgram(t, "../client/doc.go", "//\tpackage main\n", "//\t", "// #"); documented != program {
		t.Errorf("client/doc.go begins with\n%s\nand the README with\n%s", documented, program)
	}
	program = strings.Replace(program, "localhost:1234", c.addr(0), 1)

	if out, err := runInModule(t, program); err != nil || out != "hello\n" {
		t.Errorf("it prints %q, %v", out, err)
	}
}

// runInModule runs a program in a module of its own that uses this one.
func runInModule(t *testing.T, program string) (out string, err error) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": program,
		"go.mod":  "module example.org/hello\n\ngo 1.26.0\n\nrequire httpdhs v0.0.0\n\nreplace httpdhs => " + root + "\n",
		"go.sum":  string(sums), // go mod tidy would ask for them
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command("go", "run", "-mod=mod", ".")
	run.Dir, run.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	printed, err := run.CombinedOutput()
	return string(printed), err
}

// goProgram is the first program of a file: what lies between begin and end, without what each of
// its lines begins with.
func goProgram(t *testing.T, file, begin, prefix, end string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), begin)
	program, _, ended := strings.Cut(after, end)
	if !found || !ended {
		t.Fatalf("%s has no program, after %d bytes", file, len(before))
	}
	if strings.Contains(begin, "package main") {
		program = begin + program
	}
	var b strings.Builder
	for line := range strings.Lines(program) {
		b.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, prefix), "//"))
	}
	return strings.TrimSpace(b.String()) + "\n"
}
