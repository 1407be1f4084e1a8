package server

import (
	"github.com/valyala/fasthttp"

	"httpdhs/api"
)

// Errors of Cluster, which wraps them with what the reader can do.
var (
	ErrNoMember    = &statusError{fasthttp.StatusNotFound, "there is no such node"}
	ErrMemberUp    = &statusError{fasthttp.StatusConflict, "the node is up"}
	ErrCannotLeave = &statusError{fasthttp.StatusConflict, "this node cannot leave"}
)

// clusterLeave has this node begin to leave. It is answered at once: to hand everything over takes as long as it takes.
func (s *Server) clusterLeave(ctx *fasthttp.RequestCtx) {
	doc, err := s.cluster.Leave()
	if err != nil {
		s.failMember(ctx, err)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	s.document(ctx, doc)
}

// judgeNode reads the name of a member. It is taken from the target as it was sent, like a key,
// since it holds a colon, and brackets where it is an IPv6 address.
func (s *Server) judgeNode(ctx *fasthttp.RequestCtx) (err error) {
	sc := s.scratchOf(ctx)
	path, _ := splitTarget(ctx.Request.Header.RequestURI())
	if sc.key, err = unescape(sc.key[:0], path[len(nodesPrefix):], false); err != nil {
		return badRequest("the node's name has a bad percent-encoding: it is host:port, as GET /cluster has it")
	}
	return nil
}

// clusterNode removes a member.
func (s *Server) clusterNode(ctx *fasthttp.RequestCtx) {
	if err := s.cluster.Remove(string(s.scratchOf(ctx).key)); err != nil {
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
