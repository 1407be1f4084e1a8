package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// envRun says that the mutants are run: see make mutants.
const envRun = "MUTANTS"

// simulation is the test that runs simulated clusters. It tells of a seed that fails by failed.
const (
	simulation = "TestSeeds"
	failed     = "FAILED seed"
)

// Every mutant is one of the code as it is: its line is there, once, and so is the test that finds
// it. With MUTANTS set each is made, and that test fails.
func TestMutantsAreCaught(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.bug, func(t *testing.T) {
			text, err := m.text(root)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.tested(root); err != nil {
				t.Fatal(err)
			}
			if os.Getenv(envRun) == "" {
				return
			}
			out, err := m.run(t.TempDir(), root, text)
			mark := "--- FAIL: " + m.test
			if m.test == simulation {
				mark = failed
			}
			switch {
			case err == nil:
				t.Errorf("%s does not find it", m.test)
			case !strings.Contains(out, mark):
				t.Errorf("%s does not come to find it:\n%s", m.test, out)
			}
		})
	}
}

// The page of mutants names each.
func TestEachIsOnThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "design", "mutants.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if !strings.Contains(string(page), "| "+m.bug+" |") {
			t.Errorf("docs/design/mutants.md has no row for %q, which %s finds", m.bug, m.test)
		}
	}
}

// text is the mutant's file.
func (m *mutant) text(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.from); n != 1 {
		return "", fmt.Errorf("%s has this %d times, want once: the mutant has to follow the code\n%s", m.file, n, m.from)
	}
	return strings.Replace(string(text), m.from, m.to, 1), nil
}

// tested says why there is no such test in the package.
func (m *mutant) tested(root string) error {
	files, err := filepath.Glob(filepath.Join(root, m.in, "*_test.go"))
	if err != nil {
		return err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "func "+m.test+"(t *testing.T)") {
			return nil
		}
	}
	return fmt.Errorf("package %s has no %s", m.in, m.test)
}

// run runs the test with the mutant's file in the place of the right one. The error is that of the
// go command.
func (m *mutant) run(dir, root, text string) (out string, err error) {
	broken, overlay := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): broken}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "test", "-vet=off", "-timeout=30m", "-overlay="+overlay, "-run=^"+m.test+"$", "./"+m.in)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), fmt.Sprint("SIMNET_FROM=", max(m.seed, 1)), fmt.Sprint("SIMNET_SEEDS=", seeds))
	said, err := cmd.CombinedOutput()
	return string(said), err
}
