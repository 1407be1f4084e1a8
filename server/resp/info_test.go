package resp

import (
	"io"
	"strconv"
	"strings"
	"testing"
)

// bulk asks for a text.
func (c *client) bulk(command string) string {
	c.Helper()
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		c.Fatal(err)
	}
	head := ""
	for b := make([]byte, 1); !strings.HasSuffix(head, "\r\n"); head += string(b) {
		if _, err := io.ReadFull(c, b); err != nil {
			c.Fatal(err)
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil {
		c.Fatal(err)
	}
	text := make([]byte, n+2)
	if _, err := io.ReadFull(c, text); err != nil {
		c.Fatal(err)
	}
	return string(text[:n])
}

// INFO tells what clients and exporters look for, and only the sections that were asked for.
func TestInfo(t *testing.T) {
	_, _, addr := start(t, Options{Name: "a:1", Version: "1.2.3", Port: 6379, Evicts: true})
	c := dial(t, addr)
	c.say("MSET a 1 b 2\r\nGET a\r\nGET none\r\n", "+OK\r\n$1\r\n1\r\n$-1\r\n")
	all := c.bulk("INFO")
	for _, want := range []string{
		"redis_version:7.0.15", "httpdhs_version:1.2.3", "redis_mode:standalone", "tcp_port:6379", "uptime_in_seconds:0",
		"connected_clients:1", "used_memory:1048576", "used_memory_human:1.00M", "maxmemory:0", "maxmemory_policy:allkeys-lfu",
		"loading:0", "role:master", "keyspace_hits:1", "keyspace_misses:1", "cluster_enabled:1", "db0:keys=2,expires=0,avg_ttl=0",
	} {
		if !strings.Contains(all, want+"\r\n") {
			t.Errorf("INFO does not tell %s", want)
		}
	}
	for _, command := range []string{"INFO all", "INFO default", "INFO everything", "INFO server all"} {
		if got := c.bulk(command); strings.Count(got, "# ") != strings.Count(all, "# ") {
			t.Errorf("%s is %q", command, got)
		}
	}
	if got := c.bulk("INFO CLUSTER keyspace nosuchsection"); got != "# Cluster\r\ncluster_enabled:1\r\n\r\n# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n" {
		t.Errorf("two sections: %q", got)
	}
	c.say("CONFIG RESETSTAT\r\n", "+OK\r\n")
	if got := c.bulk("INFO stats"); !strings.Contains(got, "keyspace_hits:0\r\n") {
		t.Errorf("after CONFIG RESETSTAT: %q", got)
	}
}

// Bytes are written for people as Redis writes them.
func TestHuman(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 916440: "894.96K", 25276026880: "23.54G"} {
		if got := human(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// CONFIG GET finds by patterns, and nothing can be set.
func TestConfig(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("CONFIG GET MAXMEMORY*\r\n", "*4\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n")
	c.say("CONFIG GET cluster-enabled requirepass\r\n", "*2\r\n$15\r\ncluster-enabled\r\n$3\r\nyes\r\n")
	c.say("CONFIG SET timeout 1\r\n", "-ERR nothing is set by CONFIG SET: a node has the settings that it was started with\r\n")
}
