package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rulesFile     = "../../deploy/prometheus/rules.yaml"
	rulesTestFile = "../../deploy/prometheus/rules_test.yaml"
	dashboardFile = "../../deploy/grafana/httpdhs.json"
)

var (
	// A name is a metric if it has one of our prefixes, or is followed by a selector or a range.
	metricName = regexp.MustCompile(`\b(?:httpdhs|go|process)_[a-z0-9_]+|[a-zA-Z_:][a-zA-Z0-9_:]*(?:[{\[])`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
	expression = regexp.MustCompile(`(?m)^ +expr: (.*)$`)
	recorded   = regexp.MustCompile(`(?m)^ +- record: (.*)$`)
	alertName  = regexp.MustCompile(`(?m)^ +- alert: (.*)$`)
	alertTest  = regexp.MustCompile(`alertname: (\w+),?\s+exp_alerts:( \[\])?`)
	runbook    = regexp.MustCompile(`(?m)^### (Httpdhs[A-Za-z]+)$`)
	lookedAt   = regexp.MustCompile(`(?m)In the dashboard:.*\n(  .*\n)*`)
	runbookURL = regexp.MustCompile(`(?m)^ +runbook_url: docs/operations\.md#(.*)$`)
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exported are the names that a node with everything exports, with those of the parts of
// histograms and summaries.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	families, err := New(full()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"up": true} // Prometheus's own
	for _, f := range families {
		for _, part := range []string{"", "_bucket", "_sum", "_count"} {
			if m := f.GetMetric()[0]; part == "" || m.GetHistogram() != nil || m.GetSummary() != nil && part != "_bucket" {
				names[f.GetName()+part] = true
			}
		}
	}
	return names
}

// wantNames fails for each metric in an expression that is not there.
func wantNames(t *testing.T, file, expr string, there map[string]bool) (found int) {
	t.Helper()
	for _, name := range metricName.FindAllString(quoted.ReplaceAllString(expr, `""`), -1) {
		name = strings.TrimRight(name, "{[")
		if found++; !there[name] {
			t.Errorf("%s: no node exports %s: %s", file, name, expr)
		}
	}
	return found
}

// Every metric in the rules is exported by a node, or made by a rule.
func TestRulesNameMetricsThatExist(t *testing.T) {
	text, there := read(t, rulesFile), exported(t)
	for _, name := range recorded.FindAllStringSubmatch(text, -1) {
		there[name[1]] = true
	}
	for _, expr := range expression.FindAllStringSubmatch(text, -1) {
		if wantNames(t, rulesFile, expr[1], there) == 0 {
			t.Errorf("%s: no metric was found in %s", rulesFile, expr[1])
		}
	}
}

// panel is what this test reads of a panel of Grafana.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Targets     []struct{ Expr string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

// Every metric in the dashboard is exported by a node. Every panel says what it shows, and in which
// unit.
func TestDashboardShowsMetricsThatExist(t *testing.T) {
	var dashboard struct {
		Panels     []panel
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	there, ids := exported(t), make(map[int]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels are number %d", p.Title, p.ID)
		}
		if ids[p.ID] = true; p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q, lacks a title, a description, a unit or a query", p.ID, p.Title)
		}
		for _, target := range p.Targets {
			if wantNames(t, dashboardFile, target.Expr, there) == 0 {
				t.Errorf("%s: no metric was found in %s", p.Title, target.Expr)
			}
		}
	}
	if len(ids) < 20 {
		t.Errorf("only %d panels were found", len(ids))
	}
	for _, v := range dashboard.Templating.List {
		wantNames(t, dashboardFile, v.Definition, there)
	}
}

// What the rules record is used, by them or by the dashboard. The metrics that a page says to look
// at in the dashboard are there.
func TestDashboardHasWhatIsLookedFor(t *testing.T) {
	rules, dashboard := read(t, rulesFile), read(t, dashboardFile)
	for _, name := range recorded.FindAllStringSubmatch(rules, -1) {
		if strings.Count(rules+dashboard, name[1]) < 2 {
			t.Errorf("%s records %s, which nothing uses", rulesFile, name[1])
		}
	}
	looked := 0
	for _, entry := range lookedAt.FindAllString(read(t, "../../docs/operations.md"), -1) {
		for _, name := range metricName.FindAllString(entry, -1) {
			if looked++; !strings.Contains(dashboard, name) {
				t.Errorf("the dashboard has no %s", name)
			}
		}
	}
	if looked == 0 {
		t.Error("no metric was found that is to be in the dashboard")
	}
}

// What the tests above read is what they forbid.
func TestMissingMetricsAreSeen(t *testing.T) {
	got := metricName.FindAllString(quoted.ReplaceAllString(`sum by (op) (rate(httpdhs_gone{op="x"}[5m])) / other{a="up["} + go_gone`, `""`), -1)
	if want := []string{"httpdhs_gone", "other{", "go_gone"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// Each alert has its entry in the documents, at the address that it names, and each entry its
// alert.
func TestAlertsHaveRunbooks(t *testing.T) {
	rules := read(t, rulesFile)
	var alerts, addresses, entries []string
	for _, m := range alertName.FindAllStringSubmatch(rules, -1) {
		alerts = append(alerts, m[1])
		addresses = append(addresses, strings.ToLower(m[1]))
	}
	for _, m := range runbook.FindAllStringSubmatch(read(t, "../../docs/operations.md"), -1) {
		entries = append(entries, m[1])
	}
	if len(alerts) == 0 || !slices.Equal(alerts, entries) {
		t.Errorf("alerts:  %q\nentries: %q", alerts, entries)
	}
	var named []string
	for _, m := range runbookURL.FindAllStringSubmatch(rules, -1) {
		named = append(named, m[1])
	}
	if !slices.Equal(named, addresses) {
		t.Errorf("alerts name the entries %q, want %q", named, addresses)
	}
	for _, part := range []string{"severity", "summary", "description"} {
		if n := strings.Count(rules, part+": "); n != len(alerts) {
			t.Errorf("%d alerts have a %s, of %d", n, part, len(alerts))
		}
	}
}

// Each alert has a test at which it fires, and one at which it does not.
func TestAlertsHaveTests(t *testing.T) {
	tests := read(t, rulesTestFile)
	for _, m := range alertName.FindAllStringSubmatch(read(t, rulesFile), -1) {
		var fires, quiet bool
		for _, tried := range alertTest.FindAllStringSubmatch(tests, -1) {
			if tried[1] == m[1] {
				fires, quiet = fires || tried[2] == "", quiet || tried[2] != ""
			}
		}
		if !fires || !quiet {
			t.Errorf("%s has a test in which it fires: %v, and one in which it does not: %v", m[1], fires, quiet)
		}
	}
}

// The rules are Prometheus's, and fire when their tests say.
func TestRulesFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: the rules are not tested")
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
