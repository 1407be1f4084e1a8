package server

import (
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// The parameters of GET /cluster/safe-to-stop: names of nodes with commas between, and whether
// quorums have to stay.
const (
	paramNodes  = "nodes"
	paramQuorum = "quorum"
)

// Safety tells what would be lost if nodes stopped.
type Safety interface {
	// SafeToStop says whether these nodes can be stopped at once; none: this one. It asks the
	// members that are up how they stand, until the deadline. What they do not tell counts as not
	// safe. The error wraps [ErrNoMember] and names the members.
	SafeToStop(nodes []string, quorum bool, deadline time.Time) (api.SafeToStop, error)
}

// safeToStop says whether nodes can be stopped: 200, or 409 with the same document.
func (k *cluster) safeToStop(ctx *fasthttp.RequestCtx, sc *scratch) error {
	doc, err := k.safety(sc.params.nodes, sc.params.quorum, sc.params.timeout)
	if err != nil {
		failMember(ctx, err)
		return nil
	}
	if !doc.Safe {
		ctx.SetStatusCode(fasthttp.StatusConflict)
	}
	return document(ctx, &doc)
}

// safety is the document. A node that is stopping may have lost touch with the others when it is
// read.
func (k *cluster) safety(nodes []string, quorum bool, timeout time.Duration) (api.SafeToStop, error) {
	doc, err := k.of.SafeToStop(nodes, quorum, time.Now().Add(timeout))
	if k.ending.parting() && doc.Safe {
		doc.Safe, doc.Reason, doc.Error = false, reasonAskAnother, reasonAskAnother
	}
	return doc, err
}

const reasonAskAnother = "the node that was asked is stopping: ask another"
