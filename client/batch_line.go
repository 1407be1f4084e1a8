package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// batchOp is an operation as a line of /batch. Keys and values are text where they are UTF-8, and
// else, or where that is shorter, base64.
type batchOp struct {
	Op              string  `json:"op"`
	Key             *string `json:"key,omitempty"`
	KeyBase64       []byte  `json:"key_base64,omitempty"`
	IfMatch         string  `json:"if_match,omitempty"`
	IfNoneMatch     string  `json:"if_none_match,omitempty"`
	Value           *string `json:"value,omitempty"`
	ValueBase64     []byte  `json:"value_base64,omitempty"`
	ContentType     string  `json:"content_type,omitempty"`
	CacheControl    string  `json:"cache_control,omitempty"`
	ContentEncoding string  `json:"content_encoding,omitempty"`
	TTL             string  `json:"ttl,omitempty"`
}

var opNames = [...]string{OpGet: "get", OpPut: "put", OpDelete: "delete"}

var (
	errNoKind    = errors.New("the operation has no kind: want OpGet, OpPut or OpDelete")
	errOnlyOfPut = errors.New("the operation has fields of a put, and is none: Kind has to be OpPut")
	errGetIf     = errors.New("the operation is a get, which takes no condition")
	errNotUTF8   = errors.New("text that is not UTF-8 in ContentType, CacheControl, ContentEncoding or the ETag of If")
)

// check refuses what would be left out of the line, or changed in it.
func (op *Op) check() error {
	isPut := op.Kind == OpPut
	fields := op.ContentType + op.CacheControl + op.ContentEncoding
	switch {
	case op.Kind < OpGet || op.Kind > OpDelete:
		return errNoKind
	case !isPut && (op.Value != nil || op.TTL != 0 || fields != ""):
		return errOnlyOfPut
	case op.Kind == OpGet && op.If != Condition{}:
		return errGetIf
	case !utf8.ValidString(fields), !utf8.ValidString(op.If.value):
		return errNotUTF8
	case op.Key == "":
		return kv.ErrKeyEmpty
	}
	if err := checkTTL(op.TTL); err != nil {
		return err
	}
	return op.If.check(op.Kind)
}

// appendOp appends the line of an operation. The error is what cannot be sent.
func appendOp(body *bytes.Buffer, op *Op) error {
	if err := op.check(); err != nil {
		return err
	}
	line := batchOp{
		Op:          opNames[op.Kind],
		ContentType: op.ContentType, CacheControl: op.CacheControl, ContentEncoding: op.ContentEncoding,
	}
	line.Key, line.KeyBase64 = asText([]byte(op.Key))
	switch op.If.header {
	case fasthttp.HeaderIfMatch:
		line.IfMatch = op.If.value
	case fasthttp.HeaderIfNoneMatch:
		line.IfNoneMatch = op.If.value
	}
	if op.Kind == OpPut {
		line.Value, line.ValueBase64 = asText(op.Value)
		if op.TTL != 0 {
			line.TTL = op.TTL.String()
		}
	}
	lines := json.NewEncoder(body)
	lines.SetEscapeHTML(false)
	return lines.Encode(&line)
}

// asText is data as text, or, where that is none or the longer form, to be sent in base64.
func asText(data []byte) (text *string, other []byte) {
	escapes := 0 // bytes that they add in JSON
	for _, b := range data {
		switch {
		case b == '"', b == '\\', b == '\n', b == '\r', b == '\t':
			escapes++
		case b < ' ':
			escapes += 5
		}
	}
	if !utf8.Valid(data) || escapes > len(data)/3 {
		return nil, data
	}
	s := string(data)
	return &s, nil
}

// nextLine reads the first line of answers. Behind one that cannot be read there is none.
func nextLine(answers []byte, kind OpKind, node string) (r Result, rest []byte, err error) {
	line, rest, _ := bytes.Cut(answers, []byte("\n"))
	var a batchAnswer
	if err = json.Unmarshal(line, &a); err != nil {
		return r, nil, err
	}
	return a.result(kind, node), rest, nil
}

// nextGot is nextLine for answers to gets in binary.
func nextGot(answers []byte, _ OpKind, node string) (r Result, rest []byte, err error) {
	got, rest, err := format.DecodeResult(answers)
	switch {
	case err != nil:
	case !got.Found():
		r.Err = &StatusError{Status: got.Status, Message: got.Error, Node: node}
	default:
		fields := got.Meta.Fields()
		r.Value = Value{
			Data: slices.Clone(got.Value), ETag: string(got.Version.AppendETag(nil)),
			ContentType:  cmp.Or(string(fields.ContentType), defaultContentType),
			CacheControl: string(fields.CacheControl), ContentEncoding: string(fields.ContentEncoding),
		}
		if got.Expires != 0 {
			r.Value.Expires = time.UnixMilli(got.Expires).UTC()
		}
	}
	return r, rest, err
}

// batchAnswer is the line of a result.
type batchAnswer struct {
	valueDoc
	Status   int    `json:"status"`
	Error    string `json:"error"`
	Acks     int    `json:"acks"`
	Replicas int    `json:"replicas"`
	Required int    `json:"required"`
	Outcome  string `json:"outcome"`
}

func (a *batchAnswer) result(kind OpKind, node string) (r Result) {
	switch {
	case a.Status < 200 || a.Status > 299:
		status := &StatusError{Status: a.Status, Message: a.Error, Node: node, ETag: a.ETag,
			Unknown: a.Outcome == "unknown", Acks: a.Acks, Required: a.Required}
		status.Unknown = status.Unknown || kind != OpGet && status.leavesOpen()
		r.Err = status
	case kind == OpGet:
		r.Value = a.value()
	default:
		r.Written = Written{Created: kind == OpPut && a.Status == fasthttp.StatusCreated, ETag: a.ETag,
			Acks: a.Acks, Replicas: a.Replicas}
	}
	return r
}

// unread is the error of an operation that the node's answer has nothing about.
func (op *Op) unread(err error) error {
	err = fmt.Errorf("cannot read the answer to a batch: %w", err)
	if op.Kind != OpGet {
		return &openError{err}
	}
	return err
}

// failed is the error of an operation whose request has failed with err. A get may have shared that
// request with writes, whose outcome is no matter of the get.
func (op *Op) failed(err error) error {
	if op.Kind != OpGet {
		return err
	}
	var open *openError
	var status *StatusError
	switch {
	case errors.As(err, &open) && errors.Is(err, context.Canceled):
		return open.cause
	case errors.As(err, &open):
		return fmt.Errorf("%w: %w", ErrUnavailable, open.cause)
	case errors.As(err, &status) && status.Unknown:
		own := *status
		own.Unknown = false
		return &own
	}
	return err
}
