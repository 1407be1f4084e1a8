package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// house is all that runs.
type house struct {
	*options
	*rig.Rig
	ctx     context.Context
	machine bench.Machine // as the load generator reports it

	alone   string   // a node alone; the fields down to etcd are addresses
	cluster []string // three nodes, two replicas

	redis, replicated, bulk string // redis alone, with one replica, and for bulk loads
	webdis                  string
	memcached               string
	etcd                    string

	present map[string]string // version by peer
	tsv     string            // file of the bulk load
	resp    string            // the same for redis-cli --pipe

	rates map[id]float64 // last rate of redis-benchmark, which takes a number of requests
}

// peer is a store to compare with.
type peer struct {
	name     string
	programs []string // all of them have to be there
	version  []string // command that tells it
	start    func(*house) error
}

// peers in the order of the tables.
var peers = []peer{
	{"redis", []string{"redis-server", "redis-cli", "redis-benchmark"}, []string{"redis-server", "--version"}, (*house).startRedis},
	{"memcached", []string{"memcached"}, []string{"memcached", "-V"}, (*house).startMemcached},
	{"webdis", []string{"webdis", "redis-server", "redis-cli"}, []string{"dpkg-query", "-W", "-f", "${Version}", "webdis"}, (*house).startWebdis},
	{"etcd", []string{"etcd"}, []string{"etcd", "--version"}, (*house).startEtcd},
}

// has says whether the peer is there; that without a name is httpdhs.
func (h *house) has(name string) bool {
	_, ok := h.present[name]
	return ok || name == ""
}

func (h *house) open() (err error) {
	h.WithRESP = true
	if h.alone, err = h.Node(h.binary); err != nil {
		return err
	}
	if h.cluster, err = h.Cluster(h.binary, 3); err != nil {
		return err
	}
	h.present, h.rates = map[string]string{}, map[id]float64{}
	for _, p := range peers {
		if lacks := p.missing(exec.LookPath); lacks != "" {
			h.Now("%s is left out: %s is not installed", p.name, lacks)
			continue
		}
		if err := p.start(h); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		h.present[p.name] = "unknown version"
		if out, err := h.Run(p.version[0], p.version[1:]...); err == nil {
			h.present[p.name] = rig.VersionIn(out)
		}
	}
	if len(h.present) == 0 {
		return errors.New("none of the peers is installed, so there is nothing to compare with")
	}
	if err := h.WaitReady(append([]string{h.alone}, h.cluster...)...); err != nil {
		return err
	}
	h.tsv, h.resp, err = h.WritePairs(h.pairs)
	return err
}

// missing names the first program of the peer that is not there.
func (p *peer) missing(look func(string) (string, error)) string {
	for _, program := range p.programs {
		if _, err := look(program); err != nil {
			return program
		}
	}
	return ""
}

// startRedis starts three: one redis for the rates, with the keys that they ask for, one with a
// replica, and one for bulk loads. The last starts empty each time.
func (h *house) startRedis() (err error) {
	if h.redis, err = h.Redis(); err != nil {
		return err
	}
	if h.bulk, err = h.Redis(); err != nil {
		return err
	}
	if h.replicated, _, err = h.RedisReplicated(); err != nil {
		return err
	}
	return h.fillRedis(h.redis)
}

// fillRedis stores the keys that redis-benchmark asks for.
func (h *house) fillRedis(addr string) error {
	var text []byte
	for k := range keys {
		text = rig.AppendSet(text, k)
	}
	name := filepath.Join(h.Dir, "fill.resp")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return err
	}
	_, err := h.RedisPipe(addr, name, keys)
	return err
}

func (h *house) startMemcached() (err error) {
	if h.memcached, err = rig.FreeAddr(); err != nil {
		return err
	}
	args := []string{"-l", "127.0.0.1", "-p", rig.Port(h.memcached), "-U", "0", "-m", "1024"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root") // it asks for a name then
	}
	if err := h.Start("memcached", args...); err != nil {
		return err
	}
	if err := h.WaitOpen(h.memcached); err != nil {
		return err
	}
	return h.fill(h.memcached, keys, memcachedSet)
}

// startWebdis starts webdis over a redis of its own.
func (h *house) startWebdis() error {
	redis, err := h.Redis()
	if err != nil {
		return err
	}
	if err := h.fillRedis(redis); err != nil {
		return err
	}
	if h.webdis, err = rig.FreeAddr(); err != nil {
		return err
	}
	conf, err := json.Marshal(map[string]any{
		"redis_host": "127.0.0.1", "redis_port": portNumber(redis),
		"http_host": "127.0.0.1", "http_port": portNumber(h.webdis), "threads": 2, "daemonize": false,
		"pidfile": filepath.Join(h.Dir, "webdis.pid"), "verbosity": 0, "logfile": filepath.Join(h.Dir, "webdis.log"),
	})
	if err != nil {
		return err
	}
	name := filepath.Join(h.Dir, "webdis.json")
	if err := os.WriteFile(name, conf, 0o600); err != nil {
		return err
	}
	if err := h.Start("webdis", name); err != nil {
		return err
	}
	return h.WaitHTTP(h.webdis, "/PING")
}

// startEtcd starts a cluster of one.
func (h *house) startEtcd() (err error) {
	if h.etcd, err = rig.FreeAddr(); err != nil {
		return err
	}
	other, err := rig.FreeAddr()
	if err != nil {
		return err
	}
	clients, members := "http://"+h.etcd, "http://"+other
	err = h.Start("etcd", "--name", "alone", "--data-dir", filepath.Join(h.Dir, "etcd"),
		"--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", members,
		"--initial-advertise-peer-urls", members, "--initial-cluster", "alone="+members,
		"--logger", "zap", "--log-level", "error")
	if err != nil {
		return err
	}
	if err := h.WaitHTTP(h.etcd, "/health"); err != nil {
		return err
	}
	return h.fill(h.etcd, keys/etcdBlock, etcdFill)
}
