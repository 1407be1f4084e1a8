// Package bench is a load generator for httpdhs, and for any server that
// answers /db/{key} or speaks the protocol of Redis. Run makes a run, RunSweep
// measures latency against throughput, Compare puts two runs side by side; each
// result can be written as a table, as JSON and as a page with plots.
//
// What it promises:
//
//   - A request belongs to the measured part if it started in it. What starts during the warm-up is
//     not measured. What started before the end is waited for, so a stall at the end is not cut
//     off.
//   - In an open loop latency counts from when the request was due. So a server that stalls cannot
//     slow its own measurement down (coordinated omission: Gil Tene). What was due and never sent
//     is an error and a latency.
//   - An error is never a success. Every answer is checked for its status and its length, and
//     batches item by item.
//   - A verified run knows of each key what may be there. The writes of a key are made on one
//     connection, in order, and each value says which write it is of.
//
// It shares the cores with what it measures. So a request is a copy of one made ahead with digits
// patched, nothing is allocated for it, and one thread serves all connections. The report says what
// that still costs.
//
// From the outside in: run.go makes phases of a run (prefill, rounds, reading
// back); phase.go gives each its workers and connections; worker.go is one
// worker, a state machine without I/O; loop_linux.go moves its bytes; pacer.go
// says when a request starts; single.go, incr.go, batch.go, load.go and
// readback.go say what is asked and judge the answers; protocol.go says what
// is different between HTTP (http.go, template.go, response.go) and RESP
// (resp.go); record.go counts.
//
// Concurrency: each event loop is a goroutine locked to a thread. A worker with its connections,
// workload and recorder belongs to it alone. The loops share the space, which does not change. They
// also share the ledger and the series, which say themselves how they are guarded. A phase waits
// for its loops.
package bench
