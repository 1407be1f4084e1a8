package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A node says which files of secrets others on its machine may read or write, for each flag that
// names one. It says nothing where the file's group alone may, as in a pod, or where a directory on
// the way keeps others out.
func TestOpenSecretsAreTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no modes of files")
	}
	dir, err := os.MkdirTemp("/tmp", "httpdhs-private-") // t.TempDir may be in a directory that keeps others out
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	told := func(modeOfDir, mode os.FileMode, files ...secretFile) string {
		t.Helper()
		for name, mode := range map[string]os.FileMode{dir: modeOfDir, file: mode} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		warnOfOpen(slog.New(slog.NewTextHandler(&out, nil)), files)
		return out.String()
	}
	for _, c := range []struct {
		dir, mode os.FileMode
		open      bool
	}{
		{0o755, 0o600, false},
		{0o755, 0o440, false},
		{0o755, 0o660, false},
		{0o755, 0o644, true},
		{0o755, 0o666, true},
		{0o755, 0o602, true},
		{0o711, 0o644, true},
		{0o750, 0o644, false},
		{0o700, 0o666, false},
	} {
		for _, name := range []string{file, link} {
			line := told(c.dir, c.mode, secretFile{"--tls-key", name}, secretFile{"--auth-token-file", ""})
			if want := c.open && strings.Count(line, "level=WARN") == 1 && strings.Contains(line, "chmod o-rwx "+name) && strings.Contains(line, "flag=--tls-key"); want != c.open || !c.open && line != "" {
				t.Errorf("%v in %v: %q", c.mode, c.dir, line)
			}
		}
	}
	flags := []string{"--auth-token-file", "--cluster-secret-file", "--metrics-token-file", "--tls-key"}
	args := []string{"server", "--tls-cert", file}
	for _, flag := range flags {
		args = append(args, flag, file)
	}
	cli := new(commands)
	parser, err := newParser(cli, &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	line := told(0o755, 0o644, cli.Server.secretFiles()...)
	for _, flag := range flags {
		if !strings.Contains(line, "flag="+flag) {
			t.Errorf("nothing is said of %s: %s", flag, line)
		}
	}
}
