package node

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sort"

	"httpdhs/server"
)

// What the node has open beside the connections to it: at least filesOwn, and a share of all files.
// Most of these are connections to other nodes, up to 16 to each. Among filesOwn are up to 8 at a
// time to nodes that want to join and are looked for: anybody can bring that about.
const (
	filesOwn   = 64
	filesShare = 8

	// connsLeast is with how few connections a node is of no use.
	connsLeast = 16
)

// bound is how many connections the node takes, and what bounds them.
type bound struct {
	conns  int // of clients: the server's MaxConns
	files  int // that the node may have open; 0: not known
	wanted int // with how many files there would be as many connections as usual; 0: not known

	byMemory bool // there would be more, if there was more memory for them
}

// connBound works out the bound. files is how many files the node may have open, 0 if that is not
// known. aside is how many connections listeners of their own take. resp says whether the node
// speaks the Redis protocol. Its clients may have as many connections as the others.
func connBound(files, aside int, resp bool) (bound, error) {
	usual := server.ConnsWithin(math.MaxInt)
	b := bound{conns: usual, files: files}
	if files == 0 {
		return b, nil
	}
	own := filesOwn + aside
	within := func(files int) int {
		files -= own + files/filesShare
		n := server.ConnsWithin(files)
		if resp {
			n = sort.Search(n, func(n int) bool { return server.FilesOf(n+1)+n+1 > files })
		}
		return n
	}
	b.wanted = sort.Search(math.MaxInt32, func(files int) bool { return within(files) >= usual })
	if b.conns = within(files); b.conns >= connsLeast {
		return b, nil
	}
	least := files
	for within(least) < connsLeast {
		least++
	}
	return b, fmt.Errorf("only %d files may be open, and a node needs %d at least: raise the limit (ulimit -n 65536 in the shell that starts it, LimitNOFILE=65536 in a systemd unit)", files, least)
}

// connsAside is how many connections there may be at listeners that are not for clients.
func (c *Config) connsAside() (n int) {
	if c.PprofAddr != "" {
		n += sideConns
	}
	if c.MetricsListen != "" {
		n += sideConns
	}
	return n
}

// within bounds the connections by memory; 0: it does not.
func (b *bound) within(conns int) {
	if conns > 0 && conns < b.conns {
		b.conns, b.byMemory = conns, true
	}
}

// tell logs the bound. It warns where few files leave less than half of the usual connections.
// Nodes that share their process have fewer of them than usual.
func (b bound) tell(log *slog.Logger, alone bool) {
	if usual := server.ConnsWithin(math.MaxInt); alone && !b.byMemory && b.conns < usual {
		level := slog.LevelInfo
		if b.conns < usual/2 {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "fewer connections than usual, since so few files may be open: raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)",
			"max_connections", b.conns, "usual", usual, "open_files", b.files, "wanted_files", b.wanted)
		return
	}
	log.Info("connections are bounded", "max_connections", b.conns, "open_files", b.files, "by_memory", b.byMemory)
}
