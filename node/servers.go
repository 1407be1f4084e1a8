package node

import (
	"net/netip"

	"httpdhs/internal/metrics"
	"httpdhs/internal/slowlog"
	"httpdhs/server"
	"httpdhs/server/console"
)

// wireServers makes what others reach the node by, and hands it the parts that answer.
func (n *Node) wireServers() (err error) {
	cfg := &n.cfg
	n.view.served = served{func() server.Stats { return n.server.Stats() }, n.respStats()}
	n.slow = slowlog.New(n.log, cfg.SlowLog)
	var peerHost func(addr netip.Addr, patience bool) bool
	if n.hosts != nil {
		peerHost = n.hosts.has
	}
	registry := metrics.New(n.view.metrics(n.roster))
	page := metrics.Handler(registry)
	if cfg.MetricsListen != "" {
		page = nil // they are there alone
	}
	n.server = server.New(server.Options{
		Name: cfg.Name, Version: cfg.Version, Limits: cfg.Limits,
		Log: n.log, AccessLog: cfg.AccessLog, SlowLog: n.slow,
		AuthToken: cfg.AuthToken, MetricsToken: cfg.MetricsToken,
		ClusterSecret: cfg.ClusterSecret, PeerHost: peerHost,
		Origins: cfg.Web.origins(), OwnHost: n.ownHost(),
		Metrics: page, Console: console.Handler(), ConsolePaths: console.Paths,
		MaxConns:         n.bound.conns,
		MaxExchangeBytes: cfg.Limits.MaxValueBytes + exchangeSlack,
		MaxInFlightBytes: cfg.Memory.RequestBytes,
		MaxAnswerBytes:   cfg.Memory.AnswerBytes,
		MaxMessageBytes:  cfg.Memory.MessageBytes,
	}, n.plane, cluster{n.view, n.roster}, n.plane)
	n.roster.setDraining = n.server.SetDraining
	if n.resp != nil {
		n.wireResp()
	}
	if cfg.MetricsListen != "" {
		n.metrics, err = serveMetrics(cfg.MetricsListen, cfg.Name, metrics.Page(registry), n.server.Health(), n.log, cfg.MetricsToken, cfg.AuthToken)
	}
	if err == nil && cfg.PprofAddr != "" {
		n.pprof, err = servePprof(cfg.PprofAddr, n.log)
	}
	return err
}
