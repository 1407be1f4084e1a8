package server

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/kv"
)

// clearings serves DELETE /db.
type clearings struct {
	store Store
}

func (h *clearings) judge(_ *fasthttp.RequestCtx, sc *scratch) error {
	if !sc.params.prefixed {
		return badRequest("which keys are to be deleted? send prefix=user:42:, or prefix= alone to delete all keys")
	}
	return nil
}

func (h *clearings) serve(ctx *fasthttp.RequestCtx, sc *scratch) error {
	p := sc.params
	done, err := h.store.Clear(&kv.ClearRequest{Prefix: p.prefix, From: p.cursor, Write: p.w, Deadline: time.Now().Add(p.timeout)})
	if errors.Is(err, kv.ErrTimeout) && done.Deleted > 0 {
		err = nil // so much of it was done in the time
	}
	doc := api.Cleared{Deleted: done.Deleted}
	if done.More {
		doc.Cursor = string(appendCursor(nil, done.Next))
	}
	status := fasthttp.StatusOK
	if err != nil {
		status, doc.Error = statusOf(err)
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.SetStatusCode(status)
	ctx.Response.SetBodyRaw(append(body, '\n'))
	return nil
}
