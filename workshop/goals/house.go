package main

import (
	"context"
	"os/exec"
	"strconv"
	"strings"

	"httpdhs/workshop/rig"
)

// house is all that runs: the baseline, the limit, a node alone and a cluster
// of three of each binary and, where it is installed, redis.
type house struct {
	*options
	*rig.Rig
	ctx context.Context

	e          string   // address
	limited    []string // addresses of the limit's nodes
	sides      []*side  // now, and before if that is asked for
	redis      string   // address; empty: not installed
	replicated []string // addresses of a redis and of its replica
	tsv        string   // file of the bulk load
	resp       string   // the same for redis-cli --pipe

	wrkScripts map[string]string // file by method; nil: wrk is not installed
	filled     map[string]bool   // nodes that hold all keys that wrk reads
	tracing    bool              // system calls are counted, and nothing else is
}

// side is the nodes of a binary.
type side struct {
	binary, prefix string   // the prefix is that of its figures' names
	alone          string   // address
	cluster        []string // addresses
}

func (h *house) open() (err error) {
	h.WithRESP = true
	if h.e, err = rig.FreeAddr(); err != nil {
		return err
	}
	if err = h.Start(h.baseline, "--port", rig.Port(h.e)); err != nil {
		return err
	}
	if h.limited, err = h.startLimit(3); err != nil {
		return err
	}
	h.sides = []*side{{binary: h.binary}}
	if h.before != "" {
		h.sides = append(h.sides, &side{binary: h.before, prefix: before})
	}
	for _, n := range h.sides {
		if n.alone, err = h.Node(n.binary); err != nil {
			return err
		}
		if n.cluster, err = h.Cluster(n.binary, 3); err != nil {
			return err
		}
		if err = h.WaitReady(append([]string{n.alone}, n.cluster...)...); err != nil {
			return err
		}
	}
	if _, lacks := exec.LookPath("redis-server"); lacks != nil {
		h.Now("rows beside redis are left out: it is not installed")
	} else if err := h.startRedis(); err != nil {
		return err
	}
	if err := h.writeScripts(); err != nil {
		return err
	}
	h.tsv, h.resp, err = h.WritePairs(h.pairs)
	return err
}

func (h *house) startRedis() (err error) {
	if h.redis, err = h.Redis(); err != nil {
		return err
	}
	master, replica, err := h.RedisReplicated()
	h.replicated = []string{master, replica}
	return err
}

// startLimit starts n nodes of the limit that take PUTs.
func (h *house) startLimit(n int) (addrs []string, err error) {
	var inner []string
	for range n {
		addr, err := rig.FreeAddr()
		if err != nil {
			return nil, err
		}
		inner = append(inner, addr)
	}
	return h.startEach(n, "--mode", "put", "--nodes", strings.Join(inner, ","))
}

// startEach starts n processes of the limit, and waits until they listen.
func (h *house) startEach(n int, args ...string) (addrs []string, err error) {
	for i := range n {
		addr, err := rig.FreeAddr()
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
		if err := h.Start(h.limit, append(args, "--self", strconv.Itoa(i), "--port", rig.Port(addr))...); err != nil {
			return nil, err
		}
	}
	for _, addr := range addrs {
		if err := h.WaitOpen(addr); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// freshCluster is n nodes for one subject, and what ends them.
func (h *house) freshCluster(binary string, n int) (addrs []string, stop func(), err error) {
	return h.freshClusterWith(binary, n, func(string) []string { return nil })
}

// freshClusterWith is freshCluster of nodes that have further flags, by their address.
func (h *house) freshClusterWith(binary string, n int, flags func(addr string) []string) (addrs []string, stop func(), err error) {
	if addrs, err = h.ClusterWith(binary, n, flags); err != nil {
		return nil, nil, err
	}
	stop = func() { h.Kill(addrs...) }
	if err := h.WaitReady(addrs...); err != nil {
		stop()
		return nil, nil, err
	}
	return addrs, stop, nil
}
