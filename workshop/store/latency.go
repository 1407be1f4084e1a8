package main

import (
	"fmt"

	"httpdhs/bench"
)

// loadShare is the share of the highest rate at which latency is measured.
const loadShare = 0.7

// workloads that are measured at nodes.
var workloads = []bench.Workload{bench.Get, bench.Put}

// latency measures GET and PUT at a rate, in a node with few keys, in one with all of them and in
// redis with all of them. For the second it also measures what the garbage collector takes.
func latency(h *house) error {
	few, err := h.startNode()
	if err != nil {
		return err
	}
	defer few.stop()
	all, err := h.startNode()
	if err != nil {
		return err
	}
	defer all.stop()
	h.Now("latency: loading %d keys", h.keys)
	if err := few.load(h.pass(h.few, 0)); err != nil {
		return err
	}
	if err := all.load(h.pass(h.keys, 0)); err != nil {
		return err
	}
	targets := []target{{name: "few", addr: few.addr, keys: h.few}, {name: "all", addr: all.addr, keys: h.keys}}
	if h.redis != "" {
		r, err := h.startRedis()
		if err != nil {
			return err
		}
		defer r.stop()
		if err := r.load(h.pass(h.keys, 0)); err != nil {
			return err
		}
		targets = append(targets, target{name: "redis", addr: r.addr, keys: h.keys, asks: redisAsks})
	}
	highest, err := h.highest(targets)
	if err != nil {
		return err
	}
	before, err := all.effort()
	if err != nil {
		return err
	}
	for round := range h.rounds {
		for _, w := range workloads {
			for i := range targets {
				n := targets[(i+round)%len(targets)] // none is always the first
				h.Now("latency: round %d of %d, %s, %s", round+1, h.rounds, w, n.name)
				if err := h.latencyAt(n, w, highest[w]*loadShare); err != nil {
					return err
				}
			}
		}
	}
	return h.collected(few, all, before)
}

// target is a server with so many keys.
type target struct {
	name, addr string
	keys       int
	asks       map[bench.Workload]bench.Exchange // of a server that is not a node
}

// config is what both loops have in common: 64 connections, uniform keys.
func (h *house) config(n target, w bench.Workload) bench.Config {
	c := bench.DefaultConfig()
	c.To, c.Workload, c.Keys = []string{n.addr}, w, n.keys
	c.KeySize, c.ValueSize = keyBytes, valueBytes
	c.Duration, c.Warmup = h.duration, h.duration/5
	return c
}

// ask measures a server at a rate, or with 0 in a closed loop. What was not sent in time is among
// the latencies.
func (h *house) ask(n target, w bench.Workload, rate float64) (*bench.Round, error) {
	c := h.config(n, w)
	c.Rate = rate
	if n.asks != nil {
		return n.asks[w].Measure(h.ctx, c)
	}
	report, err := bench.Run(h.ctx, c)
	if err != nil {
		return nil, err
	}
	h.machine = report.Machine
	for kind, count := range report.Errors() {
		if kind != "unsent" {
			return nil, fmt.Errorf("%d errors: %s", count, kind)
		}
	}
	return &report.Rounds[0], nil
}

// highest is the rate of a closed loop at the slowest of the servers.
func (h *house) highest(targets []target) (map[bench.Workload]float64, error) {
	rates := map[bench.Workload]float64{}
	for _, w := range workloads {
		for _, n := range targets {
			h.Now("latency: the highest rate, %s, %s", w, n.name)
			round, err := h.ask(n, w, 0)
			if err != nil {
				return nil, err
			}
			rate := round.RequestRate
			h.samples.Add(figures{fmt.Sprintf("%s %s rate", w, n.name): rate})
			if rates[w] == 0 || rate < rates[w] {
				rates[w] = rate
			}
		}
	}
	return rates, nil
}

func (h *house) latencyAt(n target, w bench.Workload, rate float64) error {
	round, err := h.ask(n, w, rate)
	if err != nil {
		return err
	}
	l := round.Latency
	name := fmt.Sprintf("%s %s ", w, n.name)
	h.samples.Add(figures{name + "p50": l.P50, name + "p99": l.P99, name + "p99.9": l.P999})
	return nil
}

// effort is what a node has spent.
type effort struct {
	collector
	cpu float64 // seconds
}

func (n *node) effort() (e effort, err error) {
	if e.collector, err = n.collector(); err != nil {
		return e, err
	}
	e.cpu, err = n.cpu()
	return e, err
}

// collected takes the figures of the collectors.
func (h *house) collected(few, all *node, before effort) error {
	after, err := all.effort()
	if err != nil {
		return err
	}
	other, err := few.collector()
	if err != nil {
		return err
	}
	h.samples.Add(figures{
		"gc of cpu %": 100 * max(after.seconds-before.seconds, 0) / max(after.cpu-before.cpu, 1e-9),
		"objects all": after.objects, "objects few": other.objects,
	})
	return nil
}
