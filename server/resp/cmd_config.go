package resp

import (
	"bytes"
	"strconv"
	"strings"
)

func configCommands() []command {
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "config|" + name, arity: arity, flags: acts, run: run}
	}
	return []command{{name: "config", arity: -2, sub: []command{
		one("get", -3, configGet),
		one("set", -4, configSet),
		one("resetstat", 2, configResetStat),
		one("rewrite", 2, func(s *session, _ [][]byte) { s.fail("ERR The server is running without a config file") }),
		{name: "config|help", arity: 2, flags: acts, run: configHelp},
	}}}
}

// setting is what CONFIG GET tells, by the name that Redis has for it.
type setting struct {
	name  string
	value func(s *Server) string
}

// settings are those that libraries and tools ask for, where there is something to answer.
func settings() []setting {
	fixed := func(name, value string) setting {
		return setting{name, func(*Server) string { return value }}
	}
	return []setting{
		fixed("appendfsync", "no"),
		fixed("appendonly", "no"),
		fixed("cluster-enabled", "yes"),
		fixed("databases", "1"),
		fixed("latency-monitor-threshold", "0"),
		{"maxclients", func(s *Server) string { return strconv.Itoa(s.opts.MaxConns) }},
		{"maxmemory", func(s *Server) string {
			_, limit, _ := s.cluster.Memory()
			return strconv.FormatInt(limit, 10)
		}},
		{"maxmemory-policy", (*Server).evictionPolicy},
		fixed("notify-keyspace-events", ""),
		{"port", func(s *Server) string { return strconv.Itoa(s.opts.Port) }},
		{"proto-max-bulk-len", func(s *Server) string { return strconv.Itoa(s.opts.Limits.MaxValueBytes) }},
		fixed("save", ""),
		fixed("slowlog-log-slower-than", "-1"),
		fixed("slowlog-max-len", "0"),
		fixed("timeout", "0"),
	}
}

// evictionPolicy is the policy of Redis that is closest to this node's.
func (s *Server) evictionPolicy() string {
	if s.opts.Evicts {
		return "allkeys-lfu"
	}
	return "noeviction"
}

func configGet(s *session, args [][]byte) {
	found, n := reply{resp3: s.out.resp3}, 0
	for _, set := range settings() {
		if name, ok := settingName(set.name, args[2:]); ok {
			found.text(name)
			found.text(set.value(s.srv))
			n++
		}
	}
	s.out.mapping(n)
	s.out.buf = append(s.out.buf, found.buf...)
}

// settingName is what a setting is called in the answer: as it was asked for, unless by a pattern.
func settingName(name string, asked [][]byte) (as string, ok bool) {
	for _, arg := range asked {
		if !bytes.ContainsAny(arg, "[*?") {
			if strings.EqualFold(string(arg), name) {
				return string(arg), true
			}
		} else if globMatch(bytes.ToLower(arg), []byte(name)) {
			return name, true
		}
	}
	return "", false
}

func configSet(s *session, args [][]byte) {
	if len(args)%2 != 0 {
		s.fail(errSyntax)
		return
	}
	s.fail("ERR nothing is set by CONFIG SET: a node has the settings that it was started with")
}

// configResetStat has INFO count from 0. Metrics go on.
func configResetStat(s *session, _ [][]byte) {
	st := s.srv.Stats()
	s.srv.statsBase.Store(&st)
	s.out.ok()
}

func configHelp(s *session, _ [][]byte) {
	s.help("CONFIG",
		"GET <pattern>",
		"    Return parameters matching the glob-like <pattern> and their values.",
		"RESETSTAT",
		"    Reset statistics reported by the INFO command.")
}
