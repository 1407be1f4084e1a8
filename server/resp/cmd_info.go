package resp

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"httpdhs/api"
)

func infoCommands() []command {
	return []command{{name: "info", arity: -1, flags: acts, run: info}}
}

// infoSection is a section of INFO. Its lines have the names that Redis has for what they tell:
// tools look for them. What Redis tells and there is not is left out.
type infoSection struct {
	name  string // as it is asked for, but for the case
	lines func(s *session, w *infoWriter)
}

func infoSections() []infoSection {
	return []infoSection{
		{"Server", infoServer},
		{"Clients", infoClients},
		{"Memory", infoMemory},
		{"Persistence", infoPersistence},
		{"Stats", infoStats},
		{"Replication", infoReplication},
		{"Modules", func(*session, *infoWriter) {}},
		{"Errorstats", func(*session, *infoWriter) {}},
		{"Cluster", func(_ *session, w *infoWriter) { w.line("cluster_enabled", 1) }},
		{"Keyspace", infoKeyspace},
	}
}

// infoWriter writes lines of INFO.
type infoWriter struct{ strings.Builder }

func (w *infoWriter) line(name string, value any) { fmt.Fprintf(w, "%s:%v\r\n", name, value) }

func info(s *session, args [][]byte) {
	var w infoWriter
	for _, section := range infoSections() {
		if !section.wanted(args[1:]) {
			continue
		}
		if w.Len() > 0 {
			w.WriteString("\r\n")
		}
		w.WriteString("# " + section.name + "\r\n")
		section.lines(s, &w)
	}
	s.out.verbatim("txt", w.String())
}

// wanted says whether the section is one of those that were asked for.
func (i *infoSection) wanted(asked [][]byte) bool {
	return len(asked) == 0 || slices.ContainsFunc(asked, func(arg []byte) bool {
		return bytes.EqualFold(arg, []byte(i.name)) || is(arg, "DEFAULT") || is(arg, "ALL") || is(arg, "EVERYTHING")
	})
}

func infoServer(s *session, w *infoWriter) {
	o, up := &s.srv.opts, time.Since(s.srv.started)
	w.line("redis_version", redisVersion)
	w.line("httpdhs_version", o.Version)
	w.line("redis_mode", redisMode)
	w.line("os", runtime.GOOS+" "+runtime.GOARCH)
	w.line("arch_bits", 32<<(^uint(0)>>63))
	w.line("process_id", os.Getpid())
	w.line("run_id", nodeID(fmt.Sprint(o.Name, s.srv.started.UnixNano())))
	w.line("tcp_port", o.Port)
	w.line("server_time_usec", time.Now().UnixMicro())
	w.line("uptime_in_seconds", int64(up.Seconds()))
	w.line("uptime_in_days", int64(up.Hours()/24))
	w.line("httpdhs_node", o.Name)
}

func infoClients(s *session, w *infoWriter) {
	w.line("connected_clients", s.srv.Stats().Conns)
	w.line("maxclients", s.srv.opts.MaxConns)
	w.line("blocked_clients", 0)
}

func infoMemory(s *session, w *infoWriter) {
	used, limit, _ := s.srv.cluster.Memory()
	w.line("used_memory", used)
	w.line("used_memory_human", human(used))
	w.line("maxmemory", limit)
	w.line("maxmemory_human", human(limit))
	w.line("maxmemory_policy", s.srv.evictionPolicy())
}

// human is a number of bytes as INFO writes it for people.
func human(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%dB", n)
	}
	size, unit := float64(n)/step, 0
	for size >= step && unit < len("KMGTP")-1 {
		size, unit = size/step, unit+1
	}
	return fmt.Sprintf("%.2f%c", size, "KMGTP"[unit])
}

func infoPersistence(s *session, w *infoWriter) {
	loading := 0
	if ok, _ := s.srv.cluster.Ready(); !ok {
		loading = 1
	}
	w.line("loading", loading)
	w.line("rdb_bgsave_in_progress", 0)
	w.line("aof_enabled", 0)
	w.line("aof_rewrite_in_progress", 0)
}

func infoStats(s *session, w *infoWriter) {
	st := s.srv.Stats()
	if base := s.srv.statsBase.Load(); base != nil {
		st = st.since(base)
	}
	w.line("total_connections_received", st.AcceptedConns)
	w.line("total_commands_processed", st.Commands)
	w.line("total_net_input_bytes", st.InBytes)
	w.line("total_net_output_bytes", st.OutBytes)
	w.line("rejected_connections", st.RejectedConns)
	if n := s.thisNode(); n != nil {
		w.line("evicted_keys", n.Memory.Evicted)
	}
	w.line("keyspace_hits", st.Hits)
	w.line("keyspace_misses", st.Gets-st.Hits)
}

// since is what was counted since then, of what INFO tells.
func (st Stats) since(base *Stats) Stats {
	st.AcceptedConns -= base.AcceptedConns
	st.Commands -= base.Commands
	st.InBytes -= base.InBytes
	st.OutBytes -= base.OutBytes
	st.RejectedConns -= base.RejectedConns
	st.Hits -= base.Hits
	st.Gets -= base.Gets
	return st
}

// infoReplication tells that this node takes writes. Who else has copies CLUSTER and HTTP tell.
func infoReplication(_ *session, w *infoWriter) {
	w.line("role", "master")
	w.line("connected_slaves", 0)
	w.line("master_repl_offset", 0)
}

// infoKeyspace tells of the whole cluster, as DBSIZE does.
func infoKeyspace(s *session, w *infoWriter) {
	if n := keysOf(s.srv.members()); n > 0 {
		w.line("db0", fmt.Sprintf("keys=%d,expires=0,avg_ttl=0", n))
	}
}

// thisNode is what the cluster tells of this node, or nil.
func (s *session) thisNode() *api.Node {
	c := s.srv.members()
	for i := range c.Nodes {
		if c.Nodes[i].Name == s.srv.opts.Name {
			return &c.Nodes[i]
		}
	}
	return nil
}
