package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"httpdhs/node"
)

// httpdhs runs the program as a shell would.
func httpdhs(args ...string) (status int, out, stderr string) {
	var o, e bytes.Buffer
	status = run(args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// parseServer is the configuration that a call of server comes to.
func parseServer(t *testing.T, args ...string) node.Config {
	t.Helper()
	cfg, _ := parseServerIn(t, room{}, args...)
	return cfg
}

// parseServerIn is parseServer with so much memory.
func parseServerIn(t *testing.T, in room, args ...string) (node.Config, *memoryPlan) {
	t.Helper()
	cli := new(commands)
	parser, err := newParser(cli, &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"server"}, args...)); err != nil {
		t.Fatal(err)
	}
	cfg, plan, err := cli.Server.config(&machine{hostname: "box", room: in})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, plan
}

// Without flags a node is the one that the README describes.
func TestServerDefaults(t *testing.T) {
	cfg := parseServer(t)
	want := node.Config{
		Name: "127.0.0.1:1234", Listen: "127.0.0.1:1234", Replicas: 2, Partitions: 1024, Partitioner: "ring",
		Weight: 1, Limits: limits(4096, 8<<20), TombstoneGrace: time.Hour, Version: versionName(),
	}
	if got, want := show(cfg), show(want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := parseServer(t, "--bind", "0.0.0.0", "--port", "9").Name; got != "box:9" {
		t.Errorf("a node on all addresses is %s, want the name of the machine", got)
	}
}

// A node is called as those are that it joins, so that it has the name that README's next command
// gives it. An address that localhost may not lead to is its own name.
func TestNameOfANodeThatJoins(t *testing.T) {
	for _, tc := range []struct{ want, flags string }{
		{"localhost:1237", "--join=localhost:1234"},
		{"localhost:1237", "--join=LocalHost:1234,127.0.0.1:1235"},
		{"127.0.0.1:1237", "--join=127.0.0.1:1234,localhost:1235"},
		{"127.0.0.1:1237", "--join=box:1234"},
		{"127.0.0.1:1237", "--join=dns:pods.test:1234 --expect=3"},
		{"127.0.0.2:1237", "--bind=127.0.0.2 --join=localhost:1234"},
		{"[::1]:1237", "--bind=::1 --join=localhost:1234"},
		{"box:1237", "--bind=0.0.0.0 --join=localhost:1234"},
		{"10.0.0.1:1", "--advertise=10.0.0.1:1 --join=localhost:1234"},
	} {
		if got := parseServer(t, append(strings.Fields(tc.flags), "--port=1237")...).Name; got != tc.want {
			t.Errorf("%s: the node is called %s, want %s", tc.flags, got, tc.want)
		}
	}
}

func show(cfg node.Config) string {
	var b bytes.Buffer
	_ = printJSON(&b, struct {
		Name, Listen, Partitioner, Zone, Version     string
		Members                                      []string
		Replicas, Partitions, Weight, KeyMax, ValMax int
		MaxMemory                                    int64
		Grace                                        time.Duration
	}{
		cfg.Name, cfg.Listen, cfg.Partitioner, cfg.Zone, cfg.Version, cfg.Members, cfg.Replicas, cfg.Partitions,
		cfg.Weight, cfg.Limits.MaxKeyBytes, cfg.Limits.MaxValueBytes, cfg.MaxMemory, cfg.TombstoneGrace,
	})
	return b.String()
}

// Every flag can be set in the environment, and the flag wins.
func TestEnvironment(t *testing.T) {
	t.Setenv("HTTPDHS_PORT", "7001")
	t.Setenv("HTTPDHS_MAX_MEMORY", "512MiB")
	t.Setenv("HTTPDHS_ACCESS_LOG", "true")
	t.Setenv("HTTPDHS_EVICTION", "s3-fifo")
	t.Setenv("HTTPDHS_CORS_ORIGINS", "https://a.example,https://b.example")
	t.Setenv("HTTPDHS_HOSTS", "kv.example")
	cfg := parseServer(t)
	if cfg.Listen != "127.0.0.1:7001" || cfg.MaxMemory != 512<<20 || !cfg.AccessLog || cfg.Eviction != "s3-fifo" || len(cfg.Web.Origins) != 2 || len(cfg.Web.Hosts) != 1 {
		t.Errorf("the environment is not heard: %+v", cfg)
	}
	if got := parseServer(t, "--port=7002").Listen; got != "127.0.0.1:7002" {
		t.Errorf("listens on %s, want the port of the flag", got)
	}
}

// A node has no zone where its environment has an empty one: so a pod is told a label that it does
// not have.
func TestEmptyZoneOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTPDHS_ZONE", "")
	if got := parseServer(t).Zone; got != "" {
		t.Errorf("the zone is %q, want none", got)
	}
}

// With --conf a node is the line that fits, and its members are all lines.
func TestServerConf(t *testing.T) {
	conf := write(t, "nodes.conf", "localhost:1234\nlocalhost:1235\n")
	cfg := parseServer(t, "--port=1235", "--conf", conf)
	if cfg.Name != "localhost:1235" || cfg.Listen != "127.0.0.1:1235" || strings.Join(cfg.Members, " ") != "localhost:1234 localhost:1235" {
		t.Errorf("got %+v", cfg)
	}
}

// A secret is what its file holds, without the white space around it.
func TestSecrets(t *testing.T) {
	cfg := parseServer(t, "--auth-token-file", write(t, "token", "secret\n"), "--cluster-secret-file", write(t, "s", " other "))
	if cfg.AuthToken != "secret" || cfg.ClusterSecret != "other" {
		t.Errorf("got %q and %q", cfg.AuthToken, cfg.ClusterSecret)
	}
}

// What is wrong with a call is one line on stderr and status 2.
func TestUsageErrors(t *testing.T) {
	bad := write(t, "bad.conf", "a:1\nb\n")
	empty := write(t, "empty", "\n")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "expected one of"},
		{[]string{"serve"}, "unexpected argument serve"},
		{[]string{"server", "--foo"}, "unknown flag --foo (see httpdhs server --help)"},
		{[]string{"server", "--port", "x"}, "--port"},
		{[]string{"server", "--port", "0"}, "--port is 0"},
		{[]string{"server", "--replicas", "0"}, "httpdhs: server: --replicas is 0, want 1 to 16 (see"},
		{[]string{"server", "--replicas=17", "--tls-cert=c"}, "want 1 to 16; --tls-cert and --tls-key go together"},
		{[]string{"server", "--partitions", "1000"}, "--partitions is 1000"},
		{[]string{"server", "--partitioner", "dice"}, "--partitioner"},
		{[]string{"server", "--max-memory", "lots"}, `"lots" is no size`},
		{[]string{"server", "--max-memory=64"}, "--max-memory: 64 is 64 bytes: did you mean 64MiB? Write 64B if not (see"},
		{[]string{"server", "--max-memory= 1.5"}, "did you mean 1.5MiB?"},
		{[]string{"server", "--max-memory=64k"}, "--max-memory is 64.0 KiB, want at least 1.0 MiB"},
		{[]string{"server", "--max-memory=64B"}, "--max-memory is 64 B, want at least"},
		{[]string{"server", "--max-memory=-1"}, `"-1" is no size`},
		{[]string{"server", "--max-value-bytes=8"}, "--max-value-bytes: 8 is 8 bytes: did you mean 8MiB?"},
		{[]string{"server", "--max-key-bytes=4"}, "did you mean 4KiB?"},
		{[]string{"server", "--sync-rate=8"}, "did you mean 8MiB?"},
		{[]string{"load-data", "--sample", "--max-value-bytes=8"}, "did you mean 8MiB?"},
		{[]string{"server", "--max-memory=1"}, "1 is 1 byte: did you mean 1MiB?"},
		{[]string{"server", "--max-memory=1000000"}, "--max-memory is 976.6 KiB, want at least 1.0 MiB"},
		{[]string{"server", "--evict-after=300"}, "did you mean 300s?"},
		{[]string{"server", "--evict-after=30"}, "did you mean 30m?"},
		{[]string{"server", "--tombstone-grace=3600"}, "did you mean 3600s?"},
		{[]string{"server", "--tombstone-grace=24"}, "did you mean 24h?"},
		{[]string{"server", "--shutdown-timeout=10000"}, "did you mean 10000ms?"},
		{[]string{"bench", "--settle=5"}, "did you mean 5s?"},
		{[]string{"bench", "--value-size=100000MB"}, "--value-size is 100000000000, want 0 to 67108864"},
		{[]string{"server", "--replicas=99"}, "--replicas is 99, want 1 to 16"},
		{[]string{"server", "--expect=3"}, "--expect is 3, and there is no --join: give the addresses of the others, or dns:NAME:PORT"},
		{[]string{"server", "--join=dns:all:1", "--expect=101"}, "--expect is 101, want 1 to 100, or 0"},
		{[]string{"server", "--join=dns:all"}, "--join is \"dns:all\", want dns:NAME:PORT"},
		{[]string{"server", "--join=DNS:all:1"}, "--join is \"DNS:all:1\", want dns:NAME:PORT"},
		{[]string{"server", "--join=dns:0.0.0.0:1"}, "--join 0.0.0.0:1 is no address that others could reach"},
		{[]string{"dev", "--replicas=99"}, "--replicas is 99, want 1 to 16"},
		{[]string{"server", "--weight=1000000"}, "--weight is 1000000, want 1 to 100"},
		{[]string{"server", "--partitions=1073741824"}, "--partitions is 1073741824, want a power of two from 1 to 65536"},
		{[]string{"server", "--zone", strings.Repeat("z", 65)}, "--zone has 65 bytes, want at most 64"},
		{[]string{"server", "--pprof-addr=x"}, `--pprof-addr is "x", want HOST:PORT or :PORT`},
		{[]string{"server", "--pprof-addr=:99999"}, `--pprof-addr is ":99999"`},
		{[]string{"server", "--bind=a/b"}, `--bind is "a/b", want an address`},
		{[]string{"server", "--advertise", strings.Repeat("a", 254) + ":1"}, "the host has 254 bytes, want at most 253"},
		{[]string{"server", "--eviction=s3-fifo", "--max-memory=1MiB"}, "--eviction s3-fifo needs at least 33554432"},
		{[]string{"put", "k", "v", "--ttl", "-1"}, `--ttl: expected a value but got "-1"`},
		{[]string{"get", "k", "--r"}, "--r: expected a value but got none"},
		{[]string{"server", "--port"}, "--port: expected a number but got none"},
		{[]string{"server", "--evict-after=5"}, "--evict-after: 5 has no unit: did you mean 5m? (see"},
		{[]string{"server", "--evict-after=-5m"}, `--evict-after: "-5m" is no duration: use one like`},
		{[]string{"server", "--tombstone-grace=1"}, "did you mean 1h?"},
		{[]string{"server", "--tombstone-grace=0"}, "--tombstone-grace is 0"},
		{[]string{"server", "--shutdown-timeout=10"}, "did you mean 10s?"},
		{[]string{"server", "--shutdown-timeout=soon"}, `"soon" is no duration`},
		{[]string{"get", "k", "--timeout=5"}, "did you mean 5s?"},
		{[]string{"get", "k", "--timeout=0"}, "--timeout is 0"},
		{[]string{"bench", "--duration=30"}, "did you mean 30s?"},
		{[]string{"bench", "--read-ratio=95"}, "--read-ratio is 95, want 0 to 1: did you mean 0.95?"},
		{[]string{"server", "--eviction", "lru"}, "--eviction"},
		{[]string{"server", "--eviction", "s3-fifo"}, "--eviction s3-fifo needs --max-memory"},
		{[]string{"server", "--max-value-bytes", "0"}, "--max-value-bytes is 0, want 1 to"},
		{[]string{"put", "k", "v", "--ttl", "soon"}, `--ttl: ttl is "soon": use a duration like 90s`},
		{[]string{"put", "k", "v", "--ttl=-1s"}, `ttl is "-1s": use`},
		{[]string{"server", "--log-level", "loud"}, "--log-level"},
		{[]string{"server", "--cors-origins=https://a.example,b.example"}, `--cors-origins has "b.example": want an origin`},
		{[]string{"server", "--cors-origins=null"}, `--cors-origins has "null"`},
		{[]string{"dev", "--cors-origins=https://a.example/"}, `--cors-origins has "https://a.example/": want an origin`},
		{[]string{"server", "--slow-log=100"}, "did you mean 100ms?"},
		{[]string{"server", "--hosts=kv.example:80"}, `--hosts has "kv.example:80": want a name`},
		{[]string{"server", "--tls-cert", "c.pem"}, "--tls-cert and --tls-key go together"},
		{[]string{"server", "--advertise", "box"}, `--advertise "box" is not host:port`},
		{[]string{"server", "--conf", "/does/not/exist"}, "cannot read --conf: open /does/not/exist"},
		{[]string{"server", "--conf", bad}, bad + `:2: "b" is not host:port`},
		{[]string{"server", "--conf", write(t, "o.conf", "a.invalid:1\n")}, "no line is this node"},
		{[]string{"server", "--auth-token-file", empty}, "is empty"},
		{[]string{"server", "--resp-port=0"}, `--resp-port: "0" is no port: want 1 to 65535`},
		{[]string{"server", "--resp-port=x"}, `"x" is no port`},
		{[]string{"server", "--resp-port", "70000"}, `"70000" is no port`},
		{[]string{"server", "--resp-port", "1234"}, "--resp-port and --port are both 1234"},
		{[]string{"server", "--resp-w=some"}, `--resp-w: w is "some": use one`},
		{[]string{"server", "--resp-r=live"}, `--resp-r: r is "live": use one`},
		{[]string{"server", "--resp-w=one"}, "--resp-w, --resp-r and --resp-flush need --resp-port"},
		{[]string{"server", "--resp-r=all"}, "--resp-w, --resp-r and --resp-flush need --resp-port"},
		{[]string{"server", "--resp-flush=no"}, "--resp-w, --resp-r and --resp-flush need --resp-port"},
		{[]string{"server", "--resp-w=3"}, "--resp-w or --resp-r asks for 3 replicas, and --replicas is 2"},
		{[]string{"server", "--resp-flush=maybe"}, "--resp-flush must be one of"},
		{[]string{"dev", "--resp-port=1235"}, "--port 1234 and --resp-port 1235 are too near to each other for 3 nodes"},
		{[]string{"dev", "--resp-port=65535"}, "--resp-port is 65535, want 3 ports"},
		{[]string{"dev", "--nodes", "0"}, "--nodes is 0"},
		{[]string{"get", ""}, `"": the key is empty`},
		{[]string{"put", "", "x"}, "the key is empty"},
		{[]string{"del", ""}, "the key is empty"},
		{[]string{"load-data", write(t, "a.csv.gz", "a,1\n")}, "not packed, though its name ends in .gz"},
		{[]string{"load-data", write(t, "a.zst", "")}, "not packed, though its name ends in .zst"},
		{[]string{"load-data", write(t, "a.json", " \n")}, "this is empty, and no JSON"},
		{[]string{"get"}, `expected "<key>"`},
		{[]string{"help", "nothing"}, "unexpected argument nothing"},
		{[]string{"server", "--data-dir=d", "--sync=always", "--sync-interval=1s"}, "leave out one of them"},
		{[]string{"server", "--data-dir=d", "--sync=never", "--sync-interval=5s"}, "leave out one of them"},
		{[]string{"server", "--data-dir=d", "--sync-interval=0"}, "want 1ms or more"},
		{[]string{"server", "--data-dir=d", "--sync-interval=500"}, "did you mean 500ms?"},
		{[]string{"server", "--sync-interval=1s"}, "need --data-dir"},
		{[]string{"server", "--data-dir=d", "--max-disk=64MiB"}, "want at least 256.0 MiB, which is 32 times --max-value-bytes"},
		{[]string{"server", "--data-dir=d", "--max-disk=63MiB", "--max-value-bytes=1MiB"}, "want at least 64.0 MiB"},
		{[]string{"recover"}, "say --accept-loss, and to see which these are --dry-run"},
		{[]string{"backup", "--to=b.tar", "--node-addr=nowhere"}, `--node-addr: address "nowhere" is not host:port`},
		{[]string{"get", "k", "--to", "nowhere"}, `--to: address "nowhere" is not host:port`},
		{[]string{"load-data"}, "what to load"},
		{[]string{"load-data", "--sample", "file"}, "--sample takes no file"},
		{[]string{"completion", "tcsh"}, `must be one of "bash","zsh","fish"`},
	} {
		status, out, stderr := httpdhs(tc.args...)
		if status != exitUsage || out != "" || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, stdout %q, stderr %q; want 2 and %q", tc.args, status, out, stderr, tc.want)
		}
	}
}

// Every flag of every command is refused when it is given empty, on the command line or in the
// environment, and says which it is. HTTPDHS_ZONE may be.
func TestEmptyFlags(t *testing.T) {
	parser, err := newParser(new(commands), &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	for command, args := range map[string][]string{
		"server": nil, "dev": nil, "get": {"k"}, "put": {"k", "v"}, "del": {"k"}, "keys": nil, "status": nil,
		"load-data": {"f"}, "ring": nil, "leave": {"n:1"}, "remove": {"n:1"}, "recover": nil, "bench": nil,
	} {
		node := findCommand(parser.Model.Node, command)
		flags := node.Flags
		for _, sub := range node.Children {
			flags = append(flags, sub.Flags...)
		}
		for _, f := range flags {
			if f.Hidden || command == "bench" && f.Name != "to" && f.Name != "auth-token-file" && f.Name != "json" {
				continue
			}
			call := append([]string{command}, args...)
			status, out, stderr := httpdhs(append(call, "--"+f.Name+"=")...)
			if status != exitUsage || out != "" || !strings.Contains(stderr, "--"+f.Name) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s --%s=: status %d, stdout %q, stderr %q", command, f.Name, status, out, stderr)
			}
			if f.Name == "zone" {
				continue
			}
			t.Run(f.Envs[0], func(t *testing.T) {
				t.Setenv(f.Envs[0], "")
				if status, _, stderr := httpdhs(call...); status != exitUsage || !strings.Contains(stderr, f.Envs[0]) && !strings.Contains(stderr, "--"+f.Name) {
					t.Errorf("status %d, stderr %q", status, stderr)
				}
			})
		}
	}
}

// What is meant is taken: a small size with its unit, a number of bytes that is none too small, 0
// where it has a meaning, and days.
func TestUnits(t *testing.T) {
	cfg := parseServer(t, "--max-memory=1048576", "--max-value-bytes=10B", "--max-key-bytes=16", "--sync-rate=0",
		"--evict-after=0", "--tombstone-grace=1d12h", "--shutdown-timeout=1500ms", "--data-dir=d", "--sync-interval=2s")
	if cfg.MaxMemory != 1<<20 || cfg.Limits != limits(16, 10) || cfg.SyncRate != -1 || cfg.EvictAfter != 0 || cfg.TombstoneGrace != 36*time.Hour ||
		cfg.Data.SyncEvery != 2*time.Second {
		t.Errorf("%+v", cfg)
	}
}

// Help and version go to stdout, with status 0.
func TestHelpAndVersion(t *testing.T) {
	for args, want := range map[string]string{
		"--help":        "load-data",
		"server --help": "HTTPDHS_SHUTDOWN_TIMEOUT",
		"help":          "load-data",
		"help leave":    "Usage: httpdhs leave <node>",
		"help bench":    "--read-ratio",
		"help help":     "httpdhs help",
		"version":       "httpdhs ",
		"--version":     "httpdhs ",
	} {
		status, out, stderr := httpdhs(strings.Fields(args)...)
		if status != exitOK || !strings.Contains(out, want) || stderr != "" {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, status, out, stderr)
		}
	}
}

// A time to live is a duration or whole seconds, and 0 is for ever.
func TestTTL(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "90s": 90 * time.Second, "1h30m": 90 * time.Minute,
		"0s": 0, "1d": 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"": -1, "-1": -1, "-1s": -1, "1e3": -1, "9223372037": -1, "-9223372037": -1,
	} {
		var got ttl
		err := got.UnmarshalText([]byte(in))
		if want < 0 && err == nil || want >= 0 && (err != nil || time.Duration(got) != want) {
			t.Errorf("%q is %v (%v), want %v", in, time.Duration(got), err, want)
		}
	}
}

// A size is bytes, or a number with a unit: M and MiB are binary, MB is decimal.
func TestByteSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "4096": 4096, "8MiB": 8 << 20, "8 mib": 8 << 20, "8M": 8 << 20, "8MB": 8e6, "8kB": 8000, "1.5k": 1536, "2GiB": 2 << 30, "1TB": 1e12, "7B": 7,
		"": -1, "MiB": -1, "-1": -1, "1x": -1, "1e3": -1, "9999999TiB": -1, "1..5k": -1, "NaN": -1, "0x10": -1,
	} {
		var got byteSize
		err := got.UnmarshalText([]byte(in))
		if want < 0 && err == nil || want >= 0 && (err != nil || int64(got) != want) {
			t.Errorf("%q is %d (%v), want %d", in, got, err, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
	}
}

// The port of the Redis protocol may be left out, with another flag behind it or none.
func TestRespPortMayBeLeftOut(t *testing.T) {
	for _, c := range []struct {
		args []string
		want optionalPort
	}{
		{nil, 0},
		{[]string{"--resp-port"}, 6379},
		{[]string{"--resp-port", "--replicas=1"}, 6379},
		{[]string{"--resp-port", "7000"}, 7000},
		{[]string{"--resp-port=7001", "--replicas=1"}, 7001},
	} {
		var cmd serverCmd
		parser, err := kong.New(&cmd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(c.args); err != nil || cmd.RespPort != c.want {
			t.Errorf("%q: port %d, %v, want %d", c.args, cmd.RespPort, err, c.want)
		}
	}
}
