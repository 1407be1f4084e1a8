package node

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"httpdhs/internal/api"
	"httpdhs/kv"
	"httpdhs/replicate"
	"httpdhs/ring"
)

const (
	reasonStopping   = "stopping"
	reasonRecovering = "being sent the writes that it missed"
)

// describe is what the node tells its peers of itself.
func (n *Node) describe(p *replicate.Ping) {
	s := n.store.Stats()
	p.Keys, p.Bytes, p.Tombstones = int64(s.Keys), s.Bytes, int64(s.Tombstones)
	m := &s.Memory
	p.Memory = replicate.Memory{Live: m.Live, Dead: m.Dead, Segments: m.Segments, Index: m.Index, Max: n.cfg.MaxMemory}
	p.Version, p.Started = n.cfg.Version, n.started
	p.Stopping = n.stopping.Load()
}

// Cluster implements server.Cluster.
func (n *Node) Cluster(deadline time.Time) api.Cluster {
	n.coordinator.Refresh(deadline)
	settings := n.table.Settings()
	doc := api.Cluster{
		Node:        n.cfg.Name,
		Ring:        fmt.Sprintf("%016x", n.table.Fingerprint()),
		Replicas:    n.table.Replicas(),
		Partitions:  settings.Partitions,
		Partitioner: settings.Partitioner,
	}
	primary, replica := n.table.Counts()
	peers := make(map[string]replicate.Status)
	for _, p := range n.coordinator.Peers() {
		peers[p.Name] = p
	}
	for i, member := range n.table.Nodes() {
		var m api.Node
		if p, ok := peers[member.Name]; ok {
			m = describePeer(&p)
		} else {
			m = n.describeSelf()
		}
		m.Name, m.Zone, m.Weight = member.Name, member.Zone, member.Weight
		m.PrimaryPartitions, m.ReplicaPartitions = primary[i], replica[i]
		doc.Nodes = append(doc.Nodes, m)
	}
	return doc
}

func (n *Node) describeSelf() api.Node {
	var p replicate.Ping
	n.describe(&p)
	m := fromPing(&p)
	s := n.store.Stats()
	m.Memory.Evicted, m.Memory.EvictedBytes = s.Evicted, s.EvictedBytes
	m.State = api.StateActive
	if n.stopping.Load() {
		m.State, m.Reason = api.StateLeaving, reasonStopping
	} else if ok, reason := n.Ready(); !ok {
		m.State, m.Reason = api.StateJoining, reason
	}
	return m
}

func describePeer(p *replicate.Status) api.Node {
	m := fromPing(&p.Ping)
	m.HintBytes = int64(p.Queued)
	m.State = api.StateActive
	switch {
	case p.State == replicate.Down:
		m.State, m.Reason = api.StateDown, p.Reason.Error()
	case p.Ping.Stopping:
		m.State, m.Reason = api.StateLeaving, reasonStopping
	case !p.Ping.Synced:
		m.State, m.Reason = api.StateJoining, "not in sync"
	case p.State == replicate.Recovering:
		m.State, m.Reason = api.StateJoining, reasonRecovering
	}
	return m
}

func fromPing(p *replicate.Ping) api.Node {
	memory := api.Memory{
		Live: p.Memory.Live, Dead: p.Memory.Dead, Segments: p.Memory.Segments, Index: p.Memory.Index, Max: p.Memory.Max,
	}
	return api.Node{
		Keys: p.Keys, Bytes: p.Bytes, Tombstones: p.Tombstones, Memory: memory,
		Version: p.Version, Started: p.Started,
	}
}

// Ready implements server.Cluster.
func (n *Node) Ready() (ok bool, reason string) {
	if n.stopping.Load() {
		return false, reasonStopping
	}
	if err := n.coordinator.SyncReason(); err != nil {
		return false, err.Error()
	}
	return true, ""
}

// ringDoc is a table as it is sent: one document a table, however often it is
// asked for.
type ringDoc struct {
	of  *ring.Table
	doc *api.Ring
}

// Ring implements server.Cluster.
func (n *Node) Ring() *api.Ring {
	if last := n.ringDoc.Load(); last != nil && last.of == n.table {
		return last.doc
	}
	doc := describeRing(n.table)
	n.ringDoc.Store(&ringDoc{n.table, doc})
	return doc
}

func describeRing(table *ring.Table) *api.Ring {
	settings := table.Settings()
	doc := &api.Ring{
		Fingerprint: fmt.Sprintf("%016x", table.Fingerprint()),
		Hash:        "xxh3-64",
		Partitioner: settings.Partitioner,
		Partitions:  settings.Partitions,
		Replicas:    table.Replicas(),
		Owners:      make([][]uint16, settings.Partitions),
	}
	for _, m := range table.Nodes() {
		doc.Nodes = append(doc.Nodes, api.RingNode{Name: m.Name, Zone: m.Zone, Weight: m.Weight})
	}
	for p := range doc.Owners {
		doc.Owners[p] = table.Owners(p)
	}
	return doc
}

// Key implements server.Cluster.
func (n *Node) Key(key []byte, deadline time.Time) api.Key {
	partition, held := n.coordinator.Locate(key, deadline)
	doc := api.Key{Hash: fmt.Sprintf("%016x", kv.Hash(key)), Partition: partition}
	if utf8.Valid(key) {
		doc.Key = string(key)
	} else {
		doc.KeyBase64 = key
	}
	for i := range held {
		doc.Owners = append(doc.Owners, n.keyOwner(&held[i]))
	}
	return doc
}

func (n *Node) keyOwner(h *replicate.Holding) api.KeyOwner {
	o := api.KeyOwner{Node: h.Node, State: api.StateActive}
	switch {
	case h.Self && n.stopping.Load():
		o.State = api.StateLeaving
	case h.State == replicate.Down:
		o.State = api.StateDown
	}
	if h.Err != nil {
		o.Error = h.Err.Error()
		return o
	}
	e := &h.Entry
	if !e.Exists() {
		return o
	}
	modified := e.Version.Time().UTC()
	o.Found, o.Tombstone, o.Modified, o.Size = true, e.Tombstone, &modified, len(e.Value)
	o.Version = strings.Trim(string(e.Version.AppendETag(nil)), `"`)
	if e.Expires != 0 {
		expires := time.UnixMilli(e.Expires).UTC()
		o.Expires = &expires
	}
	return o
}
