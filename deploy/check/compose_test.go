package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// compose is what the check looks at of compose.yaml.
type compose struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Environment map[string]string
		Ports       []string
		Volumes     []string
		Restart     string
		Healthcheck struct{ Test []string }
	}
}

func composeFile(t *testing.T) (c compose) {
	t.Helper()
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// The nodes of compose.yaml are told what the binary takes, and list each other. All ports are of
// this machine alone, and what is mounted is there.
func TestComposeIsWhatItSays(t *testing.T) {
	c := composeFile(t)
	out, err := exec.Command(built(t), "server", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var nodes []string
	for name, s := range c.Services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s to everybody", name, port)
			}
		}
		for _, volume := range s.Volumes {
			file, _, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(filepath.Join("..", file)); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
		if s.Image != "httpdhs" {
			continue
		}
		nodes = append(nodes, name+":1234")
		for key := range s.Environment {
			if !strings.Contains(string(out), "$"+key) {
				t.Errorf("%s sets %s, which no flag of the node has", name, key)
			}
		}
		if s.Restart != "on-failure" {
			t.Errorf("%s is restarted %s: a node that has left would join again", name, s.Restart)
		}
		if want := name + ":1234"; s.Environment["HTTPDHS_ADVERTISE"] != want {
			t.Errorf("%s is called %s, want %s", name, s.Environment["HTTPDHS_ADVERTISE"], want)
		}
		if test := s.Healthcheck.Test; len(test) < 3 || test[1] != "/usr/bin/httpdhs" || test[2] != "healthcheck" {
			t.Errorf("%s is checked by %q", name, test)
		}
	}
	if len(nodes) != 3 {
		t.Fatalf("%d nodes, want 3", len(nodes))
	}
	for _, node := range nodes {
		if !strings.Contains(c.Services["node1"].Environment["HTTPDHS_JOIN"], node) {
			t.Errorf("node1 does not look for %s", node)
		}
	}
}

// Prometheus takes its file, and the rules that it names.
func TestPrometheusTakesItsFile(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: prometheus.yaml is not checked")
	}
	if out, err := exec.Command(promtool, "check", "config", "../prometheus/prometheus.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
