package check

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
)

// page is docs/deploy/kubernetes.md, and the values that it lists as fixed by an installation.
func page(t *testing.T) (text string, fixed []string) {
	t.Helper()
	body, err := os.ReadFile("../../docs/deploy/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	text = string(body)
	_, section, _ := strings.Cut(text, "\n### What is fixed\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([a-zA-Z.]+)`").FindAllStringSubmatch(row[1], -1) {
			fixed = append(fixed, name[1])
		}
	}
	if len(fixed) < 5 {
		t.Fatalf("the page lists %q as fixed", fixed)
	}
	return text, fixed
}

// What the page has its reader install and upgrade, the chart takes. No upgrade sets what is fixed.
func TestCommandsOfThePage(t *testing.T) {
	text, fixed := page(t)
	text = strings.ReplaceAll(text, "\\\n", "")
	commands, sets := regexp.MustCompile(`(?m)^helm (install|upgrade) .*$`), regexp.MustCompile(`--set (\S+)`)
	for _, command := range commands.FindAllStringSubmatch(text, -1) {
		args := []string{"--set", "cluster.expect=3"} // as it is, so that there is one
		for _, set := range sets.FindAllStringSubmatch(command[0], -1) {
			args = append(args, "--set", set[1])
			if name, _, _ := strings.Cut(set[1], "="); command[1] == "upgrade" && slices.Contains(fixed, name) {
				t.Errorf("%s\nsets %s, which is fixed", command[0], name)
			}
		}
		if _, err := template(t, args...); err != nil {
			t.Errorf("%s\n%v", command[0], err)
		}
	}
}

// What the page lists as fixed is that: of these values come what Kubernetes does not let a
// StatefulSet change, the names of the nodes, and what nodes refuse each other for. Of others it
// does not come.
func TestWhatIsFixedIsListed(t *testing.T) {
	_, fixed := page(t)
	type forGood struct {
		spec apps.StatefulSetSpec
		node []string
	}
	of := func(set string) (f forGood) {
		spec := the[*apps.StatefulSet](t, rendered(t, "", "--set", set)).Spec
		node := spec.Template.Spec.Containers[0]
		for _, arg := range node.Args {
			if name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "="); slices.Contains(
				[]string{"port", "join", "replicas", "partitions", "partitioner", "cluster-secret-file", "tls-cert"}, name) {
				f.node = append(f.node, arg)
			}
		}
		f.spec = apps.StatefulSetSpec{ // the fields that may not change
			Selector: spec.Selector, ServiceName: spec.ServiceName, PodManagementPolicy: spec.PodManagementPolicy,
			VolumeClaimTemplates: spec.VolumeClaimTemplates,
		}
		return f
	}
	const onDisk = "persistence.enabled=true,"
	memory, disk := of("replicaCount=3"), of(onDisk+"replicaCount=3")
	found := []string{}
	for _, set := range []string{
		"replicaCount=5", "cluster.replicas=3", "cluster.partitions=64", "cluster.partitioner=modulus", "cluster.expect=2", "port=80",
		"clusterDomain=k8s.example.com", "nameOverride=db", "fullnameOverride=db", "clusterSecret.existingSecret=s", "auth.existingSecret=s",
		"tls.existingSecret=s", "metrics.port=9100", "resp.enabled=true", "podLabels.a=b", "podAntiAffinity=hard", "image.tag=v2",
		"persistence.enabled=true", onDisk + "persistence.size=20Gi", onDisk + "persistence.storageClass=fast", onDisk + "persistence.annotations.a=b",
		onDisk + "persistence.accessModes[0]=ReadWriteOncePod", onDisk + "persistence.sync=always", onDisk + "persistence.maxDisk=1GiB",
		onDisk + "persistence.retentionPolicy.whenDeleted=Delete",
	} {
		before, name := memory, strings.TrimPrefix(set, onDisk)
		if name != set {
			before = disk
		}
		name, _, _ = strings.Cut(strings.Replace(name, "annotations.a", "annotations", 1), "=")
		name = strings.TrimSuffix(name, "[0]")
		if !reflect.DeepEqual(before, of(set)) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	if slices.Sort(fixed); !slices.Equal(found, fixed) {
		t.Errorf("fixed are %q\nthe page lists %q", found, fixed)
	}
}
