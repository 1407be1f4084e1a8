package main

import (
	"context"
	"os/exec"

	"httpdhs/workshop/rig"
)

// house is all that runs: the baseline, a node alone, a cluster of three and,
// where it is installed, redis.
type house struct {
	*options
	*rig.Rig
	ctx context.Context

	e, alone string   // addresses
	cluster  []string // addresses
	redis    string   // address; empty: not installed
	tsv      string   // file of the bulk load
	resp     string   // the same for redis-cli --pipe

	wrkScripts map[string]string // file by method; nil: wrk is not installed
	filled     map[string]bool   // nodes that hold all keys that wrk reads
}

func (h *house) open() (err error) {
	if h.e, err = rig.FreeAddr(); err != nil {
		return err
	}
	if err = h.Start(h.baseline, "--port", rig.Port(h.e)); err != nil {
		return err
	}
	if h.alone, err = h.Node(h.binary); err != nil {
		return err
	}
	if h.cluster, err = h.Cluster(h.binary); err != nil {
		return err
	}
	if _, lacks := exec.LookPath("redis-server"); lacks == nil {
		if h.redis, err = h.Redis(); err != nil {
			return err
		}
	}
	if err = h.WaitReady(append([]string{h.alone}, h.cluster...)...); err != nil {
		return err
	}
	if err := h.writeScripts(); err != nil {
		return err
	}
	h.tsv, h.resp, err = h.WritePairs(h.pairs)
	return err
}

// freshCluster is a cluster for one subject, and what ends it.
func (h *house) freshCluster() (addrs []string, stop func(), err error) {
	if addrs, err = h.Cluster(h.binary); err != nil {
		return nil, nil, err
	}
	stop = func() { h.Kill(addrs...) }
	if err := h.WaitReady(addrs...); err != nil {
		stop()
		return nil, nil, err
	}
	return addrs, stop, nil
}
