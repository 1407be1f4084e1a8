package main

import (
	"fmt"
	"net"
	"strconv"

	"httpdhs/node"
)

// metricsFlags say where the metrics are, and who may read them.
type metricsFlags struct {
	MetricsPort      int    `placeholder:"PORT" help:"Serve /metrics, /healthz and /readyz on this port too, by plain HTTP; /metrics is there alone then."`
	MetricsTokenFile string `placeholder:"FILE" help:"File with a token that is good for /metrics alone."`
}

func (f *metricsFlags) check(port, resp int) error {
	switch {
	case f.MetricsPort < 0 || f.MetricsPort > 65535:
		return fmt.Errorf("--metrics-port is %d, want 1 to 65535", f.MetricsPort)
	case f.MetricsPort == 0:
		return nil
	case f.MetricsPort == port:
		return fmt.Errorf("--metrics-port and --port are both %d: give each a port of its own", port)
	case f.MetricsPort == resp:
		return fmt.Errorf("--metrics-port and --resp-port are both %d: give each a port of its own", resp)
	}
	return nil
}

// apply says it to the node.
func (f *metricsFlags) apply(cfg *node.Config, bind string) (err error) {
	if f.MetricsPort != 0 {
		cfg.MetricsListen = net.JoinHostPort(bind, strconv.Itoa(f.MetricsPort))
	}
	cfg.MetricsToken, err = readSecret("--metrics-token-file", f.MetricsTokenFile)
	return err
}
