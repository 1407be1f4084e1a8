package server

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"httpdhs/kv"
)

// The query parameters of the resources, each in the order in which an error
// lists them. What a resource does not have it refuses: a limit that is misspelt
// would be none.
var (
	paramsGet      = []string{"r", "timeout"}
	paramsPut      = []string{"w", "ttl", "timeout"}
	paramsUpdate   = []string{paramIncr, paramAppend, paramTTL, "w", "timeout"}
	paramsDelete   = []string{"w", "timeout"}
	paramsList     = []string{"prefix", "limit", "cursor", "values", "timeout"}
	paramsClear    = []string{"prefix", "cursor", "w", "timeout"}
	paramsLoad     = []string{"w", "ttl", "timeout"}
	paramsBatch    = []string{"w", "r", "ttl", "timeout"}
	paramsDocument = []string{"timeout"}
	paramsRecover  = []string{paramAcceptLoss, "timeout"}
	paramsSafe     = []string{paramNodes, paramQuorum, "timeout"}
)

// params are the query parameters of all resources.
type params struct {
	w, r    kv.Level
	ttl     time.Duration // 0: none
	timeout time.Duration

	add    bool  // incr is given
	by     int64 // and says so much
	append bool

	prefix   []byte
	prefixed bool // prefix is given, be it empty
	limit    int
	all      bool // no limit was given
	cursor   uint64
	values   bool

	acceptLoss bool

	nodes  []string // nil: nodes is not given
	quorum bool
}

const (
	defaultListLimit = 1000
	maxListLimit     = 10_000
)

// parse reads the query of a resource that has the parameters known. A parameter that is not known,
// or that comes twice, is an error.
func (o *Options) parse(query []byte, known []string) (params, error) {
	seen := uint(0)
	p := params{timeout: o.DefaultTimeout, limit: defaultListLimit, all: true}
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if len(pair) == 0 {
			continue
		}
		name, raw, _ := bytes.Cut(pair, []byte("="))
		at := slices.Index(known, string(name))
		switch {
		case at < 0:
			return p, unknownParam(name, known)
		case seen&(1<<at) != 0:
			return p, badRequest("the parameter " + known[at] + " is given twice: send it once")
		}
		seen |= 1 << at
		if err := p.set(known[at], raw, o.MaxTimeout); err != nil {
			return p, err
		}
	}
	return p, nil
}

func unknownParam(name []byte, known []string) error {
	if len(known) == 0 {
		return badRequest(fmt.Sprintf("the parameter %.40q means nothing here: this request takes none", name))
	}
	return badRequest(fmt.Sprintf("the parameter %.40q means nothing here: this request takes %s", name, strings.Join(known, ", ")))
}

// set reads one parameter.
func (p *params) set(name string, raw []byte, maxTimeout time.Duration) (err error) {
	value, err := unescape(nil, raw, true)
	if err != nil {
		return badRequest("the parameter " + name + " has a bad percent-encoding")
	}
	v := string(value)
	switch name {
	case "w":
		p.w, err = kv.ParseWriteLevel(v)
	case "r":
		p.r, err = kv.ParseReadLevel(v)
	case paramIncr:
		p.add = true
		var ok bool
		if p.by, ok = kv.ParseInteger([]byte(cmp.Or(v, "1"))); !ok {
			err = fmt.Errorf("incr is %.40q: use an integer of 64 bits, such as 5 or -1", v)
		}
	case paramAppend:
		if p.append, err = strconv.ParseBool(cmp.Or(v, "1")); err != nil || !p.append {
			err = fmt.Errorf("append is %.40q: leave its value out, and send what is to be appended as the body", v)
		}
	case paramTTL:
		p.ttl, err = kv.ParseTTL(v)
	case "timeout":
		var ok bool
		if p.timeout, ok = kv.ParseDuration(v); !ok || p.timeout == 0 {
			err = fmt.Errorf("timeout is %q: use a duration like 500ms or 10s, or whole seconds, more than zero", v)
		} else if p.timeout > maxTimeout {
			err = fmt.Errorf("timeout is %q: use at most %v", v, maxTimeout)
		}
	case "prefix":
		p.prefix, p.prefixed = value, true
	case "limit":
		p.all = false
		p.limit, err = strconv.Atoi(v)
		if err != nil || p.limit < 1 || p.limit > maxListLimit {
			err = fmt.Errorf("limit is %q: use 1 to %d", v, maxListLimit)
		}
	case "cursor":
		p.cursor, err = strconv.ParseUint(v, 16, 64)
		if err != nil || len(v) != cursorDigits {
			err = fmt.Errorf("cursor is %q: use the one of the page before as it is", v)
		}
	case paramAcceptLoss:
		if p.acceptLoss, err = strconv.ParseBool(v); err != nil {
			err = fmt.Errorf("accept_loss is %.40q: use true", v)
		}
	case paramNodes:
		if p.nodes = strings.Split(v, ","); slices.Contains(p.nodes, "") {
			err = fmt.Errorf("nodes is %.40q: use names of nodes with commas between, as in a:1234,b:1234", v)
		}
	case paramQuorum:
		if p.quorum, err = strconv.ParseBool(v); err != nil {
			err = fmt.Errorf("quorum is %.40q: use true or false", v)
		}
	case "values":
		if p.values, err = strconv.ParseBool(v); err != nil {
			err = fmt.Errorf("values is %q: use 1 or 0", v)
		}
	}
	if err != nil {
		return badRequest(err.Error())
	}
	return nil
}

// expiresAt is the time, in Unix milliseconds, at which what is written now
// expires: not before its ttl is over.
func expiresAt(now time.Time, ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return now.UnixMilli() + (int64(ttl)-1)/int64(time.Millisecond) + 1
}
