package resp

import (
	"fmt"
	"math"
	"strings"

	"httpdhs/kv"
)

func clusterCommands() []command {
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "cluster|" + name, arity: arity, flags: acts, run: run}
	}
	sub := []command{
		one("info", 2, clusterInfo),
		one("myid", 2, func(s *session, _ [][]byte) { s.out.text(nodeID(s.srv.opts.Name)) }),
		one("nodes", 2, clusterNodes),
		one("slots", 2, clusterSlots),
		one("shards", 2, clusterShards),
		one("keyslot", 3, func(s *session, args [][]byte) { s.out.int(int64(slotOfKey(args[2]))) }),
		one("countkeysinslot", 3, clusterKeysInSlot),
		one("getkeysinslot", 4, clusterKeysInSlot),
		one("replicas", 3, clusterReplicas),
		one("slaves", 3, clusterReplicas),
		one("links", 2, func(s *session, _ [][]byte) { s.out.array(0) }),
		one("count-failure-reports", 3, clusterFailureReports),
		{name: "cluster|help", arity: 2, flags: acts, run: clusterHelp},
	}
	for _, c := range []struct {
		name  string
		arity int
	}{
		{"addslots", -3}, {"addslotsrange", -4}, {"bumpepoch", 2}, {"delslots", -3}, {"delslotsrange", -4}, {"failover", -2},
		{"flushslots", 2}, {"forget", 3}, {"meet", -4}, {"replicate", 3}, {"reset", -2}, {"saveconfig", 2},
		{"set-config-epoch", 3}, {"setslot", -4},
	} {
		sub = append(sub, one(c.name, c.arity, clusterUnchanged))
	}
	return []command{{name: "cluster", arity: -2, sub: sub}}
}

// offered are the nodes that clients are sent to.
func (s *session) offered() []offered { return offer(s.srv.members().Nodes) }

func clusterInfo(s *session, _ [][]byte) {
	nodes := s.offered()
	state, slots := "ok", slotCount
	if len(nodes) == 0 {
		state, slots = "fail", 0
	}
	s.out.verbatim("txt", fmt.Sprintf("cluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n"+
		"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\n"+
		"cluster_current_epoch:0\r\ncluster_my_epoch:0\r\ncluster_stats_messages_sent:0\r\n"+
		"cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
		state, slots, slots, len(nodes), len(nodes)))
}

func clusterNodes(s *session, _ [][]byte) {
	var text strings.Builder
	for _, n := range s.offered() {
		role := "master"
		if n.name == s.srv.opts.Name {
			role = "myself,master"
		}
		// The port behind @ is that of Redis's nodes among themselves, which there is not.
		fmt.Fprintf(&text, "%s %s:%d@0 %s - 0 0 0 connected %d-%d\n", n.id, n.host, n.port, role, n.first, n.last)
	}
	s.out.verbatim("txt", text.String())
}

func clusterSlots(s *session, _ [][]byte) {
	nodes := s.offered()
	s.out.array(len(nodes))
	for _, n := range nodes {
		s.out.array(3)
		s.out.int(int64(n.first))
		s.out.int(int64(n.last))
		s.out.array(4)
		s.out.text(n.host)
		s.out.int(int64(n.port))
		s.out.text(n.id)
		s.out.mapping(0)
	}
}

func clusterShards(s *session, _ [][]byte) {
	nodes := s.offered()
	s.out.array(len(nodes))
	for _, n := range nodes {
		s.out.mapping(2)
		s.out.text("slots")
		s.out.array(2)
		s.out.int(int64(n.first))
		s.out.int(int64(n.last))
		s.out.text("nodes")
		s.out.array(1)
		s.out.mapping(7)
		s.out.text("id")
		s.out.text(n.id)
		s.out.text("port")
		s.out.int(int64(n.port))
		s.out.text("ip")
		s.out.text(n.host)
		s.out.text("endpoint")
		s.out.text(n.host)
		s.out.text("role")
		s.out.text("master")
		s.out.text("replication-offset")
		s.out.int(0)
		s.out.text("health")
		s.out.text("online")
	}
}

// clusterKeysInSlot is refused: keys are listed in the order of another hash.
func clusterKeysInSlot(s *session, args [][]byte) {
	for _, arg := range args[2:] {
		if _, ok := s.integer(arg); !ok {
			return
		}
	}
	if slot, _ := kv.ParseInteger(args[2]); slot < 0 || slot >= slotCount {
		s.fail("ERR Invalid slot")
		return
	}
	s.fail("ERR keys are not kept by slots, which only spread clients over nodes: use SCAN")
}

func clusterReplicas(s *session, args [][]byte) {
	if s.knowsNode(args[2]) {
		s.out.array(0)
	}
}

func clusterFailureReports(s *session, args [][]byte) {
	if s.knowsNode(args[2]) {
		s.out.int(0)
	}
}

// knowsNode says whether a node has that id, or answers that none has.
func (s *session) knowsNode(id []byte) bool {
	for _, n := range s.offered() {
		if n.id == string(id) {
			return true
		}
	}
	s.failf("Unknown node %s", printable(id))
	return false
}

func clusterUnchanged(s *session, _ [][]byte) {
	s.fail("ERR the cluster is not changed by this protocol: nodes join when they are started, and leave by httpdhs leave")
}

func clusterHelp(s *session, _ [][]byte) {
	s.help("CLUSTER",
		"INFO",
		"    Return information about the cluster.",
		"KEYSLOT <key>",
		"    Return the hash slot for <key>.",
		"MYID",
		"    Return the node id.",
		"NODES",
		"    Return the nodes that clients are sent to. Output format:",
		"    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
		"REPLICAS <node-id>",
		"    Return <node-id> replicas.",
		"SHARDS",
		"    Return information about slot range mappings and the nodes associated with them.",
		"SLOTS",
		"    Return information about slots range mappings. Each range is made of:",
		"    start, end, master and replicas IP addresses, ports and ids")
}

// replicasElsewhere is how many replicas of a key there are beside one, if all that are up have it.
func (s *session) replicasElsewhere() int {
	c, up := s.srv.members(), 0
	for i := range c.Nodes {
		if c.Nodes[i].DownSince.IsZero() {
			up++
		}
	}
	return max(min(c.Replicas, up, math.MaxInt32)-1, 0)
}
