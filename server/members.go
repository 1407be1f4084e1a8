package server

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// Errors of Cluster, which wraps them with what the reader can do.
var (
	ErrNoMember     = &statusError{fasthttp.StatusNotFound, "there is no such node"}
	ErrMemberUp     = &statusError{fasthttp.StatusConflict, "the node is up"}
	ErrMemberUnsure = &statusError{fasthttp.StatusConflict, "it is not known yet whether the node is up"}
	ErrCannotLeave  = &statusError{fasthttp.StatusConflict, "this node cannot leave"}
)

// leave has this node begin to leave. It answers at once: the handover may take long.
func (k *cluster) leave(ctx *fasthttp.RequestCtx, _ *scratch) error {
	doc, err := k.of.Leave()
	if err != nil {
		failMember(ctx, err)
		return nil
	}
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	return document(ctx, doc)
}

// paramAcceptLoss has a node go on without those that are down. Nothing else stands for it.
const paramAcceptLoss = "accept_loss"

// recover has this node go on without members that are down, if that is meant.
func (k *cluster) recover(ctx *fasthttp.RequestCtx, sc *scratch) error {
	doc, err := k.of.Recover(sc.params.acceptLoss, time.Now().Add(sc.params.timeout))
	switch {
	case err != nil:
		failMember(ctx, err)
		return nil
	case !sc.params.acceptLoss:
		failMember(ctx, badRequest(wouldRecover(&doc)))
		return nil
	}
	return document(ctx, &doc)
}

// wouldRecover says what comes of it.
func wouldRecover(doc *api.Recovery) string {
	var would []string
	if doc.Released {
		would = append(would, "go on with what it holds, and wait for nobody")
	}
	if len(doc.Removed) > 0 {
		would = append(would, "take off the ring what is down: "+strings.Join(doc.Removed, ", "))
	}
	if len(would) == 0 {
		return "nothing was done, and there is nothing to do: no member is known to be down"
	}
	return "nothing was done: with ?accept_loss=true " + doc.Node + " would " + strings.Join(would, ", and ") +
		"; what these alone have is lost"
}

// judgeNode reads the name of a member. The name is taken from the target as it was sent, like a
// key, because it holds a colon, and brackets where it is an IPv6 address.
func (k *cluster) judgeNode(ctx *fasthttp.RequestCtx, sc *scratch) (err error) {
	path, _ := splitTarget(ctx.Request.Header.RequestURI())
	if sc.key, err = unescape(sc.key[:0], path[len(nodesPrefix):], false); err != nil {
		return badRequest("the node's name has a bad percent-encoding: it is host:port, as GET /cluster has it")
	}
	return nil
}

// remove removes a member.
func (k *cluster) remove(ctx *fasthttp.RequestCtx, sc *scratch) error {
	if err := k.of.Remove(string(sc.key)); err != nil {
		failMember(ctx, err)
		return nil
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// failMember is fail with all of the error's text: it names members.
func failMember(ctx *fasthttp.RequestCtx, err error) {
	status, _ := statusOf(err)
	failWith(ctx, err, status, &api.Error{Error: err.Error()})
}
