package bench

import (
	"net"
	"time"
)

// cpuWatch tells how much processor time this process and the servers of this
// machine take.
type cpuWatch struct {
	servers []Process // that listen on the addresses, as far as they are here
	at      time.Time
	self    time.Duration
}

// Process is a server of this machine.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`

	start time.Duration
}

// CPU is what processors did between two moments.
type CPU struct {
	SelfShare    float64   `json:"self_share"`                  // of one processor, this process
	SelfPerOp    float64   `json:"self_us_per_op"`              // µs, of this process
	ServersShare float64   `json:"servers_share,omitempty"`     // of one processor, local servers together
	ServersPerOp float64   `json:"servers_us_per_op,omitempty"` // µs, of local servers together
	Servers      []Process `json:"servers,omitempty"`
}

// watchCPU looks at the time taken so far.
func watchCPU(addrs []*net.TCPAddr) *cpuWatch {
	w := &cpuWatch{servers: listeners(addrs), self: selfTime(), at: time.Now()}
	for i := range w.servers {
		w.servers[i].start = processTime(w.servers[i].PID)
	}
	return w
}

// since is what was taken from then on, for so many operations.
func (w *cpuWatch) since(operations int64) CPU {
	took := max(time.Since(w.at), 1)
	share := func(d time.Duration) float64 { return float64(d) / float64(took) }
	perOp := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(max(operations, 1)) }
	self := selfTime() - w.self
	c := CPU{SelfShare: share(self), SelfPerOp: perOp(self), Servers: w.servers}
	var servers time.Duration
	for _, p := range w.servers {
		servers += max(processTime(p.PID)-p.start, 0)
	}
	c.ServersShare, c.ServersPerOp = share(servers), perOp(servers)
	return c
}
