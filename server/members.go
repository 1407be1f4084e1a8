package server

import (
	"github.com/valyala/fasthttp"

	"httpdhs/internal/api"
)

var nodesPrefix = []byte("/cluster/nodes/")

// Errors of Cluster, which wraps them with what the reader can do.
var (
	ErrNoMember    = &statusError{fasthttp.StatusNotFound, "there is no such node"}
	ErrMemberUp    = &statusError{fasthttp.StatusConflict, "the node is up"}
	ErrCannotLeave = &statusError{fasthttp.StatusConflict, "this node cannot leave"}
)

// clusterLeave has this node begin to leave. It is answered at once: to hand everything over takes as long as it takes.
func (s *Server) clusterLeave(ctx *fasthttp.RequestCtx) {
	if err := s.plain(ctx); err != nil {
		s.fail(ctx, err)
		return
	}
	doc, err := s.cluster.Leave()
	if err != nil {
		s.failMember(ctx, err)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	s.document(ctx, doc)
}

// clusterNode is what there is under /cluster/nodes/: a member, by its name, can be removed. The name is taken from the target as it was
// sent, like a key, since it holds a colon, and brackets where it is an IPv6 address.
func (s *Server) clusterNode(ctx *fasthttp.RequestCtx, rawName []byte) {
	if !ctx.IsDelete() {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, fasthttp.MethodDelete)
		s.fail(ctx, errMethod)
		return
	}
	if err := s.plain(ctx); err != nil {
		s.fail(ctx, err)
		return
	}
	name, err := unescape(nil, rawName, false)
	if err != nil {
		s.fail(ctx, badRequest("the node's name has a bad percent-encoding: it is host:port, as GET /cluster has it"))
		return
	}
	if err := s.cluster.Remove(string(name)); err != nil {
		s.failMember(ctx, err)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// failMember is fail with all of the error's text: it names members.
func (s *Server) failMember(ctx *fasthttp.RequestCtx, err error) {
	status, _ := statusOf(err)
	s.failWith(ctx, err, status, &api.Error{Error: err.Error()})
}
