package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/poll"
	"httpdhs/node"
)

// safe-to-stop says by its exit status whether nodes can be stopped, and what to wait for. With
// --wait it waits, so long at most.
func TestSafeToStopCommand(t *testing.T) {
	nodes, names := startCluster(t, 2)
	expect(t, 0, "", "", "put", "k", "v", "--w=all")
	const quorums = "; 1024 of 1024 partitions have no quorum of owners up while "
	expect(t, 0, "safe to stop "+names[1]+": each key has another copy that is up and in sync"+quorums+names[1]+" is stopped\n", "",
		"safe-to-stop", names[1])
	expect(t, 0, "safe to stop "+names[0]+": each key has another copy that is up and in sync"+quorums+names[0]+" is stopped\n", "",
		"safe-to-stop", "--wait=1s")
	expect(t, exitError, "", "not safe to stop "+names[1]+": 1024 of 1024 partitions have no quorum", "safe-to-stop", "--quorum", names[1])
	expect(t, exitError, "", "1 of 1024 partitions, with 1 key, would lose their last copy that is up and in sync: no other node is a member",
		append([]string{"safe-to-stop"}, names...)...)
	expect(t, exitError, "", "the members are 127.0.0.1:", "safe-to-stop", "nobody:1")
	expect(t, exitUsage, "", `"nobody" is not host:port`, "safe-to-stop", "nobody")
	expect(t, exitUsage, "", "did you mean 5m?", "safe-to-stop", "--wait=5")
	expect(t, exitError, "", "would lose their last copy", "safe-to-stop", "--wait=1ms", names[0], names[1])

	var doc api.SafeToStop
	status, out, _ := httpdhs("safe-to-stop", "-o", "json", names[0], names[1])
	if err := json.Unmarshal([]byte(out), &doc); err != nil || status != exitError || doc.Safe || doc.LastCopies.Keys != 1 {
		t.Errorf("as JSON: status %d, %s", status, out)
	}

	nodes[1].Kill()
	expect(t, exitError, "", "wait for "+names[1]+": it ", "safe-to-stop", names[0], "--to", names[0])
	done := make(chan string)
	go func() {
		status, out, stderr := httpdhs("safe-to-stop", "--wait", names[0], "--to", names[0])
		done <- fmt.Sprint(status, out, strings.Contains(stderr, "httpdhs: waiting: 1 of 1024 partitions, with 1 key"))
	}()
	var ln net.Listener
	poll.True(t, "the port is free", func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", names[1])
		return err == nil
	})
	again, err := node.Open(node.Config{Name: names[1], Members: names, Listener: ln})
	if err != nil {
		t.Fatal(err)
	}
	nodes[1] = again
	if got := <-done; !strings.HasPrefix(got, "0safe to stop "+names[0]) || !strings.HasSuffix(got, "true") {
		t.Errorf("waited: %s", got)
	}
	if err := shutdown(time.Minute, []*node.Node{again}); err != nil {
		t.Error(err)
	}
}

// --wait needs no value, and takes that of leave's variable.
func TestPatience(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"": 0, "--wait": patienceUsual, "--wait a:1": patienceUsual, "--wait=90s": 90 * time.Second, "--wait=true": patienceUsual, "--wait=false": 0,
	} {
		cli := new(commands)
		parser, err := newParser(cli, &terminal{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"safe-to-stop"}, strings.Fields(args)...)); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		if got := time.Duration(cli.SafeToStop.Wait); got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
}
