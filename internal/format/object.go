package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"httpdhs/kv"
)

// member is a member of a line's object that means something.
type member uint8

const (
	memberOp              member = iota // what is done
	memberKey                           // string, or
	memberKeyBase64                     // base64 of any bytes
	memberValue                         // string, or
	memberValueBase64                   // base64 of any bytes
	memberContentType                   // media type of the value
	memberTTL                           // "90s", or a number of seconds
	memberExpires                       // RFC 3339, in place of a ttl
	memberCacheControl                  // the header of that name
	memberContentEncoding               // the header of that name
	memberIfMatch                       // an entity tag, or what else the header takes
	memberIfNoneMatch                   // "*", or what else the header takes
	memberBy                            // what is added: a number, or its text
	memberETag                          // the value's, in a listing; not looked at
	members
)

var memberNames = [members]string{
	"op", "key", "key_base64", "value", "value_base64", "content_type", "ttl", "expires",
	"cache_control", "content_encoding", "if_match", "if_none_match", "by", "etag",
}

// memberSet is a set of members, a bit each.
type memberSet uint16

func setOf(all ...member) (s memberSet) {
	for _, m := range all {
		s |= 1 << m
	}
	return s
}

// names lists a set for an error.
func (s memberSet) names() string {
	var all []string
	for m, name := range memberNames {
		if s&(1<<m) != 0 {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}

// The members that mean something: of a pair to load, and of each operation.
var (
	keyMembers       = setOf(memberOp, memberKey, memberKeyBase64)
	conditionMembers = setOf(memberIfMatch, memberIfNoneMatch)
	valueMembers     = setOf(memberValue, memberValueBase64, memberContentType, memberCacheControl, memberContentEncoding, memberTTL, memberExpires)
	pairMembers      = keyMembers | valueMembers | setOf(memberETag)
	anyOpMembers     = keyMembers | valueMembers | conditionMembers | setOf(memberBy)
	opMembers        = [...]memberSet{
		kv.OpGet: keyMembers, kv.OpPut: keyMembers | valueMembers | conditionMembers, kv.OpDelete: keyMembers | conditionMembers,
		kv.OpIncr:   keyMembers | conditionMembers | setOf(memberBy),
		kv.OpAppend: keyMembers | conditionMembers | setOf(memberValue, memberValueBase64),
		kv.OpExpire: keyMembers | conditionMembers | setOf(memberTTL, memberExpires),
	}
)

// only says which member the object has that is not in the set: it was meant to
// do something, and would not.
func (o *object) only(known memberSet) error {
	for m, value := range o.member {
		if value != nil && known&(1<<m) == 0 {
			return fmt.Errorf("%q means nothing here, where the members are %s", memberNames[m], known.names())
		}
	}
	return nil
}

// object is the members of one line: what their strings say, not nil where they are there.
//
// encoding/json decides what a line means. It allocates about ten times a line. So scan reads a
// line of the plain shape that programs write in place: members that are strings without \u
// escapes. Any other line is left to encoding/json. A fuzz test holds that both say the same.
type object struct {
	member  [members][]byte
	escaped [members]bool // holds escapes that are still to be undone
	known   memberSet     // what an error says that there is
}

// read reads a line, which is UTF-8. It may change it.
func (o *object) read(line []byte) error {
	if o.scan(line) {
		for m := range o.member {
			if o.escaped[m] {
				o.member[m] = unescape(o.member[m])
			}
		}
		return nil
	}
	return o.unmarshal(line)
}

// unmarshal reads any line; of several members with one name the last counts.
// One that is null is an error, and not one that is not there: a condition that
// a program has lost on the way would make a write that has none.
func (o *object) unmarshal(line []byte) error {
	*o = object{known: o.known}
	if line[0] != '{' {
		return errors.New(`want a JSON object on each line, with a key and a value`)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(line, &all); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if half := halfCharacter(line); half != nil {
		return fmt.Errorf("%s is half of a character (a lone surrogate), which UTF-8 cannot write; give other bytes as key_base64 and value_base64", half)
	}
	if err := o.unknown(all); err != nil {
		return err
	}
	for m, name := range memberNames {
		raw := all[name]
		switch {
		case raw == nil:
			continue
		case raw[0] == '"':
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return fmt.Errorf("not JSON: %w", err)
			}
			o.member[m] = []byte(s)
		case raw[0] == 'n':
			return fmt.Errorf("%s is null, which means nothing: give it a value, or leave it out", name)
		case (member(m) == memberTTL || member(m) == memberBy) && raw[0] != '{' && raw[0] != '[':
			o.member[m] = raw
		default:
			return fmt.Errorf("%s is %s: want a string", name, jsonKind(raw[0]))
		}
	}
	return nil
}

// halfCharacter finds the first escape in a line of JSON that is half of a surrogate pair without
// the other half; nil: there is none. encoding/json reads each as U+FFFD, so that keys which differ
// would become one.
func halfCharacter(line []byte) []byte {
	for {
		at := bytes.IndexByte(line, '\\')
		if at < 0 {
			return nil
		}
		line = line[at:]
		unit := codeUnit(line)
		switch {
		case unit < 0:
			line = line[len(`\\`):]
		case !utf16.IsSurrogate(unit):
			line = line[len(`\u0000`):]
		case utf16.DecodeRune(unit, codeUnit(line[len(`\u0000`):])) == utf8.RuneError:
			return line[:len(`\u0000`)]
		default:
			line = line[2*len(`\u0000`):]
		}
	}
}

// codeUnit is what an escape \uXXXX at the start of s stands for; -1: there is none.
func codeUnit(s []byte) rune {
	if len(s) < len(`\u0000`) || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(s[2:len(`\u0000`)]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}

// unknown names the members that mean nothing anywhere, a few of them.
func (o *object) unknown(all map[string]json.RawMessage) error {
	const shown = 3
	var names []string
	for name := range all {
		if memberOf([]byte(name)) == members {
			names = append(names, fmt.Sprintf("%.40q", name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("%s: no such member; there are %s", strings.Join(names[:min(len(names), shown)], ", "), o.known.names())
}

// jsonKind names what begins with c, and is no string, for an error.
func jsonKind(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	}
	return "a number"
}

// scan reads a line of the plain shape, without changing it, and says whether
// it has it.
func (o *object) scan(line []byte) bool {
	*o = object{known: o.known}
	p := scanner{line: line}
	if !p.token('{') {
		return false
	}
	for {
		name, escaped, ok := p.text()
		if !ok || escaped || !p.token(':') {
			return false
		}
		m := memberOf(name)
		var value []byte
		if value, escaped, ok = p.text(); !ok && m == memberTTL {
			value, ok = p.digits()
		}
		if !ok {
			return false
		}
		if m == members {
			return false // unmarshal names it
		}
		o.member[m], o.escaped[m] = value, escaped
		if p.token(',') {
			continue
		}
		return p.token('}') && p.at == len(line)
	}
}

// memberOf is the member of that name, or members if it means nothing.
func memberOf(name []byte) member {
	for m, known := range memberNames {
		if string(name) == known {
			return member(m)
		}
	}
	return members
}

// scanner walks over the tokens of a line.
type scanner struct {
	line []byte
	at   int
}

// space steps over white space; a line has no newline.
func (p *scanner) space() {
	for p.at < len(p.line) && (p.line[p.at] == ' ' || p.line[p.at] == '\t' || p.line[p.at] == '\r') {
		p.at++
	}
}

// token steps over c and says whether it was there.
func (p *scanner) token(c byte) bool {
	if p.space(); p.at == len(p.line) || p.line[p.at] != c {
		return false
	}
	p.at++
	return true
}

// text steps over a string and returns what is between its quotes. It is not
// ok where there is no string, or one that is not simple: with an escape of
// code units or a control character.
func (p *scanner) text() (raw []byte, escaped, ok bool) {
	if !p.token('"') {
		return nil, false, false
	}
	start := p.at
	for ; p.at < len(p.line); p.at++ {
		switch c := p.line[p.at]; {
		case c == '"':
			p.at++
			return p.line[start : p.at-1 : p.at-1], escaped, true
		case c < ' ':
			return nil, false, false
		case c == '\\':
			escaped = true
			if p.at++; p.at == len(p.line) || escapes[p.line[p.at]] == 0 {
				return nil, false, false
			}
		}
	}
	return nil, false, false
}

// digits steps over a whole number that begins with no zero.
func (p *scanner) digits() ([]byte, bool) {
	p.space()
	n := 0
	for _, c := range p.line[p.at:] {
		if c < '0' || c > '9' {
			break
		}
		n++
	}
	raw := p.line[p.at : p.at+n : p.at+n]
	p.at += n
	return raw, n > 0 && raw[0] != '0'
}

// escapes are the escapes of one character, by it.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unescape undoes, in place, the escapes that scan let pass.
func unescape(s []byte) []byte {
	w := bytes.IndexByte(s, '\\')
	for i := w; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			i++
			c = escapes[s[i]]
		}
		s[w] = c
		w++
	}
	return s[:w:w]
}
