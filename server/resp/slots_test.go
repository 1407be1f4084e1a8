package resp

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
)

// threeNodes is a cluster of three nodes that are asked, one that is down, one that leaves and one
// that does not speak RESP.
type threeNodes struct {
	fakeCluster
	key   func() api.Key
	asked *int
}

func (f threeNodes) Cluster(time.Time) api.Cluster {
	*f.asked++
	node := func(name, resp, state string) api.Node { return api.Node{Name: name, Resp: resp, State: state} }
	down := node("d:1", "10.0.0.4:6379", api.StateDown)
	down.DownSince = time.Unix(1, 0)
	return api.Cluster{Replicas: 3, Partitions: 64, Nodes: []api.Node{
		node("a:1", "10.0.0.1:6379", api.StateActive), node("b:1", "[2001:db8::2]:6380", api.StateJoining),
		node("c:1", "c.example.org:6379", api.StateActive), down,
		node("e:1", "10.0.0.5:6379", api.StateLeaving), node("f:1", "", api.StateActive),
	}}
}

func (f threeNodes) Key([]byte, time.Time) api.Key { return f.key() }

// startThree serves such a cluster.
func startThree(t *testing.T, o Options, key func() api.Key) (store *fakeStore, addr string, asked *int) {
	t.Helper()
	store, asked = newFakeStore(), new(int)
	srv := New(o, store, threeNodes{fakeCluster{store}, key, asked})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return store, ln.Addr().String(), asked
}

// The slots are divided over the nodes that a client can use, and all answers agree.
func TestSlotsAreDivided(t *testing.T) {
	_, addr, asked := startThree(t, Options{Name: "b:1"}, nil)
	c := dial(t, addr)
	ids := []string{nodeID("a:1"), nodeID("b:1"), nodeID("c:1")}
	c.say("CLUSTER MYID\r\n", "$40\r\n"+ids[1]+"\r\n")
	slot := func(first, last int, host string, port int, id string) string {
		return fmt.Sprintf("*3\r\n:%d\r\n:%d\r\n*4\r\n$%d\r\n%s\r\n:%d\r\n$40\r\n%s\r\n*0\r\n", first, last, len(host), host, port, id)
	}
	c.say("CLUSTER SLOTS\r\n", "*3\r\n"+slot(0, 5460, "10.0.0.1", 6379, ids[0])+slot(5461, 10921, "2001:db8::2", 6380, ids[1])+
		slot(10922, 16383, "c.example.org", 6379, ids[2]))
	nodes := ids[0] + " 10.0.0.1:6379@0 master - 0 0 0 connected 0-5460\n" +
		ids[1] + " 2001:db8::2:6380@0 myself,master - 0 0 0 connected 5461-10921\n" +
		ids[2] + " c.example.org:6379@0 master - 0 0 0 connected 10922-16383\n"
	c.say("CLUSTER NODES\r\n", fmt.Sprintf("$%d\r\n%s\r\n", len(nodes), nodes))
	shard := func(first, last int, host string, port int, id string) string {
		return fmt.Sprintf("*4\r\n$5\r\nslots\r\n*2\r\n:%d\r\n:%d\r\n$5\r\nnodes\r\n*1\r\n*14\r\n$2\r\nid\r\n$40\r\n%s\r\n$4\r\nport\r\n:%d\r\n"+
			"$2\r\nip\r\n$%[5]d\r\n%[6]s\r\n$8\r\nendpoint\r\n$%[5]d\r\n%[6]s\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:0\r\n"+
			"$6\r\nhealth\r\n$6\r\nonline\r\n", first, last, id, port, len(host), host)
	}
	c.say("CLUSTER SHARDS\r\n", "*3\r\n"+shard(0, 5460, "10.0.0.1", 6379, ids[0])+shard(5461, 10921, "2001:db8::2", 6380, ids[1])+
		shard(10922, 16383, "c.example.org", 6379, ids[2]))
	c.say("CLUSTER REPLICAS "+ids[0]+"\r\nCLUSTER REPLICAS x\r\n", "*0\r\n-ERR Unknown node x\r\n")
	if *asked != 1 {
		t.Errorf("the members were asked %d times within a second", *asked)
	}
}

// A key has the slot that clients compute. The numbers are those of redis-server.
func TestKeysHaveSlots(t *testing.T) {
	for key, want := range map[string]int{
		"": 0, "foo": 12182, "123456789": 12739, "{user1000}.following": 3443, "foo{bar}x": 5061, "foo{}{bar}": 8363,
		"foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061, "a{b": 13340, "}{": 12793,
	} {
		if got := slotOfKey([]byte(key)); got != want {
			t.Errorf("%q: slot %d, want %d", key, got, want)
		}
	}
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("CLUSTER KEYSLOT foo\r\n", ":12182\r\n")
	c.say("CLUSTER COUNTKEYSINSLOT 16384\r\n", "-ERR Invalid slot\r\n")
	c.say("CLUSTER GETKEYSINSLOT 1 10\r\n", "-ERR keys are not kept by slots, which only spread clients over nodes: use SCAN\r\n")
	c.say("CLUSTER MEET a 1\r\n", "-ERR the cluster is not changed by this protocol: nodes join when they are started, and leave by httpdhs leave\r\n")
}

// Where no node can be offered, no slot is served.
func TestNoNodeHasNoSlots(t *testing.T) {
	_, _, addr := start(t, Options{})
	c := dial(t, addr)
	c.say("CLUSTER SLOTS\r\nCLUSTER SHARDS\r\nCLUSTER NODES\r\n", "*0\r\n*0\r\n$0\r\n\r\n")
	info := "cluster_state:fail\r\ncluster_slots_assigned:0\r\n"
	c.say("CLUSTER INFO\r\n", "$306\r\n"+info)
}

// The slots are divided without a gap, however many nodes there are.
func TestSlotsHaveNoGap(t *testing.T) {
	for n := 1; n <= 100; n++ {
		var nodes []api.Node
		for i := range n {
			nodes = append(nodes, api.Node{Name: fmt.Sprintf("%d", (i*37)%n), Resp: "10.0.0.1:1", State: api.StateActive})
		}
		next := 0
		for _, o := range offer(nodes) {
			if o.first != next || o.last < o.first || o.last-o.first > slotCount/n {
				t.Fatalf("%d nodes: %d to %d after %d", n, o.first, o.last, next)
			}
			next = o.last + 1
		}
		if next != slotCount {
			t.Fatalf("%d nodes have %d slots", n, next)
		}
	}
	if len(nodeID("a:1")) != 40 || strings.ToLower(nodeID("a:1")) != nodeID("a:1") {
		t.Error("a node's id is not of 40 hexadecimal digits")
	}
}
