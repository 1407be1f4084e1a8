// Package metrics turns the counters that the house keeps anyway into
// Prometheus metrics, all with the prefix httpdhs_.
//
// Nothing here is on the path of a request: a scrape reads the counters where
// each package keeps them, and they become metrics on the spot. Hot paths add to
// counters of their own package and know nothing of Prometheus.
package metrics

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"httpdhs/antientropy"
	"httpdhs/disk"
	"httpdhs/internal/histogram"
	"httpdhs/replicate"
	"httpdhs/server"
	"httpdhs/server/resp"
	"httpdhs/shard"
	"httpdhs/topology"
)

// Sources are where a scrape reads from. What is nil leaves its metrics
// out. Scrapes may run at the same time, so the functions are safe for
// concurrent use; they should return in microseconds.
type Sources struct {
	Version   string // of the binary
	MaxMemory int64  // --max-memory; 0: no bound

	Ready   func() bool // whether the node serves its share
	Store   func() shard.Stats
	Disk    func() disk.Stats // nil: nothing is on disk
	Steps   func() [shard.StepKinds]shard.StepTimes
	HTTP    func() server.Stats
	Resp    func() resp.Stats     // nil: the node does not speak the Redis protocol
	Calls   *replicate.Counters   // with Repairs
	Repairs *antientropy.Counters // with Calls
	Peers   func() []topology.Status
	Ring    func() Ring
	Members func() Members
}

// peerStates are the states that a peer can have. Each is a metric of its own,
// 1 for the state that it is in and 0 for the others.
var peerStates = []string{"up", "recovering", "down"}

// Ring is the partition table in use and this node's part of it, and of its change.
type Ring struct {
	Fingerprint       string
	PrimaryPartitions int
	ReplicaPartitions int

	Changing       bool  // another table is to take its place
	FetchLeft      int   // partitions that this node has still to compare with other owners, each once an owner
	FetchBytesLeft int64 // that it has still to fetch, as far as can be told
	HandOver       int   // partitions that it holds or owns, and is to hand over to others

	UnderReplicated int64 // keys with too few copies in sync, of the partitions that this node counts
}

// Members are the members of the cluster as this node sees them.
type Members struct {
	States  map[string]int // how many are in each of MemberStates
	Evicted int64          // dead members that this node has removed with a majority
}

// MemberStates are the states of members, as in /cluster.
var MemberStates = []string{"active", "joining", "leaving", "down"}

// New makes a registry of everything: the sources, the Go runtime and the
// process.
func New(src Sources) *prometheus.Registry {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(
		&collector{src: src},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}

// collector reads the sources at each scrape. It has no state.
type collector struct{ src Sources }

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("httpdhs_"+name, help, labels, nil)
}

var (
	buildInfo = newDesc("build_info", "The binary that runs; always 1.", "version", "goversion")
	ready     = newDesc("ready", "Whether the node serves its share of the data, as /readyz says.")

	storeKeys       = newDesc("store_keys", "Live keys that this node stores.")
	storeTombstones = newDesc("store_tombstones", "Deleted keys that this node still remembers.")
	storeData       = newDesc("store_data_bytes", "Bytes of the live keys and their values.")
	storeMemory     = newDesc("store_memory_bytes", "What the store takes, as counted against its bound.")
	storeMemoryKind = newDesc("store_memory_kind_bytes", "Of that, by kind: records that are held, where records were, what is unused between them, tables.", "kind")
	storeEvicted    = newDesc("store_evicted_total", "Entries that --eviction has forgotten to make room for others.")
	storeEvictedB   = newDesc("store_evicted_bytes_total", "Bytes of the keys and values that --eviction has forgotten.")
	storePassed     = newDesc("store_sync_passed_total", "Records of other nodes that sync did not store, because such were evicted here.")
	storeSteps      = newDesc("store_step_seconds", "Time of the steps in which the store does its own work, while it keeps calls for that part of the data waiting, by kind.", "kind")
	storeLongest    = newDesc("store_longest_step_seconds", "The longest of these steps since the start.", "kind")
	storeMemoryMax  = newDesc("store_memory_limit_bytes", "The bound of --max-memory; 0 is none.")

	httpRequests      = newDesc("http_requests_total", "Requests answered, by method and class of status.", "method", "code")
	httpSeconds       = newDesc("http_request_seconds", "Time of operations, from when the request is there, with its body, to its answer, by kind. Of the Redis protocol: of a call, which is a pipeline or a part of one.", "op")
	httpErrors        = newDesc("http_request_errors_total", "Operations that failed by no fault of the client, with a status of 500 or more or the like, by kind.", "op")
	httpMalformed     = newDesc("http_malformed_requests_total", "Requests that could not be read.")
	httpOverloaded    = newDesc("http_overloaded_requests_total", "Requests refused since too many bodies or answers were in memory.")
	httpPanics        = newDesc("http_panics_total", "Requests whose handler panicked.")
	httpConns         = newDesc("http_connections", "Open connections.")
	httpRejectedConns = newDesc("http_rejected_connections_total", "Connections turned away since there were too many.")
	httpEvictedConns  = newDesc("http_evicted_connections_total", "Connections that waited for their clients and were closed to make room for new ones.")
	httpSlowConns     = newDesc("http_slow_connections_total", "Connections cut since the client took too long.")
	httpRefused       = newDesc("http_refused_messages_total", "Messages between nodes that were not taken, by why: another secret, changed on the way, of no member's host, ...", "reason")
	httpInFlight      = newDesc("http_in_flight_bytes", "Request bodies in memory, by whether a client or another node sent them.", "from")
	httpAnswers       = newDesc("http_answer_bytes", "Large answers in memory until their clients have taken them.")

	coordReads       = newDesc("coordinator_reads_total", "Reads that this node coordinated.")
	coordHedges      = newDesc("coordinator_hedged_reads_total", "Reads that asked one more owner, since the first took much longer than usual.")
	coordWrites      = newDesc("coordinator_writes_total", "Writes that this node coordinated.")
	coordRepairs     = newDesc("coordinator_read_repairs_total", "Records sent to replicas that a read found stale.")
	coordSynced      = newDesc("coordinator_synced_records_total", "Records fetched from other owners by sync.")
	coordHandedOver  = newDesc("coordinator_handed_over_records_total", "Records given to their owners by this node, which owns them no longer.")
	coordRefused     = newDesc("coordinator_refused_records_total", "Records of peers beyond this node's limits, or stamped too far ahead of its clock.")
	coordRestamps    = newDesc("coordinator_restamps_total", "Writes stamped again since a newer version was there.")
	coordOverloads   = newDesc("coordinator_overloads_total", "Operations refused since the queue to an owner was full.")
	coordUnavailable = newDesc("coordinator_unavailable_total", "Operations that failed since too few replicas were up.")
	coordTimeouts    = newDesc("coordinator_timeouts_total", "Operations whose level was not met in time.")

	peerState      = newDesc("peer_state", "1 for the state that the peer is in, 0 for the others.", "peer", "state")
	peerSynced     = newDesc("peer_synced", "Whether the peer holds all that it owns, as it last said.", "peer")
	peerQueueBytes = newDesc("peer_queue_bytes", "Bytes waiting to be sent to the peer: the hints, if it is down.", "peer")
	peerQueueLimit = newDesc("peer_queue_limit_bytes", "What may wait for the peer, in bytes: beyond it writes are refused, or dropped if it is down.", "peer")
	peerRecords    = newDesc("peer_sent_records_total", "Records that the peer acknowledged.", "peer")
	peerBatches    = newDesc("peer_sent_batches_total", "Batches that the peer acknowledged.", "peer")
	peerErrors     = newDesc("peer_send_errors_total", "Batches to the peer that broke off or were refused.", "peer")
	peerRoundTrip  = newDesc("peer_round_trip_seconds", "Time from the sending of a batch to its answer.", "peer")
	peerBatchSize  = newDesc("peer_batch_records", "Items that were answered together, in one batch.", "peer")
	peerDropped    = newDesc("peer_dropped_records_total", "Records dropped since the queue to the peer was full.", "peer")

	ringInfo       = newDesc("ring_info", "The partition table in use; always 1.", "fingerprint")
	ringPartitions = newDesc("ring_partitions", "Partitions that this node owns, by its role in them.", "role")
	ringChanging   = newDesc("ring_changing", "Whether another partition table is to take the place of the one in use.")
	ringFetch      = newDesc("ring_fetch_partitions", "Partitions that this node has still to fetch, or to compare, each once for each other owner.")
	ringFetchBytes = newDesc("ring_fetch_bytes", "Bytes that this node has still to fetch, as far as can be told from what it has fetched.")
	ringUnder      = newDesc("under_replicated_keys", "Keys with fewer copies that are up and in sync than there are to be, in the partitions that this node counts: of each partition one node does.")
	ringHandOver   = newDesc("ring_hand_over_partitions", "Partitions that this node has still to hand over to others.")

	members        = newDesc("members", "Members of the cluster by state, as this node sees them.", "state")
	membersEvicted = newDesc("evicted_members_total", "Dead members that this node has removed since a majority found them dead.")

	descs = []*prometheus.Desc{
		buildInfo, ready,
		storeKeys, storeTombstones, storeData, storeMemory, storeMemoryKind, storeMemoryMax, storeEvicted, storeEvictedB, storePassed, storeSteps, storeLongest,
		httpRequests, httpSeconds, httpErrors, httpMalformed, httpOverloaded, httpPanics, httpConns, httpRejectedConns, httpEvictedConns, httpSlowConns,
		httpRefused, httpInFlight, httpAnswers,
		coordReads, coordHedges, coordWrites, coordRepairs, coordRestamps, coordSynced, coordHandedOver, coordRefused, coordUnavailable, coordTimeouts, coordOverloads,
		peerState, peerSynced, peerQueueBytes, peerQueueLimit, peerRecords, peerBatches, peerErrors, peerDropped, peerRoundTrip, peerBatchSize,
		ringInfo, ringPartitions, ringChanging, ringFetch, ringFetchBytes, ringUnder, ringHandOver,
		members, membersEvicted,
	}
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(descs, respDescs, diskDescs) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := emitter(ch)
	e.gauge(buildInfo, 1, c.src.Version, runtime.Version())
	if c.src.Ready != nil {
		e.gauge(ready, oneIf(c.src.Ready()))
	}
	if c.src.Store != nil {
		e.store(c.src.Store(), c.src.MaxMemory)
	}
	if c.src.Disk != nil {
		e.disk(c.src.Disk())
	}
	if c.src.Steps != nil {
		e.steps(c.src.Steps())
	}
	if c.src.HTTP != nil {
		e.http(c.src.HTTP())
	}
	if c.src.Resp != nil {
		e.resp(c.src.Resp())
	}
	if c.src.Calls != nil {
		e.calls(c.src.Calls, c.src.Repairs)
	}
	if c.src.Peers != nil {
		for _, p := range c.src.Peers() {
			e.peer(&p)
		}
	}
	if c.src.Ring != nil {
		e.ring(c.src.Ring())
	}
	if c.src.Members != nil {
		e.members(c.src.Members())
	}
}

// emitter sends the metrics of a scrape.
type emitter chan<- prometheus.Metric

func (e emitter) send(kind prometheus.ValueType, d *prometheus.Desc, v int64, labels []string) {
	m, err := prometheus.NewConstMetric(d, kind, float64(v), labels...)
	if err != nil { // a label that is not UTF-8: the scrape fails and says so
		m = prometheus.NewInvalidMetric(d, err)
	}
	e <- m
}

func (e emitter) gauge(d *prometheus.Desc, v int64, labels ...string) {
	e.send(prometheus.GaugeValue, d, v, labels)
}

func (e emitter) counter(d *prometheus.Desc, v int64, labels ...string) {
	e.send(prometheus.CounterValue, d, v, labels)
}

func (e emitter) store(s shard.Stats, most int64) {
	e.gauge(storeKeys, int64(s.Keys))
	e.gauge(storeTombstones, int64(s.Tombstones))
	e.gauge(storeData, s.Bytes)
	e.gauge(storeMemory, s.Accounted)
	m := &s.Memory
	e.gauge(storeMemoryKind, m.Live, "live")
	e.gauge(storeMemoryKind, m.Dead, "dead")
	e.gauge(storeMemoryKind, m.Segments-m.Live-m.Dead, "unused")
	e.gauge(storeMemoryKind, m.Index, "index")
	e.gauge(storeMemoryMax, most)
	e.counter(storeEvicted, s.Evicted)
	e.counter(storeEvictedB, s.EvictedBytes)
	e.counter(storePassed, s.Passed)
}

// steps are how long the store's own work took. Buckets count what took at most so long.
func (e emitter) steps(all [shard.StepKinds]shard.StepTimes) {
	for kind, times := range all {
		name, sum := shard.StepKind(kind).String(), uint64(0)
		atMost := make(map[float64]uint64, shard.StepBuckets)
		for i, n := range times.Buckets[:shard.StepBuckets-1] {
			sum += uint64(n)
			atMost[shard.StepBound(i).Seconds()] = sum
		}
		e <- prometheus.MustNewConstHistogram(storeSteps, uint64(times.Count), times.Total.Seconds(), atMost, name)
		e <- prometheus.MustNewConstMetric(storeLongest, prometheus.GaugeValue, times.Longest.Seconds(), name)
	}
}

func (e emitter) http(h server.Stats) {
	for class, byStatus := range h.Requests {
		for digit, count := range byStatus {
			if count > 0 {
				e.counter(httpRequests, count, server.Classes[class], string(rune('0'+digit))+"xx")
			}
		}
	}
	for i := range h.Operations {
		e.operation(server.OperationName(i), h.Operations[i].Errors, &h.Operations[i].Took)
	}
	e.counter(httpMalformed, h.Malformed)
	e.counter(httpOverloaded, h.Overloaded)
	e.counter(httpPanics, h.Panics)
	e.gauge(httpConns, h.Conns)
	e.counter(httpRejectedConns, h.RejectedConns)
	e.counter(httpEvictedConns, h.EvictedConns)
	e.counter(httpSlowConns, h.SlowConns)
	for reason, count := range h.RefusedMessages {
		e.counter(httpRefused, count, reason)
	}
	e.gauge(httpInFlight, h.InFlightBytes, "client")
	e.gauge(httpInFlight, h.PeerInFlightBytes, "peer")
	e.gauge(httpAnswers, h.AnswerBytes)
}

// operation is the times of a kind of operation.
func (e emitter) operation(kind string, errors int64, took *histogram.Counts) {
	e.histogram(httpSeconds, took, histogram.Latencies[:], time.Second, kind)
	e.counter(httpErrors, errors, kind)
}

// histogram sends counts by so many of the bounds as are given. So many of what was counted are
// one of the metric's unit.
func (e emitter) histogram(d *prometheus.Desc, c *histogram.Counts, bounds []int64, unit time.Duration, labels ...string) {
	sum := uint64(0)
	atMost := make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		sum += uint64(c.Buckets[i])
		atMost[float64(bound)/float64(unit)] = sum
	}
	m, err := prometheus.NewConstHistogram(d, uint64(c.Count()), float64(c.Sum)/float64(unit), atMost, labels...)
	if err != nil { // as in send
		m = prometheus.NewInvalidMetric(d, err)
	}
	e <- m
}

func (e emitter) calls(c *replicate.Counters, r *antientropy.Counters) {
	e.counter(coordReads, c.Reads.Load())
	e.counter(coordWrites, c.Writes.Load())
	e.counter(coordHedges, c.Hedges.Load())
	e.counter(coordRepairs, c.Repairs.Load())
	e.counter(coordRestamps, c.Restamps.Load())
	e.counter(coordSynced, r.Pulled.Load())
	e.counter(coordHandedOver, r.HandedOver.Load())
	e.counter(coordRefused, c.Refused.Load()+r.Refused.Load())
	e.counter(coordUnavailable, c.Unavailable.Load())
	e.counter(coordTimeouts, c.Timeouts.Load())
	e.counter(coordOverloads, c.Overloads.Load())
}

// batchBounds is how many bounds the size of a batch has, which is in the thousands at most.
const batchBounds = 13

func (e emitter) peer(p *topology.Status) {
	for _, state := range peerStates {
		e.gauge(peerState, oneIf(p.State.String() == state), p.Name, state)
	}
	e.gauge(peerSynced, oneIf(p.Ping.InSync), p.Name)
	e.gauge(peerQueueBytes, int64(p.Queued), p.Name)
	e.gauge(peerQueueLimit, int64(p.Bound), p.Name)
	e.counter(peerRecords, p.SentRecords.Load(), p.Name)
	e.counter(peerBatches, p.SentBatches.Load(), p.Name)
	e.counter(peerErrors, p.SendErrors.Load(), p.Name)
	e.counter(peerDropped, p.DroppedRecords.Load(), p.Name)
	var trips, records histogram.Counts
	p.RoundTrips.AddTo(&trips)
	p.BatchRecords.AddTo(&records)
	e.histogram(peerRoundTrip, &trips, histogram.Latencies[:], time.Second, p.Name)
	e.histogram(peerBatchSize, &records, histogram.Sizes[:batchBounds], 1, p.Name)
}

func (e emitter) ring(r Ring) {
	e.gauge(ringInfo, 1, r.Fingerprint)
	e.gauge(ringPartitions, int64(r.PrimaryPartitions), "primary")
	e.gauge(ringPartitions, int64(r.ReplicaPartitions), "replica")
	e.gauge(ringChanging, oneIf(r.Changing))
	e.gauge(ringFetch, int64(r.FetchLeft))
	e.gauge(ringFetchBytes, r.FetchBytesLeft)
	e.gauge(ringUnder, r.UnderReplicated)
	e.gauge(ringHandOver, int64(r.HandOver))
}

func (e emitter) members(m Members) {
	for _, state := range MemberStates {
		e.gauge(members, int64(m.States[state]), state)
	}
	e.counter(membersEvicted, m.Evicted)
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
