package main

import (
	"os"
	"path/filepath"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// disks are loads of nodes that keep what they hold on a disk, beside the same without, and beside
// redis that does. All have directories on the disk of the temporary files. Each has nodes of its
// own, which hold nothing.
var disks = []subject{
	{"PUT at any node, memory only", "put memory", onDisk, "", true, putBy()},
	{"PUT at any node, with a disk", "put disk", onDisk, "", true, putBy(interval...)},
	{"load-data, memory only", "load memory", onDisk, "", true, loadBy()},
	{"load-data, with a disk", "load disk", onDisk, "", true, loadBy(interval...)},
	{"redis-cli --pipe, appendonly", "redis pipe disk", onDisk, redis, false, pipeToDisk},
	{"PUT at a node alone, --sync=always", "put always", onDisk, "", true, putAlways},
	{"SET at redis, appendfsync always", "redis set always", onDisk, redis, false, redisAlways},
}

var diskRows = []rig.Row{
	{Number: "disk", What: "PUT at any of three, two replicas, with a disk / memory only", Figure: "put disk", Beside: "put memory", Goal: 0.85},
	{Number: "disk", What: "CPU of it / memory only", Figure: "put disk" + cpu, Beside: "put memory" + cpu},
	{Number: "disk", What: "load-data, two replicas, with a disk / memory only", Figure: "load disk", Beside: "load memory", Goal: 0.6},
	{Number: "disk", What: "load-data, two replicas, with a disk / redis-cli --pipe, appendonly, everysec", Figure: "load disk", Beside: "redis pipe disk", Goal: 1},
	{Number: "disk", What: "PUT at a node alone, --sync=always / SET at redis, appendfsync always", Figure: "put always", Beside: "redis set always", Goal: 1.2},
}

var interval = []string{"--sync", "interval"}

// diskFlags are the flags of nodes with a disk; none: they have none.
func (h *house) diskFlags(sync []string) (flags func(addr string) []string, remove func(), err error) {
	if len(sync) == 0 {
		return func(string) []string { return nil }, func() {}, nil
	}
	dir, err := os.MkdirTemp(h.Dir, "disks-*")
	if err != nil {
		return nil, nil, err
	}
	flags = func(addr string) []string {
		return append([]string{"--data-dir", filepath.Join(dir, rig.Port(addr))}, sync...)
	}
	return flags, func() { _ = os.RemoveAll(dir) }, nil // else it goes with h.Dir
}

// onFresh runs a load at a cluster of its own, with a disk if there are flags.
func onFresh(sync []string, load func(h *house, n *side, cluster []string) (figures, error)) func(*house, *side) (figures, error) {
	return func(h *house, n *side) (figures, error) {
		flags, remove, err := h.diskFlags(sync)
		if err != nil {
			return nil, err
		}
		defer remove()
		cluster, stop, err := h.freshClusterWith(n.binary, 3, flags)
		if err != nil {
			return nil, err
		}
		defer stop()
		return load(h, n, cluster)
	}
}

func putBy(sync ...string) func(*house, *side) (figures, error) {
	return onFresh(sync, func(h *house, _ *side, cluster []string) (figures, error) {
		return h.load(bench.Put, cluster, plain)
	})
}

func loadBy(sync ...string) func(*house, *side) (figures, error) {
	return onFresh(sync, func(h *house, n *side, cluster []string) (figures, error) {
		return h.around(cluster, func() (float64, error) { return h.LoadData(n.binary, h.tsv, h.pairs, cluster...) })
	})
}

func putAlways(h *house, n *side) (figures, error) {
	flags, remove, err := h.diskFlags([]string{"--sync", "always"})
	if err != nil {
		return nil, err
	}
	defer remove()
	addr, err := h.Node(n.binary, flags("alone")...)
	if err != nil {
		return nil, err
	}
	defer h.Kill(addr)
	if err := h.WaitReady(addr); err != nil {
		return nil, err
	}
	return h.load(bench.Put, []string{addr}, plain)
}

// redisOnDisk is a redis of its own with an append-only file.
func (h *house) redisOnDisk(fsync string) (addr string, stop func(), err error) {
	dir, err := os.MkdirTemp(h.Dir, "redis-*")
	if err != nil {
		return "", nil, err
	}
	addr, err = h.Redis("--dir", dir, "--appendonly", "yes", "--appendfsync", fsync)
	if err != nil {
		return "", nil, err
	}
	return addr, func() { h.Kill(addr); _ = os.RemoveAll(dir) }, nil // else it goes with h.Dir
}

func pipeToDisk(h *house, _ *side) (figures, error) {
	addr, stop, err := h.redisOnDisk("everysec")
	if err != nil {
		return nil, err
	}
	defer stop()
	return h.around([]string{addr}, func() (float64, error) { return h.RedisPipe(addr, h.resp, h.pairs) })
}

func redisAlways(h *house, _ *side) (figures, error) {
	addr, stop, err := h.redisOnDisk("always")
	if err != nil {
		return nil, err
	}
	defer stop()
	return h.load(bench.Put, []string{addr}, spoken)
}
