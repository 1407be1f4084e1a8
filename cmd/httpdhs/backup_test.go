package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"httpdhs/disk"
)

// What a backup is written to is said with --to alone. HTTPDHS_TO has the nodes to ask, as it has
// for other commands.
func TestWhereABackupGoes(t *testing.T) {
	t.Setenv("HTTPDHS_TO", "a:1,b:1")
	cli := new(commands)
	parser, err := newParser(cli, &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"backup"}); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("without --to: %v", err)
	}
	if _, err := parser.Parse([]string{"backup", "--to=dir"}); err != nil || cli.Backup.To != "dir" || !slices.Equal(cli.Backup.NodeAddr, []string{"a:1", "b:1"}) {
		t.Errorf("to %s, of %q, %v", cli.Backup.To, cli.Backup.NodeAddr, err)
	}
	if _, err := parser.Parse([]string{"restore", "--from=dir"}); err != nil || !slices.Equal(cli.Restore.To, []string{"a:1", "b:1"}) {
		t.Errorf("into %q, %v", cli.Restore.To, err)
	}
}

// What is wrong with a backup, or with how it is named, is said before any node is asked.
func TestBackupsThatAreNone(t *testing.T) {
	empty := t.TempDir()
	for _, tc := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"backup", "--to=x.tar.gz"}, exitUsage, "a file ends in .tar or .tar.zst"},
		{[]string{"backup", "--to=x.zst"}, exitUsage, "a file ends in .tar or .tar.zst"},
		{[]string{"restore"}, exitUsage, "--from"},
		{[]string{"restore", "--from", filepath.Join(empty, "none")}, exitError, "no such file"},
		{[]string{"restore", "--from", empty}, exitError, "no backup"},
		{[]string{"restore", "--from", empty, "--max-memory=1"}, exitUsage, "did you mean 1GiB?"},
		{[]string{"check", empty}, exitError, "no backup"},
		{[]string{"check"}, exitUsage, "<path>"},
	} {
		status, out, stderr := httpdhs(tc.args...)
		if status != tc.status || out != "" || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, %q, %q, want %d, %q", tc.args, status, out, stderr, tc.status, tc.want)
		}
	}
}

// A directory that was not closed in good order is well. Where a part is damaged, the command says
// which partitions may lack something.
func TestCheckSaysWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	log, err := disk.Open(disk.Options{Dir: dir, Identity: disk.Identity{Node: "a:1", Partitions: 64, Settings: "--replicas=2"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := httpdhs("check", dir)
	if status != exitOK || !strings.Contains(out, "a:1") || !strings.Contains(out, "no, as after a crash") || stderr != "" {
		t.Errorf("status %d\n%s%s", status, out, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000001.log"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000003.log"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := httpdhs("check", dir); status != exitOK {
		t.Errorf("segments that were begun and never synced: status %d\n%s", status, out)
	}
	for text, lost := range map[string][]int{
		"2 of 32 may lack something: those whose number modulo 16 is 3": {3, 19}, "1 of 32 may lack something: those whose number modulo 16 is 15": {15},
		"3 of 32 may lack something: those whose number modulo 16 is 0, 15": {0, 16, 31},
	} {
		if got := lostText(lost, 32); got != text {
			t.Errorf("%v: %s, want %s", lost, got, text)
		}
	}
	if got := lostText([]int{0, 1}, 2); got != "2 of 2 may lack something" {
		t.Error(got)
	}
}
