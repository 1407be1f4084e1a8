package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"httpdhs/server/resp"
)

var (
	respCommands      = newDesc("resp_commands_total", "Commands of the Redis protocol that were read.")
	respCalls         = newDesc("resp_calls_total", "Calls that they were carried out in: a pipeline is one, or few.")
	respOperations    = newDesc("resp_operations_total", "Operations on keys in these calls.")
	respHits          = newDesc("resp_hits_total", "Keys that commands have read, and that were there.")
	respMisses        = newDesc("resp_misses_total", "Keys that commands have read, and that were not there.")
	respUnknown       = newDesc("resp_unknown_outcomes_total", "Writes that were answered with UNKNOWN.")
	respMalformed     = newDesc("resp_malformed_connections_total", "Connections closed for what was no command.")
	respOverloaded    = newDesc("resp_overloaded_commands_total", "Commands refused since too many commands or answers were in memory.")
	respPanics        = newDesc("resp_panics_total", "Commands whose handler panicked.")
	respConns         = newDesc("resp_connections", "Open connections of clients of the Redis protocol.")
	respAcceptedConns = newDesc("resp_accepted_connections_total", "Connections of such clients since the start, those turned away too.")
	respRejectedConns = newDesc("resp_rejected_connections_total", "Connections turned away since there were too many.")
	respSlowConns     = newDesc("resp_slow_connections_total", "Connections cut since the client took too long.")
	respBytes         = newDesc("resp_bytes_total", "Bytes of commands read, and of answers written.", "direction")
	respHeld          = newDesc("resp_held_bytes", "Large commands, and large answers, in memory.", "direction")

	respDescs = []*prometheus.Desc{
		respCommands, respCalls, respOperations, respHits, respMisses, respUnknown, respMalformed, respOverloaded, respPanics,
		respConns, respAcceptedConns, respRejectedConns, respSlowConns, respBytes, respHeld,
	}
)

func (e emitter) resp(r resp.Stats) {
	e.operation("resp", r.FailedCalls, &r.CallTimes)
	e.counter(respCommands, r.Commands)
	e.counter(respCalls, r.Calls)
	e.counter(respOperations, r.Operations)
	e.counter(respHits, r.Hits)
	e.counter(respMisses, r.Gets-r.Hits)
	e.counter(respUnknown, r.UnknownOutcomes)
	e.counter(respMalformed, r.Malformed)
	e.counter(respOverloaded, r.Overloaded)
	e.counter(respPanics, r.Panics)
	e.gauge(respConns, r.Conns)
	e.counter(respAcceptedConns, r.AcceptedConns)
	e.counter(respRejectedConns, r.RejectedConns)
	e.counter(respSlowConns, r.SlowConns)
	e.counter(respBytes, r.InBytes, "in")
	e.counter(respBytes, r.OutBytes, "out")
	e.gauge(respHeld, r.InHeld, "in")
	e.gauge(respHeld, r.OutHeld, "out")
}
