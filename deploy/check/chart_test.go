package check

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"httpdhs/internal/testbinary"
)

const chart = "../helm/httpdhs"

// kinds are the types that the chart's documents have to decode to.
var kinds = map[string]func() any{
	"v1/ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1/Pod":                                  func() any { return new(core.Pod) },
	"v1/Service":                              func() any { return new(core.Service) },
	"v1/ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"apps/v1/StatefulSet":                     func() any { return new(apps.StatefulSet) },
	"policy/v1/PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1/ServiceMonitor": func() any { return new(monitoring.ServiceMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

// helm runs helm, and skips the test where there is none.
func helm(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	path, err := exec.LookPath("helm")
	if err != nil {
		t.Skip("helm is not installed: the chart is not checked")
	}
	cmd := exec.Command(path, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), stderr.String())
	}
	return out.String(), err
}

// valueFiles are the sets of values that the chart is checked with. "" is its own.
func valueFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in ci/: %v", err)
	}
	return append([]string{""}, files...)
}

// with is the arguments that choose a file of values.
func with(file string) []string {
	if file == "" {
		return nil
	}
	return []string{"--values", file}
}

// template has helm render the chart. Without a version helm's own is that of the cluster, which
// the chart may refuse.
func template(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	return helm(t, append([]string{"template", "release", chart, "--namespace", "ns", "--kube-version", "1.35.0"}, args...)...)
}

// rendered is what the chart makes of a file of values, each document decoded strictly.
func rendered(t *testing.T, file string, more ...string) (docs []any) {
	t.Helper()
	out, err := template(t, append(with(file), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range regexp.MustCompile(`(?m)^---$`).Split(out, -1) {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if head.Kind == "" {
			continue
		}
		empty, ok := kinds[head.APIVersion+"/"+head.Kind]
		if !ok {
			t.Fatalf("nobody knows the type %s/%s", head.APIVersion, head.Kind)
		}
		v := empty()
		if err := yaml.UnmarshalStrict([]byte(doc), v); err != nil {
			t.Errorf("%s %s: %v", file, head.Kind, err)
		}
		docs = append(docs, v)
	}
	return docs
}

// the is the only document of a type.
func the[T any](t *testing.T, docs []any) (found T) {
	t.Helper()
	n := 0
	for _, doc := range docs {
		if d, ok := doc.(T); ok {
			found = d
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d documents are a %T, want 1", n, found)
	}
	return found
}

// helm finds nothing to say about the chart.
func TestChartIsLinted(t *testing.T) {
	for _, file := range valueFiles(t) {
		if _, err := helm(t, append([]string{"lint", "--strict", chart}, with(file)...)...); err != nil {
			t.Error(err)
		}
	}
}

// What the chart renders is what Kubernetes takes: each document decodes to its type, with no field
// that it does not have. What one document names is in another.
func TestChartRenders(t *testing.T) {
	for _, file := range valueFiles(t) {
		docs := rendered(t, file)
		set := the[*apps.StatefulSet](t, docs)
		pod := &set.Spec.Template
		for _, doc := range docs {
			switch d := doc.(type) {
			case *core.Service:
				selects(t, d.Name, d.Spec.Selector, pod.Labels)
				for _, port := range d.Spec.Ports {
					hasPort(t, d.Name, pod, port.TargetPort.String())
				}
			case *policy.PodDisruptionBudget:
				selects(t, d.Name, d.Spec.Selector.MatchLabels, pod.Labels)
			case *networking.NetworkPolicy:
				selects(t, d.Name, d.Spec.PodSelector.MatchLabels, pod.Labels)
			case *monitoring.ServiceMonitor:
				monitored(t, d, docs)
			case *core.Pod:
				mounts(t, &d.Spec, nil)
			}
		}
		selects(t, set.Name, set.Spec.Selector.MatchLabels, pod.Labels)
		if !slices.ContainsFunc(docs, func(doc any) bool {
			s, ok := doc.(*core.Service)
			return ok && s.Name == set.Spec.ServiceName && s.Spec.ClusterIP == "None" && s.Spec.PublishNotReadyAddresses
		}) {
			t.Errorf("%s: no headless service is called %s", file, set.Spec.ServiceName)
		}
		mounts(t, &pod.Spec, set.Spec.VolumeClaimTemplates)
	}
}

func selects(t *testing.T, name string, selector, labels map[string]string) {
	t.Helper()
	if len(selector) == 0 {
		t.Errorf("%s selects everything", name)
	}
	for key, value := range selector {
		if labels[key] != value {
			t.Errorf("%s selects %s=%s, the pods have %q", name, key, value, labels[key])
		}
	}
}

func hasPort(t *testing.T, who string, pod *core.PodTemplateSpec, name string) {
	t.Helper()
	if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p core.ContainerPort) bool { return p.Name == name }) {
		t.Errorf("%s names the port %q, which the pods do not have", who, name)
	}
}

// monitored finds the service that a monitor watches, and its port.
func monitored(t *testing.T, m *monitoring.ServiceMonitor, docs []any) {
	t.Helper()
	for _, doc := range docs {
		s, ok := doc.(*core.Service)
		if !ok || slices.ContainsFunc(slices.Collect(maps.Keys(m.Spec.Selector.MatchLabels)), func(key string) bool {
			return s.Labels[key] != m.Spec.Selector.MatchLabels[key]
		}) {
			continue
		}
		if slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Name == m.Spec.Endpoints[0].Port }) {
			return
		}
	}
	t.Errorf("%s watches no service", m.Name)
}

// mounts looks whether each volume of a pod is mounted, and each mount has its volume.
func mounts(t *testing.T, pod *core.PodSpec, claims []core.PersistentVolumeClaim) {
	t.Helper()
	mounted := map[string]bool{}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, m := range c.VolumeMounts {
			mounted[m.Name] = true
		}
	}
	var volumes []string
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, c := range claims {
		volumes = append(volumes, c.Name)
	}
	for _, name := range volumes {
		if !mounted[name] {
			t.Errorf("nothing mounts volume %q", name)
		}
		delete(mounted, name)
	}
	for name := range mounted {
		t.Errorf("there is no volume %q", name)
	}
}

// A pod that ends has time for all of it: it waits until that is safe, drains, and stops.
func TestChartGivesTimeToStop(t *testing.T) {
	for _, file := range valueFiles(t) {
		set := the[*apps.StatefulSet](t, rendered(t, file))
		spec, takes := set.Spec.Template.Spec, int64(0)
		words := slices.Concat(spec.Containers[0].Args, spec.Containers[0].Lifecycle.PreStop.Exec.Command)
		for _, flag := range []string{"--wait=", "--drain-delay=", "--shutdown-timeout="} {
			i := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, flag) })
			if i < 0 {
				t.Fatalf("%s: no %s", file, flag)
			}
			var seconds int64
			if _, err := fmt.Sscanf(strings.TrimPrefix(words[i], flag), "%ds", &seconds); err != nil {
				t.Fatalf("%s: %s: %v", file, words[i], err)
			}
			takes += seconds
		}
		if grace := *spec.TerminationGracePeriodSeconds; grace <= takes {
			t.Errorf("%s: the grace period is %d s, the end takes %d s", file, grace, takes)
		}
	}
}

// A monitor sends the clients' token only to the port of the API: that of the metrics asks for none
// but its own, and what goes there can be read by who is on the way.
func TestChartKeepsTheTokenOfClients(t *testing.T) {
	for set, want := range map[string]string{
		"auth.existingSecret=clients":                                                 "clients",
		"auth.existingSecret=clients,metrics.port=9100":                               "",
		"auth.existingSecret=clients,metrics.port=9100,metrics.existingSecret=scrape": "scrape",
	} {
		docs := rendered(t, "", "--set", "metrics.serviceMonitor.enabled=true,"+set)
		sent := ""
		if with := the[*monitoring.ServiceMonitor](t, docs).Spec.Endpoints[0].Authorization; with != nil {
			sent = with.Credentials.Name
		}
		if sent != want {
			t.Errorf("%s: the monitor sends the token of %q, want %q", set, sent, want)
		}
	}
}

// The names of a certificate, as the page says them, are all by which nodes and clients are called.
func TestChartCertificateHasAllNames(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploy/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(dnsNames:.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("kubernetes.md names no dnsNames")
	}
	var cert struct{ DNSNames []string }
	if err := yaml.UnmarshalStrict(block[1], &cert); err != nil {
		t.Fatal(err)
	}
	docs := rendered(t, "", "--namespace", "default",
		"--set", "fullnameOverride=httpdhs,tls.existingSecret=tls,metrics.serviceMonitor.enabled=true")
	node := the[*apps.StatefulSet](t, docs).Spec.Template.Spec.Containers[0]
	client := the[*core.Pod](t, docs).Spec.Containers[0]
	called := []string{*the[*monitoring.ServiceMonitor](t, docs).Spec.Endpoints[0].TLSConfig.ServerName}
	for _, arg := range node.Args {
		if name, ok := strings.CutPrefix(arg, "--join=dns:"); ok {
			called = append(called, name)
		}
	}
	for _, e := range slices.Concat(node.Env, client.Env) {
		if e.Name == "HTTPDHS_TO" {
			called = append(called, strings.ReplaceAll(e.Value, "$(POD_NAME)", "httpdhs-0"))
		}
	}
	if len(called) != 4 {
		t.Fatalf("called by %q, want the monitor's name, that to join by, the node's and the service's", called)
	}
	for _, name := range called {
		host, _, _ := strings.Cut(name, ":")
		if err := (&x509.Certificate{DNSNames: cert.DNSNames}).VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

// What a node in a pod is told, the binary takes.
func TestChartGivesFlagsThatAre(t *testing.T) {
	_ = rendered(t, "") // skips where there is no helm
	binary := built(t)
	help := map[string]string{}
	for _, command := range []string{"server", "safe-to-stop", "put", "get", "del"} {
		out, err := exec.Command(binary, command, "--help").CombinedOutput()
		if err != nil {
			t.Fatalf("%s --help: %v\n%s", command, err, out)
		}
		help[command] = string(out)
	}
	for _, file := range valueFiles(t) {
		docs := rendered(t, file)
		set, test := the[*apps.StatefulSet](t, docs), the[*core.Pod](t, docs)
		node := set.Spec.Template.Spec.Containers[0]
		taken(t, help, node.Args, node.Env)
		taken(t, help, node.Lifecycle.PreStop.Exec.Command[1:], nil)
		for _, c := range slices.Concat(test.Spec.InitContainers, test.Spec.Containers) {
			taken(t, help, c.Args, c.Env)
		}
	}
}

// taken says whether a command has the flags of args, and those that env sets. The node takes no
// --to: the commands in its pod do.
func taken(t *testing.T, help map[string]string, args []string, env []core.EnvVar) {
	t.Helper()
	about, ok := help[args[0]]
	if !ok {
		t.Fatalf("nobody has looked at the help of %s", args[0])
	}
	for _, arg := range args[1:] {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(name, "--") && !regexp.MustCompile(regexp.QuoteMeta(name)+`[=\[ \n]`).MatchString(about) {
			t.Errorf("httpdhs %s has no %s", args[0], name)
		}
	}
	for _, e := range env {
		if strings.HasPrefix(e.Name, "HTTPDHS_") && e.Name != "HTTPDHS_TO" && !strings.Contains(about, "$"+e.Name) {
			t.Errorf("httpdhs %s does not read %s", args[0], e.Name)
		}
	}
}

// What watches or guards the nodes is there where it is turned on, and nowhere else.
func TestChartIsSmallByDefault(t *testing.T) {
	for _, doc := range rendered(t, "") {
		switch doc.(type) {
		case *networking.NetworkPolicy, *monitoring.ServiceMonitor, *monitoring.PrometheusRule:
			t.Errorf("%T is there by default", doc)
		}
	}
	docs := rendered(t, filepath.Join(chart, "ci", "all-values.yaml"))
	rule := the[*monitoring.PrometheusRule](t, docs)
	the[*monitoring.ServiceMonitor](t, docs)
	the[*networking.NetworkPolicy](t, docs)
	if len(rule.Spec.Groups) == 0 {
		t.Error("the PrometheusRule has no rules")
	}
}

// Each alert links to its entry: in the file of this checkout, or where the values say that it is.
func TestAlertsLinkToRunbooks(t *testing.T) {
	const elsewhere = "https://docs.example.com/operations"
	enabled := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(enabled, []byte("metrics: {prometheusRule: {enabled: true}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for values, base := range map[string]string{enabled: "docs/operations.md", filepath.Join(chart, "ci", "all-values.yaml"): elsewhere} {
		alerts := 0
		for _, group := range the[*monitoring.PrometheusRule](t, rendered(t, values)).Spec.Groups {
			for _, rule := range group.Rules {
				if rule.Alert == "" {
					continue
				}
				alerts++
				if got, want := rule.Annotations["runbook_url"], base+"#"+strings.ToLower(rule.Alert); got != want {
					t.Errorf("%s links to %s, want %s", rule.Alert, got, want)
				}
			}
		}
		if alerts == 0 {
			t.Errorf("%s: no alerts", values)
		}
	}
}

// built is the binary of this checkout.
func built(t *testing.T) string {
	t.Helper()
	if err := testbinary.LookAtSources(); err != nil {
		t.Fatal(err)
	}
	binary, err := testbinary.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
