package server

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"httpdhs/kv"
)

// params are the query parameters of all resources; each reads its own.
type params struct {
	w, r    kv.Level
	ttl     time.Duration // 0: none
	timeout time.Duration

	prefix []byte
	limit  int
	all    bool // no limit was given
	cursor uint64
	values bool
}

const (
	defaultListLimit = 1000
	maxListLimit     = 10_000
)

// parse reads the query. What it does not know it ignores; where a name comes
// twice, the last counts.
func (s *Server) parse(query []byte) (params, error) {
	p := params{timeout: s.opts.DefaultTimeout, limit: defaultListLimit, all: true}
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		name, raw, _ := bytes.Cut(pair, []byte("="))
		if err := s.parseOne(&p, string(name), raw); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (s *Server) parseOne(p *params, name string, raw []byte) (err error) {
	switch name {
	case "w", "r", "ttl", "timeout", "prefix", "limit", "cursor", "values":
	default:
		return nil
	}
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
	case "ttl":
		p.ttl, err = kv.ParseTTL(v)
	case "timeout":
		var ok bool
		if p.timeout, ok = kv.ParseDuration(v); !ok || p.timeout == 0 {
			err = fmt.Errorf("timeout is %q: use a duration like 500ms or 10s, or whole seconds, more than zero", v)
		} else if p.timeout > s.opts.MaxTimeout {
			err = fmt.Errorf("timeout is %q: use at most %v", v, s.opts.MaxTimeout)
		}
	case "prefix":
		p.prefix = value
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
