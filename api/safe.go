package api

// SafeToStop is the answer of GET /cluster/safe-to-stop, with status 200 if it is safe and 409 if
// not. It tells of the moment in which it was made, and reserves nothing.
type SafeToStop struct {
	Node  string   `json:"node"`  // who answers
	Nodes []string `json:"nodes"` // those that are to be stopped at once

	// Safe: no key loses its last copy that is up and in sync. With ?quorum=true also no key loses
	// the quorum of owners that it has.
	Safe   bool   `json:"safe"`
	Reason string `json:"reason"`          // what is missing, and what to wait for; or why it is safe
	Error  string `json:"error,omitempty"` // the same, with status 409

	Replicas   int `json:"replicas"` // copies that there are to be of each key
	Partitions int `json:"partitions"`

	LastCopies Loss   `json:"last_copies"` // what would have no copy that is up and in sync
	Quorums    Loss   `json:"quorums"`     // what has a quorum of owners up, and would have none
	Waits      []Wait `json:"waits"`       // what has to come to pass first, by node
}

// Loss is how much of the cluster something is about.
type Loss struct {
	Partitions int   `json:"partitions"`
	Keys       int64 `json:"keys,omitempty"` // of last copies: live keys in them, as far as the nodes to be stopped say
	Some       []int `json:"some,omitempty"` // of these partitions, at most 10
}

// Wait is a node whose copies do not count yet.
type Wait struct {
	Node       string `json:"node"`
	Reason     string `json:"reason"`
	Partitions int    `json:"partitions"` // of SafeToStop.LastCopies, that it owns

	// SecondsLeft is how long it goes on fetching at its present rate. Absent: it is not known.
	SecondsLeft float64 `json:"seconds_left,omitempty"`
}
