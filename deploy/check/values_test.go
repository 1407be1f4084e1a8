package check

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

// Values that cannot be meant are refused before anything is installed. What is wrong by itself is
// listed by its place, all of it at once.
func TestChartRefusesBadValues(t *testing.T) {
	for _, bad := range []map[string]string{
		{ // what to set, and what is listed
			"replicaCount=0":                              "/replicaCount",
			"port=123456":                                 "/port",
			"image.digest=latest":                         "/image/digest",
			"image.tag=a b":                               "/image/tag",
			"evictAfter=soon":                             "/evictAfter",
			"sync=always":                                 "'sync' not allowed",
			"persistence.sync=sometimes":                  "/persistence/sync",
			"persistence.size=foo":                        "/persistence/size",
			"persistence.storageClass=a:b":                "/persistence/storageClass",
			"persistence.maxDisk=5Gi":                     "/persistence/maxDisk",
			"persistence.retentionPolicy.whenDeleted=Eat": "/persistence/retentionPolicy/whenDeleted",
			"maxMemory=foo":                               "/maxMemory",
			"log.slow=fast":                               "/log/slow",
			"cluster.partitions=1000":                     "/cluster/partitions",
			"podDisruptionBudget.maxUnavailable=foo":      "/podDisruptionBudget/maxUnavailable",
			"metrics.serviceMonitor.interval=foo":         "/metrics/serviceMonitor/interval",
			"metrics.serviceMonitor.scrapeTimeout=":       "/metrics/serviceMonitor/scrapeTimeout",
			"auth.key=":                                   "/auth/key",
			"clusterSecret.key=":                          "/clusterSecret/key",
			"tls.caKey=":                                  "/tls/caKey",
			"metrics.key=":                                "/metrics/key",
			"auth.existingSecret=A_b":                     "/auth/existingSecret",
			"nameOverride=UPPER_x":                        "/nameOverride",
			"fullnameOverride=1a":                         "/fullnameOverride",
			"imagePullSecrets[0]=foo":                     "/imagePullSecrets/0",
			"tolerations[0]=foo":                          "/tolerations/0",
			"extraEnv[0].value=foo":                       "/extraEnv/0",
			"extraVolumes[0].emptyDir.medium=Memory":      "/extraVolumes/0",
			"corsOrigins[0]=a.example.com":                "/corsOrigins/0",
			"service.loadBalancerSourceRanges[0]=all":     "/service/loadBalancerSourceRanges/0",
			"podLabels.a=b c":                             "/podLabels/a",
		},
		{
			"replicaCount=101":                      "/replicaCount",
			"persistence.size=10GiB":                "/persistence/size",
			"podDisruptionBudget.maxUnavailable=-1": "/podDisruptionBudget/maxUnavailable",
		},
	} {
		_, err := template(t, "--set", strings.Join(slices.Collect(maps.Keys(bad)), ","))
		for set, place := range bad {
			if err == nil || !strings.Contains(err.Error(), place) {
				t.Errorf("--set %s is taken", set)
			}
		}
		if t.Failed() {
			t.Log(err)
		}
	}
}

// Values that do not go together are refused, too. The error says which these are.
func TestChartRefusesValuesThatDiffer(t *testing.T) {
	const onDisk = "persistence.enabled=true,"
	for set, say := range map[string]string{
		"replicaCount=6": "cluster.expect is 3, want more than half",
		"podLabels.app\\.kubernetes\\.io/instance=x":                   "podLabels has app.kubernetes.io/instance",
		"service.labels.app\\.kubernetes\\.io/name=x":                  "service.labels has app.kubernetes.io/name",
		"metrics.port=1234":                                            "port and metrics.port are both 1234",
		"resp.port=1234,resp.enabled=true":                             "port and resp.port are both 1234",
		"metrics.port=6379,resp.enabled=true":                          "metrics.port and resp.port are both 6379",
		onDisk + "persistence.maxDisk=10GiB":                           "persistence.maxDisk is 10GiB, want less than persistence.size, 10Gi",
		onDisk + "persistence.maxDisk=0.1TiB":                          "persistence.maxDisk is 0.1TiB",
		"eviction=s3-fifo,resources=null":                              "resources.limits.memory or maxMemory",
		"nameOverride=db,fullnameOverride=":                            "",
		"podLabels.app\\.kubernetes\\.io/version=x":                    "", // pods have it from nobody else
		"resp.port=1234":                                               "", // nobody listens there
		onDisk + "persistence.maxDisk=10GB,persistence.storageClass=-": "",
		"resources=null":                                               "",
		"eviction=s3-fifo":                                             "",
	} {
		_, err := template(t, "--set", set)
		if (err == nil) != (say == "") || err != nil && !strings.Contains(err.Error(), say) {
			t.Errorf("--set %s: %v, want %q", set, err, say)
		}
	}
	_, err := helm(t, "template", "1st", chart, "--kube-version", "1.35.0")
	if err == nil || !strings.Contains(err.Error(), "begin with a letter") {
		t.Errorf("services called 1st-httpdhs: %v", err)
	}
}

// setting is a value of the chart that is a flag of the node.
type setting struct {
	value, flag string
	with        []string // flags that the node wants beside it
	texts       []string
}

var (
	sizes     = []string{"512MiB", "1.5GB", "2G", "512Mi", "foo", "-1"}
	durations = []string{"1h30m", "1.5d", "0s", "soon", "10", "-5m"}
	settings  = []setting{
		{"maxMemory", "max-memory", nil, append([]string{"0", "0.5%", "101%", "0%", "64"}, sizes...)},
		{"persistence.maxDisk", "max-disk", []string{"--data-dir=/none"}, sizes},
		{"persistence.syncInterval", "sync-interval", []string{"--data-dir=/none"}, durations},
		{"evictAfter", "evict-after", nil, durations},
		{"tombstoneGrace", "tombstone-grace", nil, durations},
		{"log.slow", "slow-log", nil, durations},
		{"log.level", "log-level", nil, []string{"debug", "loud"}},
		{"log.format", "log-format", nil, []string{"json", "xml"}},
		{"eviction", "eviction", []string{"--max-memory=1GiB"}, []string{"none", "s3-fifo", "lru"}},
		{"persistence.sync", "sync", []string{"--data-dir=/none"}, []string{"interval", "always", "never", "off"}},
		{"cluster.partitioner", "partitioner", nil, []string{"rendezvous", "dice"}},
		{"cluster.partitions", "partitions", nil, []string{"1", "64", "65536", "0", "1000", "131072"}},
		{"cluster.replicas", "replicas", nil, []string{"1", "16", "0", "17"}},
		{"corsOrigins[0]", "cors-origins", nil, []string{"*", "https://a.example.com", "http://localhost:3000", "a.example.com", "https://a/b", "null"}},
		{"zone.value", "zone", nil, []string{"eu-1a", strings.Repeat("z", 64), strings.Repeat("z", 65)}},
	}
)

// The chart takes of each setting what the node takes, and refuses what the node refuses: a pod
// that starts only to end again tells less. Many are tried at once, since helm lists all that it
// refuses.
func TestChartTakesWhatTheNodeTakes(t *testing.T) {
	_, _ = helm(t, "version") // skips where there is none
	binary := built(t)
	for i := range slices.MaxFunc(settings, func(a, b setting) int { return len(a.texts) - len(b.texts) }).texts {
		var args []string
		for _, s := range settings {
			if i >= len(s.texts) {
				continue
			}
			set := "--set-string"
			if s.flag == "partitions" || s.flag == "replicas" {
				set = "--set"
			}
			args = append(args, set, s.value+"="+s.texts[i])
		}
		_, refused := template(t, args...)
		for _, s := range settings {
			if i >= len(s.texts) {
				continue
			}
			place := "at '/" + strings.NewReplacer(".", "/", "[0]", "/0").Replace(s.value) + "'"
			chartTakes := refused == nil || !strings.Contains(refused.Error(), place)
			// What is well, but for a file that is not there, is a line about the file.
			args := append([]string{"server", "--conf=/none", fmt.Sprintf("--%s=%s", s.flag, s.texts[i])}, s.with...)
			said, _ := exec.Command(binary, args...).CombinedOutput()
			if nodeTakes := strings.Contains(string(said), "cannot read --conf"); chartTakes != nodeTakes {
				t.Errorf("%s=%s: the chart takes it: %v, the node says %s", s.value, s.texts[i], chartTakes, said)
			}
		}
	}
}

// The token for metrics is the node's wherever it is set: with tokens of clients and without, on
// either port.
func TestChartGivesTheTokenOfMetrics(t *testing.T) {
	for _, more := range []string{"", ",auth.existingSecret=clients", ",metrics.port=9100", ",auth.existingSecret=clients,metrics.port=9100"} {
		docs := rendered(t, "", "--set", "metrics.existingSecret=scrape"+more)
		pod := the[*apps.StatefulSet](t, docs).Spec.Template.Spec
		if !slices.Contains(pod.Containers[0].Args, "--metrics-token-file=/etc/httpdhs/metrics/token") {
			t.Errorf("%q: the node is not told of the token", more)
		}
		if !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return v.Secret != nil && v.Secret.SecretName == "scrape" }) {
			t.Errorf("%q: the pod has no such token", more)
		}
		mounts(t, &pod, nil)
	}
}

// Who scrapes reaches the metrics: on their own port, or where they are without it.
func TestChartLetsScrapersIn(t *testing.T) {
	for port, more := range map[string]string{"metrics": ",metrics.port=9100", "http": ""} {
		docs := rendered(t, "", "--set", "networkPolicy.enabled=true,networkPolicy.clients[0].podSelector.matchLabels.is=client,"+
			"networkPolicy.scrapers[0].podSelector.matchLabels.is=scraper"+more)
		in := false
		for _, rule := range the[*networking.NetworkPolicy](t, docs).Spec.Ingress {
			from := slices.ContainsFunc(rule.From, func(p networking.NetworkPolicyPeer) bool {
				return p.PodSelector.MatchLabels["is"] == "scraper"
			})
			in = in || from && slices.ContainsFunc(rule.Ports, func(p networking.NetworkPolicyPort) bool { return p.Port.StrVal == port })
		}
		if !in {
			t.Errorf("scrapers do not reach the port %s", port)
		}
	}
}

// The pod of helm test goes where the nodes go, says what it takes, and is there when helm asks for
// its log.
func TestChartTestRuns(t *testing.T) {
	docs := rendered(t, "", "--set", "nodeSelector.disk=fast,tolerations[0].operator=Exists")
	pod, node := the[*core.Pod](t, docs), the[*apps.StatefulSet](t, docs).Spec.Template.Spec
	if policy := pod.Annotations["helm.sh/hook-delete-policy"]; policy != "before-hook-creation" {
		t.Errorf("the pod is removed by %q", policy)
	}
	if pod.Spec.NodeSelector["disk"] != "fast" || len(pod.Spec.Tolerations) != len(node.Tolerations) {
		t.Errorf("it runs on %v, and tolerates %v", pod.Spec.NodeSelector, pod.Spec.Tolerations)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s says no resources", c.Name)
		}
	}
}
