package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"httpdhs/internal/poll"
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

// The zsh script, in a real zsh with a terminal, completes from the first Tab on: sourced, and as a
// file in $fpath.
func TestZshCompletion(t *testing.T) {
	zsh, err := exec.LookPath("zsh")
	if err != nil {
		t.Skip("no zsh here")
	}
	_, script, _ := httpdhs("completion", "zsh")
	file := write(t, "_httpdhs", script)
	for name, setup := range map[string]string{
		"sourced":  "source " + file,
		"in fpath": "fpath=(" + filepath.Dir(file) + " $fpath); autoload -U compinit; compinit -u -D",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), poll.Patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, zsh, "-f", "-c", `zmodload zsh/zpty
			zpty shell "TERM=dumb PS1='ready> ' zsh -f -i"
			zpty -r shell text '*ready> '
			zpty -w shell "$1; echo set''up"
			zpty -r shell text '*setup*ready> '
			zpty -w -n shell "httpdhs server --tls-c"$'\t\t'
			zpty -r shell text '*--tls-ca *--tls-cert*' && print -r -- "$text"`, "zsh", setup)
		cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(file), "ZDOTDIR="+filepath.Dir(file))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The fish script, in a real fish, completes commands, flags and the values of flags that have a
// list of them.
func TestFishCompletion(t *testing.T) {
	fish, err := exec.LookPath("fish")
	if err != nil {
		t.Skip("no fish here")
	}
	_, script, _ := httpdhs("completion", "fish")
	file := write(t, "httpdhs.fish", script)
	for line, want := range map[string]string{
		"httpdhs s":                    "safe-to-stop server status",
		"httpdhs server --tls-c":       "--tls-ca --tls-cert",
		"httpdhs server --log-format ": "json text",
		"httpdhs completion z":         "zsh",
		"httpdhs help le":              "leave",
	} {
		cmd := exec.Command(fish, "--no-config", "-c", "source "+file+`; complete -C "`+line+`" | cut -f 1 | sort | xargs`)
		cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(file))
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q completes to %q (%v), want %q", line, got, err, want)
		}
	}
}
