package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The bash script, in a real bash, completes commands, flags and the values
// of flags that have a list of them.
func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	_, script, _ := httpdhs("completion", "bash")
	for line, want := range map[string]string{
		"httpdhs s":                      "safe-to-stop server status",
		"httpdhs server --tls-c":         "--tls-ca --tls-cert",
		"httpdhs server --log-format ":   "json text",
		"httpdhs server --log-level = w": "warn",
		"httpdhs completion z":           "zsh",
		"httpdhs le":                     "leave",
		"httpdhs leave --n":              "--no-wait",
		"httpdhs help le":                "leave",
		"httpdhs status -o j":            "json",
		"httpdhs server --port 12":       "",
		"httpdhs load-data --format nd":  "ndjson",
	} {
		words := strings.Split(line, " ")
		quoted := "'" + strings.Join(words, "' '") + "'"
		cmd := exec.Command(bash, "--norc", "-c", script+"\nCOMP_WORDS=("+quoted+"); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _httpdhs; "+
			`printf '%s\n' "${COMPREPLY[@]}" | sort | xargs`)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q completes to %q (%v), want %q", line, got, err, want)
		}
	}
}

// Every command and every flag is in every script.
func TestCompletionIsComplete(t *testing.T) {
	parser, err := newParser(new(commands), &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		status, script, stderr := httpdhs("completion", shell)
		if status != exitOK || stderr != "" {
			t.Errorf("%s: status %d, %s", shell, status, stderr)
		}
		for _, c := range completions(parser.Model.Node) {
			if !strings.Contains(script, c.name) {
				t.Errorf("%s: no command %s", shell, c.name)
			}
			for _, f := range c.flags {
				if !strings.Contains(script, f.Name) {
					t.Errorf("%s: no flag --%s", shell, f.Name)
				}
			}
		}
	}
}
