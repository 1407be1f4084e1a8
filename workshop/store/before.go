package main

import "fmt"

// beforeKeys is how many keys GET and PUT are compared over.
const beforeKeys = 100_000

func lacksBefore(h *house) string {
	if h.before == "" {
		return "no other binary was given (--before)"
	}
	return ""
}

// before measures GET and PUT of the binary and of an older one, in
// alternation.
func before(h *house) error {
	var nodes []target
	for _, which := range []struct{ name, binary string }{{"now", h.binary}, {"before", h.before}} {
		addr, err := h.Node(which.binary)
		if err != nil {
			return err
		}
		defer h.Kill(addr)
		if err := h.WaitReady(addr); err != nil {
			return err
		}
		nodes = append(nodes, target{name: which.name, addr: addr, keys: min(beforeKeys, h.keys)})
	}
	for round := range h.rounds {
		for _, w := range workloads {
			for i := range nodes {
				n := nodes[(i+round)%len(nodes)]
				h.Now("round %d of %d: %s, %s", round+1, h.rounds, w, n.name)
				r, err := h.ask(n, w, 0)
				if err != nil {
					return err
				}
				name := fmt.Sprintf("%s %s", w, n.name)
				h.samples.Add(figures{name: r.OperationRate, name + " p99": r.Latency.P99, name + " CPU": r.CPU.ServersPerOp})
			}
		}
	}
	return nil
}
