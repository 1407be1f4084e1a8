package resp

import (
	"errors"
	"slices"
	"strings"

	"httpdhs/kv"
)

// The one table from what went wrong to what the client is told. The first row that fits counts.
// Codes are those that libraries of clients know. LOADING: the node serves nothing yet; libraries
// wait, or connect elsewhere. TRYAGAIN: nothing was done; some libraries repeat the command, others
// pass the error on. OOM: there is no room. MISCONF: what Redis says of a disk that fails.
// UNAVAILABLE and UNKNOWN are our own, and libraries pass them on.
var errorTexts = []struct {
	err  error
	text string
}{
	{kv.ErrNotInteger, "ERR value is not an integer or out of range"},
	{kv.ErrNotFloat, "ERR value is not a valid float"},
	{kv.ErrOverflow, "ERR increment or decrement would overflow"},
	{kv.ErrInfinite, "ERR increment would produce NaN or Infinity"},
	{kv.ErrKeyEmpty, "ERR the key is empty, and this store has no such keys"},
	{kv.ErrKeyTooLong, "ERR the key is longer than --max-key-bytes"},
	{kv.ErrValueTooLarge, "ERR string exceeds maximum allowed size (--max-value-bytes)"},
	{kv.ErrLevel, "ERR the level asks for more replicas than a key has"},
	{kv.ErrNoMemory, "OOM command not allowed when used memory > 'maxmemory'."},
	{kv.ErrDiskFull, "OOM command not allowed when the disk of a replica is full."},
	{kv.ErrNoDisk, "MISCONF Errors writing to the AOF file: a replica cannot write to its disk, and its log says why"},
	{kv.ErrUndecided, "OOM the values that are being answered or changed have come to their bound of memory, and nothing was done"},
	{kv.ErrAnswersHeld, errOutFull},
	{kv.ErrAnswerFull, "ERR the values found are more than one answer holds, and nothing was done: ask for this key by itself"},
	{kv.ErrNoCluster, "LOADING this node is part of no cluster yet, and nothing was done"},
	{kv.ErrStarting, "LOADING this node is starting, and nothing was done"},
	{kv.ErrUnheard, "LOADING not all members have taken note of this node yet, and nothing was done"},
	{kv.ErrOverloaded, "TRYAGAIN the node is overloaded, and nothing was done"},
	{kv.ErrStopping, "TRYAGAIN the node is stopping: send the command to another"},
	{kv.ErrRefused, "UNAVAILABLE a replica refuses the write: its limits are lower, or its clock is far behind"},
	{kv.ErrNoPrimary, "UNAVAILABLE no owner that this node reaches is the key's primary: ask another node"},
	{kv.ErrUnavailable, "UNAVAILABLE too few replicas are up"},
	{kv.ErrTimeout, "UNAVAILABLE too few replicas answered in time"},
	{kv.ErrAbsenceUnknown, "UNAVAILABLE no replica that holds everything is up, so the key may exist"},
	{kv.ErrUnknownOutcome, "UNKNOWN the write may or may not have been applied: read the key to find out"},
}

// textOf looks up an error. One that is not in the table is a fault of ours.
func textOf(err error) string {
	for i := range errorTexts {
		if errors.Is(err, errorTexts[i].err) {
			return errorTexts[i].text
		}
	}
	return "ERR " + err.Error()
}

// faults are the codes of errors that are not the client's.
var faults = []string{"OOM", "MISCONF", "LOADING", "TRYAGAIN", "UNAVAILABLE", "UNKNOWN"}

// isFault says whether the cluster is at fault, where HTTP has a 5xx.
func isFault(err error) bool {
	if err == nil || err == kv.ErrNotFound {
		return false
	}
	code, _, _ := strings.Cut(textOf(err), " ")
	return slices.Contains(faults, code)
}

// failed answers with the error of an operation.
func (s *session) failed(op *kv.Op) {
	if op.OutcomeUnknown(s.write) {
		s.srv.counters.unknownOutcomes.Add(1)
		s.out.error("UNKNOWN the write may or may not have been applied, read the key to find out: " + op.Err.Error())
		return
	}
	switch {
	case errors.Is(op.Err, kv.ErrStopping):
		s.closing = true
	case errors.Is(op.Err, kv.ErrAnswersHeld):
		s.srv.counters.overloaded.Add(1)
	}
	s.out.error(textOf(op.Err))
}
