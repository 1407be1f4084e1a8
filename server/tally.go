package server

import (
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/histogram"
)

// Operation is a kind of request whose time is measured.
type Operation uint8

// The kinds of operations. 0 is none.
const (
	OpGet    Operation = iota + 1
	OpPut              // of one key
	OpDelete           // of one key
	OpUpdate           // a POST to one key
	OpList             // until the answer begins, where it is a stream
	OpBatch            // POST /batch, and DELETE /db, with the reading of the body
	OpLoad             // /load-data, with the reading of the body
	operationsEnd

	// Operations is how many kinds there are.
	Operations = int(operationsEnd) - 1
)

var operationNames = [Operations]string{"get", "put", "delete", "update", "list", "batch", "load"}

// Name is the name of a kind by its place in Stats.Operations.
func OperationName(place int) string { return operationNames[place] }

const (
	// tallyStripes is among how many tallies the connections are dealt, so that those of different
	// cores seldom write to the same memory.
	tallyStripes = 16

	cacheLineBytes = 64
)

// tally is what the requests of some connections have come to. Each request adds to it: so there
// are several, and who reads adds them up.
type tally struct {
	requests   [classes][6]atomic.Int64
	operations [Operations]struct {
		errors atomic.Int64
		took   histogram.Histogram
	}
	_ [cacheLineBytes]byte
}

type tallies struct {
	stripes [tallyStripes]tally
	dealt   atomic.Uint32
}

// next is the tally of one more connection.
func (t *tallies) next() *tally { return &t.stripes[t.dealt.Add(1)%tallyStripes] }

func (t *tallies) addTo(s *Stats) {
	for i := range t.stripes {
		from := &t.stripes[i]
		for class := range from.requests {
			for digit := range from.requests[class] {
				s.Requests[class][digit] += from.requests[class][digit].Load()
			}
		}
		for kind := range from.operations {
			s.Operations[kind].Errors += from.operations[kind].errors.Load()
			from.operations[kind].took.AddTo(&s.Operations[kind].Took)
		}
	}
}

// classOf is the class of a request's method.
func classOf(ctx *fasthttp.RequestCtx) int {
	// Method names are case-sensitive, and these are all of ours.
	switch string(ctx.Request.Header.Method()) {
	case fasthttp.MethodGet:
		return classGet
	case fasthttp.MethodHead:
		return classHead
	case fasthttp.MethodPut:
		return classPut
	case fasthttp.MethodDelete:
		return classDelete
	case fasthttp.MethodPost:
		return classPost
	}
	return classOther
}

// request counts a request that was answered.
func (t *tally) request(class, status int) { t.requests[class][min(status/100, 5)].Add(1) }

// operation counts the operation of a request, if it is one. The time begins when the request is
// there, with its body, and ends when its answer is: what a client takes to send and to read is not
// in it. What was refused before it began took no time, and counts only if that was not the
// client's fault.
func (t *tally) operation(sc *scratch, status int) {
	failed := status >= fasthttp.StatusInternalServerError
	if sc.kind == 0 || sc.began.IsZero() && !failed {
		return
	}
	took := time.Duration(0)
	if !sc.began.IsZero() {
		took = time.Since(sc.began)
	}
	k := &t.operations[sc.kind-1]
	k.took.Record(&histogram.Latencies, int64(took))
	if failed {
		k.errors.Add(1)
	}
}
