package format

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"httpdhs/kv"
)

// jsonOverheadMax is what a line may take beyond its key and its value: member names, metadata, a
// condition, and white space. Each byte of key and value may be written as an escape of
// jsonEscapeMax bytes.
const (
	jsonOverheadMax = 16 << 10
	jsonEscapeMax   = len(`\u0000`)
)

// ndjsonDecoder reads a JSON object a line (see member for what it may hold).
// A line of a listing can be loaded as it is.
type ndjsonDecoder struct {
	max int // of a line
	ops bool
	now func() time.Time
	obj *object
}

func newNDJSONDecoder(opt Options) ndjsonDecoder {
	text := opt.Limits.MaxKeyBytes + opt.Limits.MaxValueBytes
	obj := &object{known: pairMembers}
	if opt.Ops {
		obj.known = anyOpMembers
	}
	return ndjsonDecoder{max: jsonEscapeMax*text + jsonOverheadMax, ops: opt.Ops, now: opt.Now, obj: obj}
}

var (
	errNotUTF8 = errors.New("the line is not UTF-8; give other bytes as key_base64 and value_base64")
	errNoKey   = errors.New(`no "key" (a string) and no "key_base64"`)
	errNoValue = errors.New(`no "value" (a string) and no "value_base64"`)
	errNoOp    = errors.New(`no "op": want ` + opsWanted)
	errNoTTL   = errors.New(`no "ttl" or "expires": give one of them`)
)

func (d ndjsonDecoder) bytesMax() int { return d.max }

func (d ndjsonDecoder) decode(src []byte, last bool, op *kv.Op) (n, lines int64, err error) {
	line, n := cutLine(src, d.max, last)
	switch n {
	case more:
		return more, 0, nil
	case nextLine:
		return nextLine, 1, errLineTooLong(d.max)
	}
	if line = bytes.Trim(line, " \t\r"); len(line) == 0 {
		return n, 1, errBlank
	}
	if !utf8.Valid(line) {
		return n, 1, errNotUTF8
	}
	if err := d.obj.read(line); err != nil {
		return n, 1, err
	}
	return n, 1, d.toOp(op)
}

// toOp makes the operation that the object asks for.
func (d ndjsonDecoder) toOp(op *kv.Op) (err error) {
	*op = kv.Op{Kind: kv.OpPut}
	if op.Kind, err = d.kind(); err != nil {
		return err
	}
	known := pairMembers
	if d.ops {
		known = opMembers[op.Kind]
	}
	if err := d.obj.only(known); err != nil {
		return err
	}
	key, ok, err := d.obj.bytes(memberKey, memberKeyBase64)
	if err != nil {
		return err
	}
	if !ok {
		return errNoKey
	}
	op.Key = key
	if op.Kind != kv.OpGet {
		if op.Cond, err = d.condition(); err != nil {
			return err
		}
	}
	switch op.Kind {
	case kv.OpIncr:
		op.Number, err = d.by()
		return err
	case kv.OpExpire:
		if op.Expires, err = d.expires(); err == nil && op.Expires == 0 {
			err = errNoTTL
		}
		return err
	case kv.OpGet, kv.OpDelete:
		return nil
	}
	if op.Value, ok, err = d.obj.bytes(memberValue, memberValueBase64); err != nil {
		return err
	}
	if !ok {
		return errNoValue
	}
	if op.Kind == kv.OpAppend {
		return nil
	}
	fields := kv.Fields{ContentType: d.obj.member[memberContentType],
		CacheControl: d.obj.member[memberCacheControl], ContentEncoding: d.obj.member[memberContentEncoding]}
	if op.Meta, err = fields.Append(nil); err != nil {
		return err
	}
	op.Expires, err = d.expires()
	return err
}

// condition is that of a write, as the headers of the same names have it.
func (d ndjsonDecoder) condition() (kv.Condition, error) {
	field := func(m member) kv.TagField {
		f := kv.TagField{Name: memberNames[m]}
		if value := d.obj.member[m]; value != nil {
			f.Lines = [][]byte{value}
		}
		return f
	}
	if d.obj.member[memberIfMatch] == nil && d.obj.member[memberIfNoneMatch] == nil {
		return kv.Condition{}, nil
	}
	return kv.ParseCondition(field(memberIfMatch), field(memberIfNoneMatch), nil)
}

func (d ndjsonDecoder) kind() (kv.OpKind, error) {
	name := d.obj.member[memberOp]
	kind, known := opNames[string(name)]
	switch {
	case len(name) == 0:
		if name == nil && !d.ops {
			return kv.OpPut, nil
		}
		return 0, errNoOp
	case !known:
		return 0, fmt.Errorf("op is %.32q: want %s", name, opsWanted)
	case kind != kv.OpPut && !d.ops:
		return 0, fmt.Errorf("op is %q: this endpoint takes pairs to put, /batch takes operations", name)
	}
	return kind, nil
}

const opsWanted = `"get", "put", "delete", "incr", "append" or "expire"`

var opNames = map[string]kv.OpKind{
	"get": kv.OpGet, "put": kv.OpPut, "delete": kv.OpDelete,
	"incr": kv.OpIncr, "append": kv.OpAppend, "expire": kv.OpExpire,
}

// by is what is added to a number.
func (d ndjsonDecoder) by() (int64, error) {
	text := d.obj.member[memberBy]
	if text == nil {
		return 1, nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		err = fmt.Errorf("by is %.40q: want an integer of 64 bits", text)
	}
	return n, err
}

// expires is when the pair expires, in Unix milliseconds: its time to live
// from now on, or the time that a listing gave for it.
func (d ndjsonDecoder) expires() (int64, error) {
	ttl, text := d.obj.member[memberTTL], d.obj.member[memberExpires]
	switch {
	case ttl != nil && text != nil:
		return 0, errBoth(memberTTL, memberExpires)
	case ttl != nil:
		life, err := kv.ParseTTL(string(ttl))
		return d.now().Add(life).UnixMilli(), err
	case text == nil:
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil || at.UnixMilli() <= 0 {
		return 0, fmt.Errorf("expires is %.40q: want a time like 2030-01-31T12:00:00Z", text)
	}
	return at.UnixMilli(), nil
}

// errBoth is of a line that says the same thing in two ways.
func errBoth(a, b member) error {
	return fmt.Errorf("both %q and %q: give one of them", memberNames[a], memberNames[b])
}

// bytes is the value of a member that is given as text or as base64.
func (o *object) bytes(text, base64Text member) (value []byte, ok bool, err error) {
	value, encoded := o.member[text], o.member[base64Text]
	switch {
	case value != nil && encoded != nil:
		return nil, false, errBoth(text, base64Text)
	case encoded == nil:
		return value, value != nil, nil
	}
	// Decoding in place is good: it never writes beyond what it has read.
	n, err := base64.StdEncoding.Decode(encoded, encoded)
	if err != nil {
		return nil, false, fmt.Errorf("%s is not base64 (RFC 4648, with padding)", memberNames[base64Text])
	}
	return encoded[:n:n], true, nil
}
