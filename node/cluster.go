package node

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"httpdhs/api"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/replicate"
	"httpdhs/ring"
	"httpdhs/shard"
	"httpdhs/topology"
	"httpdhs/wire"
)

const (
	reasonStopping   = "stopping"
	reasonLeaving    = "handing over what it holds"
	reasonRecovering = "being sent the writes that it missed"
)

// counted is what the store counted at a moment.
type counted struct {
	at              time.Time
	stats           shard.Stats
	underReplicated int64 // keys
}

// countEvery is how old the figures in a probe may be: to look at all partitions takes a while, and
// in a large cluster a node sends and answers many probes a second.
const countEvery = time.Second

// count is what the node counts, now or a moment ago.
func (v *view) count(now bool) *counted {
	if last := v.counted.Load(); !now && last != nil && time.Since(last.at) < countEvery {
		return last
	}
	count := &counted{time.Now(), v.store.Stats(), v.plane.Topology.UnderReplicated()}
	v.counted.Store(count)
	return count
}

// view is what a node tells of itself and the others, as documents and counters.
type view struct {
	*parts
	*life
	ringDoc  atomic.Pointer[ringDoc]
	handOver atomic.Pointer[handOver]
	counted  atomic.Pointer[counted]
	traffic  traffic
	served   served
}

// cluster implements server.Cluster.
type cluster struct {
	*view
	*roster
}

// describe is what the node tells its peers of itself. now: as it is, and not as it was a moment
// ago.
func (v *view) describe(p *wire.Ping, now bool) {
	count := v.count(now)
	s := &count.stats
	p.Keys, p.Bytes, p.Tombstones = int64(s.Keys), s.Bytes, int64(s.Tombstones)
	p.UnderReplicated = count.underReplicated
	m := &s.Memory
	p.Memory = wire.Memory{Live: m.Live, Dead: m.Dead, Segments: m.Segments, Index: m.Index, Max: v.cfg.MaxMemory,
		Evicted: s.Evicted, EvictedBytes: s.EvictedBytes}
	p.Disk = v.disk()
	p.Version, p.Started, p.Resp = v.cfg.Version, v.started, v.respAddr
	p.Stopping = v.isEnding()
	p.HandOver = v.handingOver()
}

// disk is what the log takes.
func (v *view) disk() (d wire.Disk) {
	if v.cfg.Disk == nil {
		return d
	}
	s := v.cfg.Disk.Stats()
	d = wire.Disk{Bytes: s.Bytes, Unsynced: s.Unsynced, Max: s.Max}
	if s.Fault {
		d.Faults = 1
	}
	return d
}

// handOver is how many partitions the node had to hand over at a moment. Each probe asks, and to
// look at all partitions takes a while.
type handOver struct {
	at         time.Time
	partitions int
}

const handOverEvery = 200 * time.Millisecond

// handingOver is how many partitions the node has to hand over while the ring changes or it leaves;
// else it does not look.
func (v *view) handingOver() int {
	now, next := v.plane.Topology.Rings()
	if now == nil || now == next && !v.isLeaving() {
		return 0
	}
	if last := v.handOver.Load(); last != nil && time.Since(last.at) < handOverEvery {
		return last.partitions
	}
	found := &handOver{time.Now(), v.plane.Repairer.HandingOver()}
	v.handOver.Store(found)
	return found.partitions
}

// freshWithin is how long a document waits for what peers say of themselves: of one that is silent,
// what it said last will do.
const freshWithin = 500 * time.Millisecond

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Cluster implements server.Cluster.
func (v *view) Cluster(deadline time.Time) api.Cluster {
	v.plane.Topology.Survey(earlier(deadline, time.Now().Add(freshWithin)))
	return v.cluster()
}

// cluster is what is known without asking.
func (v *view) cluster() api.Cluster {
	settings := v.cfg.ringSettings()
	doc := api.Cluster{
		Node:        v.cfg.Name,
		Replicas:    settings.Replicas,
		Partitions:  settings.Partitions,
		Partitioner: settings.Partitioner,
	}
	now, next := v.plane.Topology.Rings()
	changing := now != nil && next.Fingerprint() != now.Fingerprint()
	if now != nil {
		doc.Ring, doc.Replicas = fmt.Sprintf("%016x", now.Fingerprint()), now.Replicas()
	}
	if changing {
		doc.Target = fmt.Sprintf("%016x", next.Fingerprint())
	}
	share, target := shares(now), shares(next)
	peers := make(map[string]topology.Status)
	for _, p := range v.plane.Topology.Peers() {
		peers[p.Name] = p
	}
	for _, member := range v.members.Members() {
		m := v.describeMember(&member, peers)
		m.PrimaryPartitions, m.ReplicaPartitions = share(member.Name)
		if changing {
			primary, replica := target(member.Name)
			m.TargetPartitions = primary + replica
		}
		doc.Nodes = append(doc.Nodes, m)
	}
	return doc
}

// shares counts what the nodes on a ring own; a node that is not on it owns nothing.
func shares(t *ring.Table) func(name string) (primary, replica int) {
	if t == nil {
		return func(string) (int, int) { return 0, 0 }
	}
	primaries, replicas := t.Counts()
	return func(name string) (primary, replica int) {
		if i, ok := t.Index(name); ok {
			return primaries[i], replicas[i]
		}
		return 0, 0
	}
}

// describeMember is a member as this node sees it.
func (v *view) describeMember(member *wire.Member, peers map[string]topology.Status) (m api.Node) {
	if p, ok := peers[member.Name]; ok {
		m = describePeer(&p)
	} else if member.Name == v.cfg.Name {
		m = v.describeSelf()
	} else {
		m = api.Node{State: api.StateJoining, Reason: "not met yet"}
	}
	m.Name, m.Zone, m.Weight = member.Name, member.Zone, member.Weight
	switch {
	case member.State != wire.Leaving:
	case m.State == api.StateDown:
		m.Reason += "; it was leaving"
	default:
		m.State, m.Reason = api.StateLeaving, reasonLeaving
	}
	return m
}

func (v *view) describeSelf() api.Node {
	var p wire.Ping
	v.describe(&p, true)
	p.Moving = v.plane.Repairer.Moving()
	m := fromPing(&p)
	m.State = api.StateActive
	if v.isEnding() {
		m.State, m.Reason = api.StateLeaving, reasonStopping
	} else if ok, reason := v.Ready(); !ok {
		m.State, m.Reason = api.StateJoining, reason
	}
	return m
}

func describePeer(p *topology.Status) api.Node {
	m := fromPing(&p.Ping)
	m.HintBytes = int64(p.Queued)
	m.State = api.StateActive
	switch {
	case p.State == peer.Down:
		m.State, m.Reason, m.DownSince = api.StateDown, p.Reason.Error(), p.Since
		m.UnderReplicated = 0 // others count these keys now
	case p.Ping.Stopping:
		m.State, m.Reason = api.StateLeaving, reasonStopping
	case !p.Ping.InSync:
		m.State, m.Reason = api.StateJoining, "not in sync"
	case p.State == peer.Recovering:
		m.State, m.Reason = api.StateJoining, reasonRecovering
	}
	return m
}

func fromPing(p *wire.Ping) api.Node {
	return api.Node{
		Keys: p.Keys, Bytes: p.Bytes, Tombstones: p.Tombstones, Memory: describeMemory(&p.Memory),
		Disk:            describeDisk(&p.Disk),
		UnderReplicated: p.UnderReplicated, Version: p.Version, Resp: p.Resp, Started: p.Started, Moving: describeMoving(p.Moving), HandOver: p.HandOver,
	}
}

func describeMemory(m *wire.Memory) api.Memory {
	return api.Memory{
		Live: m.Live, Dead: m.Dead, Segments: m.Segments, Index: m.Index, Used: m.Segments + m.Index - m.Dead, Max: m.Max,
		Evicted: m.Evicted, EvictedBytes: m.EvictedBytes,
	}
}

func describeDisk(d *wire.Disk) *api.Disk {
	if *d == (wire.Disk{}) {
		return nil
	}
	return &api.Disk{Bytes: d.Bytes, Unsynced: d.Unsynced, Max: d.Max, Failing: d.Faults > 0}
}

// Memory implements server.Cluster.
func (v *view) Memory() (used, limit int64, full bool) {
	return v.store.Room()
}

func describeMoving(m *wire.Moving) *api.Moving {
	if m == nil {
		return nil
	}
	doc := &api.Moving{Partitions: m.Partitions, Done: m.Done, Bytes: m.Bytes}
	if m.Done > 0 {
		doc.BytesLeft = m.Bytes / int64(m.Done) * int64(m.Partitions-m.Done)
	}
	if m.Seconds > 0 {
		doc.Rate = float64(m.Bytes) / m.Seconds
	}
	if doc.Rate > 0 {
		doc.SecondsLeft = float64(doc.BytesLeft) / doc.Rate
	}
	return doc
}

// Ready implements server.Cluster.
func (v *view) Ready() (ok bool, reason string) {
	if v.isEnding() {
		return false, reasonStopping
	}
	if reason := v.start.reason(); reason != "" {
		return false, reason
	}
	if err := v.members.Ready(); err != nil {
		return false, err.Error()
	}
	if v.isLeaving() {
		return false, reasonLeaving // it works as ever, but is not to be counted on
	}
	if err := v.plane.Topology.SyncReason(); err != nil {
		return false, v.fetching(err)
	}
	if v.cfg.Disk != nil {
		if err := v.cfg.Disk.Fault(); err != nil {
			return false, err.Error()
		}
	}
	return true, ""
}

// fetching is why the node is not in sync. While it fetches what it owns, err is of an earlier
// moment, and how far that is tells more. Where it has no room it fetches in vain.
func (v *view) fetching(err error) string {
	m := describeMoving(v.plane.Repairer.Moving())
	if m == nil || m.Partitions == 0 || v.plane.Board.InSync() || kv.NoRoom(err) {
		return err.Error()
	}
	text := fmt.Sprintf("not in sync: it fetches what it owns, and has %d %%", 100*m.Done/m.Partitions)
	if left := time.Duration(m.SecondsLeft * float64(time.Second)).Round(time.Second); left > 0 {
		text += fmt.Sprintf(", about %v left", left)
	}
	return text
}

// ringDoc is a table as it is sent: one document a table, however often it is
// asked for.
type ringDoc struct {
	of  *ring.Table
	doc *api.Ring
}

// Ring implements server.Cluster.
func (v *view) Ring() *api.Ring {
	table, _ := v.plane.Topology.Rings()
	if last := v.ringDoc.Load(); last != nil && last.of == table {
		return last.doc
	}
	doc := v.describeRing(table)
	v.ringDoc.Store(&ringDoc{table, doc})
	return doc
}

func (v *view) describeRing(table *ring.Table) *api.Ring {
	settings := v.cfg.ringSettings()
	doc := &api.Ring{
		Fingerprint: fmt.Sprintf("%016x", 0),
		Hash:        "xxh3-64",
		Partitioner: settings.Partitioner,
		Partitions:  settings.Partitions,
		Owners:      make([][]uint16, settings.Partitions),
	}
	if table == nil { // it is not part of a cluster yet
		return doc
	}
	doc.Fingerprint, doc.Replicas = fmt.Sprintf("%016x", table.Fingerprint()), table.Replicas()
	for _, m := range table.Nodes() {
		doc.Nodes = append(doc.Nodes, api.RingNode{Name: m.Name, Zone: m.Zone, Weight: m.Weight})
	}
	for p := range doc.Owners {
		doc.Owners[p] = table.Owners(p)
	}
	return doc
}

// Key implements server.Cluster.
func (v *view) Key(key []byte, deadline time.Time) api.Key {
	partition, held := v.plane.Locate(key, deadline)
	doc := api.Key{Hash: fmt.Sprintf("%016x", kv.Hash(key)), Partition: partition}
	if utf8.Valid(key) {
		doc.Key = string(key)
	} else {
		doc.KeyBase64 = key
	}
	for i := range held {
		doc.Owners = append(doc.Owners, v.keyOwner(&held[i]))
	}
	return doc
}

func (v *view) keyOwner(h *replicate.Holding) api.KeyOwner {
	o := api.KeyOwner{Node: h.Node, State: api.StateActive}
	switch {
	case h.Self && v.stopping.Load():
		o.State = api.StateLeaving
	case h.State == peer.Down:
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
		expires := kv.ExpiryTime(e.Expires)
		o.Expires = &expires
	}
	return o
}
