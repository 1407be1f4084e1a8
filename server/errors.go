package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/internal/format"
	"httpdhs/internal/seal"
	"httpdhs/kv"
)

// statusError is an error that this package finds by itself.
type statusError struct {
	status int
	msg    string
}

func (e *statusError) Error() string { return e.msg }

func badRequest(msg string) error { return &statusError{http.StatusBadRequest, msg} }

var (
	errNoRoute         = &statusError{404, "no such resource: keys are under /db/, the rest is listed at /"}
	errNoConsole       = &statusError{404, "the console has no such file; it starts at /"}
	errNoMetrics       = &statusError{404, "the metrics are at the port of --metrics-port"}
	errMethod          = &statusError{405, "this method is not allowed here: see the Allow header"}
	errNoLink          = &statusError{426, "these paths are for nodes of the cluster alone, which all run the same version; clients use the others"}
	errUnauthorized    = &statusError{401, "a token is needed: send the header Authorization: Bearer TOKEN"}
	errWrongToken      = &statusError{401, "the token is not this cluster's: send the one of the nodes' --auth-token-file"}
	errNoPost          = &statusError{405, "a POST needs incr=5, append or ttl=90s in its query; to write a key use PUT (curl -X PUT -d value=…, or curl -T FILE)"}
	errTooSlow         = &statusError{408, "the request did not arrive in time"}
	errCutShort        = &statusError{400, "the request ends before its body does; nothing was stored"}
	errTargetTooLong   = &statusError{414, "the request line is longer than this node reads; use a shorter key"}
	errHeadersTooLarge = &statusError{431, "the headers are larger than this node reads; send fewer or shorter ones"}
	errBodyTooLarge    = &statusError{413, "the body is larger than this resource takes"}
	errNoBody          = &statusError{400, "this request takes no body: what is asked for is in its method and path alone"}
	errBodyMemory      = &statusError{413, "the body is larger than all memory for requests; raise --max-request-memory, or the limit of memory that the node is under"}
	errInFlight        = &statusError{503, "too many request bodies are in memory; try again"}
	errConns           = &statusError{503, "too many connections; close some or try later"}
	errInternal        = &statusError{500, "internal error; the node's log has the details"}
)

// Why messages of other nodes are refused, beside what package seal finds.
var (
	errStranger    = errors.New("without a cluster secret messages are taken from the hosts of members alone")
	errMisdirected = errors.New("the message is for a node of another name")
)

// The one table from what went wrong to a status. The first row that fits
// counts. A hint says what to do, where the error itself does not.
var statusTable = []struct {
	err    error
	status int
	hint   string
}{
	{kv.ErrNotFound, 404, ""},
	{kv.ErrConditionFailed, 412, "read the key again and retry with its current ETag"},
	{kv.ErrNotInteger, 409, "put an integer there first"},
	{kv.ErrNotFloat, 409, "put a number there first"},
	{kv.ErrOverflow, 409, "add less"},
	{kv.ErrInfinite, 409, "add less"},
	{kv.ErrKeyEmpty, 400, ""},
	{kv.ErrKeyTooLong, 414, "use a shorter key"},
	{kv.ErrValueTooLarge, 413, "split the value or raise --max-value-bytes on all nodes"},
	{kv.ErrMetaTooLong, 400, "send a shorter one"},
	{kv.ErrMetaControl, 400, "send it without them"},
	{kv.ErrMetaNotUTF8, 400, "send it without them"},
	{kv.ErrLevel, 400, "GET /cluster tells the number of replicas"},
	{format.ErrPacked, 415, ""},
	{kv.ErrNoMemory, 507, "delete keys, add nodes or raise --max-memory"},
	{kv.ErrDiskFull, 507, "make room on the disk, or raise --max-disk"},
	{kv.ErrNotDurable, 503, "look at the log of the node that refuses: its disk fails"},
	{kv.ErrNoDisk, 503, "look at the log of the node that refuses: its disk fails"},
	{kv.ErrRefused, 503, "give all nodes the same limits, and keep their clocks together"},
	{kv.ErrNoCluster, 503, "nothing was done; GET /readyz of it says why, or ask another node"},
	{kv.ErrStarting, 503, "nothing was done; ask another node meanwhile"},
	{kv.ErrUnheard, 503, "nothing was done; try again in a second, or ask another node"},
	{kv.ErrStopping, 503, "send the request to another node"},
	{kv.ErrUndecided, 503, "nothing was done; try again"},
	{kv.ErrAnswersHeld, 503, "nothing was done; try again"},
	{kv.ErrAnswerFull, 503, "nothing was done; ask for this key in another request"},
	{kv.ErrOverloaded, 503, "nothing was done; try again in a second"},
	{kv.ErrNoPrimary, 503, "ask another node, which may reach it, or try again when all nodes reach each other"},
	{kv.ErrUnavailable, 503, "ask for fewer replicas or wait until more are up"},
	{kv.ErrTimeout, 503, "try again, with a longer ?timeout= or fewer replicas"},
	{kv.ErrUnknownOutcome, 503, "read the key to find out"},
	{kv.ErrAbsenceUnknown, 503, "try again when more replicas are up"},
	{errStranger, 403, "set the same --cluster-secret-file at all nodes"},
	{errMisdirected, 421, "give each node one name, and each name one node"},
	{seal.ErrNone, 403, ""},
	{seal.ErrSecret, 403, ""},
	{seal.ErrFormat, 403, ""},
	{seal.ErrChanged, 422, ""},
}

// tryAgain are the errors after which the same request may be sent again soon, here or elsewhere.
var tryAgain = []error{kv.ErrOverloaded, kv.ErrNoCluster, kv.ErrStarting, kv.ErrUnheard, kv.ErrStopping}

// bodyNotFound is written ahead: absent keys are asked for all the time.
var bodyNotFound = []byte(`{"error":"no such key"}` + "\n")

// statusOf looks up an error. One that is not in the table is a fault of ours.
func statusOf(err error) (status int, msg string) {
	var own *statusError
	if errors.As(err, &own) {
		return own.status, own.msg
	}
	for _, row := range statusTable {
		if errors.Is(err, row.err) {
			msg = err.Error()
			if row.hint != "" {
				msg += "; " + row.hint
			}
			return row.status, msg
		}
	}
	return http.StatusInternalServerError, err.Error()
}

// fail answers with the error as JSON.
func fail(ctx *fasthttp.RequestCtx, err error) {
	if err == kv.ErrNotFound {
		ctx.Response.Header.SetContentTypeBytes(typeJSON)
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		ctx.Response.SetBodyRaw(bodyNotFound)
		return
	}
	status, msg := statusOf(err)
	failWith(ctx, err, status, &api.Error{Error: msg})
}

// failWrite is fail for a write, which may have got somewhere.
func failWrite(ctx *fasthttp.RequestCtx, sc *scratch, op *kv.Op) {
	if errors.Is(op.Err, kv.ErrConditionFailed) && op.Version != 0 {
		setETag(ctx, sc, op.Version) // of what is there
	}
	status, msg := statusOf(op.Err)
	doc := &api.Error{Error: msg}
	if op.OutcomeUnknown(sc.call.Write) {
		doc.Acks, doc.Required, doc.Outcome = &op.Acks, &op.Required, "unknown"
	}
	failWith(ctx, op.Err, status, doc)
}

func failWith(ctx *fasthttp.RequestCtx, err error, status int, doc *api.Error) {
	body, _ := json.Marshal(doc)
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.SetStatusCode(status)
	ctx.Response.SetBodyRaw(append(body, '\n'))
	noMemory := err == errInFlight || errors.Is(err, kv.ErrAnswersHeld)
	if noMemory || err == errBackupRuns || slices.ContainsFunc(tryAgain, func(known error) bool { return errors.Is(err, known) }) {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	if noMemory {
		connOf(ctx).srv.journal.overloaded.Add(1)
	}
	if errors.Is(err, kv.ErrStopping) {
		ctx.Response.SetConnectionClose()
	}
}
