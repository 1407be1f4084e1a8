package api

import "time"

// Kinds of operations, in OperationStats.
const (
	OperationGet    = "get"
	OperationPut    = "put"
	OperationDelete = "delete"
	OperationUpdate = "update" // a POST to a key
	OperationList   = "list"
	OperationBatch  = "batch" // POST /batch, and DELETE /db
	OperationLoad   = "load"
	OperationResp   = "resp" // a call of the Redis protocol: a pipeline is one, or few
)

// Stats is the document of GET /cluster/stats: what each node has counted since it was started. A
// reader takes the difference of two documents to get rates and latencies.
type Stats struct {
	Node   string      `json:"node"`   // who answers
	Bounds []float64   `json:"bounds"` // upper bounds of the latency buckets, in seconds, ascending
	Nodes  []NodeStats `json:"nodes"`  // all members, sorted by name
}

// NodeStats is one member in a Stats. Where a counter is below that of an earlier document, or
// Started has changed, the node has begun again.
type NodeStats struct {
	Name  string `json:"name"`            // host:port
	Error string `json:"error,omitempty"` // why it could not be asked: then the rest is absent

	Time        time.Time `json:"time,omitzero"`         // when it counted, by its own clock
	Started     time.Time `json:"started,omitzero"`      // when its process began
	Connections *int64    `json:"connections,omitempty"` // of clients and of other nodes

	Operations []OperationStats `json:"operations,omitzero"` // each kind that it carries out

	// HotPartitions are those with most reads and writes lately, the hottest first, at most ten.
	// Absent: it has just begun to count, as it does when it was not asked for a minute. Ask again
	// in a few seconds.
	HotPartitions []PartitionStats `json:"hot_partitions,omitzero"`
}

// OperationStats are the operations of a kind that a node has carried out for its clients. The time
// of one begins when the request is there, with its body, and ends when its answer is.
type OperationStats struct {
	Kind    string  `json:"kind"`    // one of the constants above
	Count   int64   `json:"count"`   // all of them
	Errors  int64   `json:"errors"`  // of these, answered with a 5xx
	Seconds float64 `json:"seconds"` // the sum of their times

	// Buckets are how many took at most Stats.Bounds of their place, and longer than the bound
	// before. There is one more than bounds: the last has what took longer than all of these.
	Buckets []int64 `json:"buckets"`
}

// PartitionStats is how much a node has had to do with a partition lately, a second: what its
// clients, and other nodes for theirs, have read of it and written to it.
type PartitionStats struct {
	Partition int     `json:"partition"`
	Reads     float64 `json:"reads"`
	Writes    float64 `json:"writes"`
}
