package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const unitDir = "../deploy/systemd"

// systemd takes the unit as it is, and finds it little exposed.
func TestUnitIsGood(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here: the unit is not verified")
	}
	text, err := os.ReadFile(filepath.Join(unitDir, "httpdhs.service"))
	if err != nil {
		t.Fatal(err)
	}
	// The program has to be where the unit says.
	unit := strings.ReplaceAll(string(text), "/usr/bin/httpdhs", binary)
	if unit == string(text) {
		t.Error("the unit does not run /usr/bin/httpdhs")
	}
	file := filepath.Join(t.TempDir(), "httpdhs.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	const exposureMax = "15" // tenths: 1.5 of 10
	out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold="+exposureMax, file).CombinedOutput()
	if err != nil && strings.Contains(string(out), "unrecognized option") {
		t.Skip("this systemd-analyze is too old to judge a file")
	}
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// Every setting of the example is one of the server, and is commented out. The unit reads that
// file.
func TestUnitSettings(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile(filepath.Join(unitDir, "httpdhs.service"))
	if err != nil || !strings.Contains(string(unit), "\nEnvironmentFile=-/etc/httpdhs/httpdhs.env\n") {
		t.Errorf("the unit does not read the file (%v)", err)
	}
	text, err := os.ReadFile(filepath.Join(unitDir, "httpdhs.env"))
	if err != nil {
		t.Fatal(err)
	}
	status, help, _ := run(t, nil, "server", "--help")
	if status != 0 {
		t.Fatal(help)
	}
	names := regexp.MustCompile(`HTTPDHS_[A-Z_]*[A-Z]`)
	settings := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			t.Errorf("%q is not commented out", line)
		}
		if strings.HasPrefix(line, "#HTTPDHS_") {
			settings++
		}
		for _, name := range names.FindAllString(line, -1) {
			if !regexp.MustCompile(`\$` + name + `\b`).MatchString(help) {
				t.Errorf("the server knows no %s", name)
			}
		}
	}
	if settings < 10 {
		t.Errorf("%d settings", settings)
	}
}

// The unit starts a node again that has crashed or that its watchdog has aborted, and not one that
// is set up wrongly or has stopped by itself. The same bad settings are a 2 where no service
// manager is told.
func TestUnitRestartsWhatCrashes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(unitDir, "httpdhs.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string][]string{}
	for _, line := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		unit[line[1]] = strings.Fields(line[2])
	}
	if !slices.Equal(unit["Restart"], []string{"on-failure"}) {
		t.Fatalf("Restart= is %q", unit["Restart"])
	}
	again := func(status int) bool {
		return status != 0 && !slices.Contains(unit["RestartPreventExitStatus"], strconv.Itoa(status))
	}
	managed := "NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "notify")
	startManager(t, strings.TrimPrefix(managed, "NOTIFY_SOCKET="))

	for _, signal := range []syscall.Signal{syscall.SIGABRT, syscall.SIGQUIT, syscall.SIGSEGV, syscall.SIGKILL} {
		port := freePort(t)
		p, err := launch(t.TempDir(), []string{managed}, "server", fmt.Sprintf("--port=%d", port), "--replicas=1")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		if err := (&cluster{ports: []int{port}, nodes: []*process{p}}).awaitReady(); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if status, err := p.wait(); err != nil || !again(status) {
			t.Errorf("after %v it ended with %d and is not started again (%v)", signal, status, err)
		}
	}
	if status, _, stderr := run(t, []string{managed, "GOMEMLIMIT=x"}, "server"); !again(status) || !strings.Contains(stderr, "fatal error") {
		t.Errorf("a fatal error ended it with %d, and it is not started again:\n%s", status, stderr)
	}
	for _, bad := range [][]string{{"--no-such-flag"}, {"--replicas=0"}, {"--conf=/none"}, {"--auth-token-file=/none"}} {
		args := append([]string{"server"}, bad...)
		if status, _, _ := run(t, []string{managed}, args...); again(status) {
			t.Errorf("%q ended it with %d, and it is started again", bad, status)
		}
		if status, _, _ := run(t, nil, args...); status != 2 {
			t.Errorf("%q ended it with %d where nobody is told, want 2", bad, status)
		}
	}
}
