package kv

import (
	"bytes"
	"fmt"
)

// TagField is an If-Match or If-None-Match: of a request's headers, or of an
// operation in another form.
type TagField struct {
	Name  string   // for errors
	Lines [][]byte // lists of entity tags; none: the field is not there
}

// TagList goes through the entity tags, and the "*", of a field (RFC 9110,
// sections 8.8.3 and 13.1).
type TagList struct {
	lines [][]byte
	line  []byte // the rest of the one before them
}

// Tags begins a list.
func (f *TagField) Tags() TagList { return TagList{lines: f.Lines} }

// Next returns the next tag in its quotes, without a W/ before it, or what
// stands in the place of one: "*", or what is neither. It is nil after the last.
func (l *TagList) Next() (tag []byte, weak bool) {
	for {
		l.line = bytes.TrimLeft(l.line, " \t,")
		if len(l.line) == 0 {
			if len(l.lines) == 0 {
				return nil, false
			}
			l.line, l.lines = l.lines[0], l.lines[1:]
			continue
		}
		tag, weak = bytes.CutPrefix(l.line, []byte("W/"))
		if len(tag) > 0 && tag[0] == '"' {
			if end := bytes.IndexByte(tag[1:], '"'); end >= 0 {
				l.line = tag[end+2:]
				return tag[:end+2], weak
			}
		}
		tag, l.line, _ = bytes.Cut(l.line, []byte(","))
		return bytes.TrimRight(tag, " \t"), false
	}
}

// Tags are the entity tags of a field that are versions, and what else is known
// of it.
type Tags struct {
	Given    bool // the field is there, be it empty
	Some     bool // it has a tag, whoever made it, or is "*"
	Any      bool // it is "*"
	Versions []Version
	Other    []byte // what it has first that is no tag; nil: nothing
}

// ParseTags reads a field. The versions go into the memory of into. Tags that none of our nodes
// made are left out: they never match.
//
// Where the comparison is strong, two kinds of tags are an error: a weak tag, and one that a proxy
// made of ours when it compressed the value. They would never match either, and whoever sends them
// does not know that. Where the comparison is weak, a weak tag counts as its strong one. A "*"
// stands alone: with anything beside it, it is an error.
func ParseTags(f TagField, strong bool, into []Version) (Tags, error) {
	t := Tags{Given: len(f.Lines) > 0, Versions: into[:0]}
	list := f.Tags()
	items := 0
	for tag, weak := list.Next(); tag != nil; tag, weak = list.Next() {
		t.Any = t.Any || string(tag) == "*"
		if items++; t.Any && items > 1 {
			return t, fmt.Errorf("%s has * beside something else: send * alone, or a list of entity tags", f.Name)
		}
		if !t.Any && (len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"') {
			if t.Other == nil {
				t.Other = tag
			}
			continue
		}
		t.Some = true
		if strong && (weak || coded(tag)) {
			if weak {
				tag = append([]byte("W/"), tag...)
			}
			return t, fmt.Errorf("%s has the tag %.80s, which a proxy has made that compresses answers (or a client that takes it for weak): "+
				"read the key with Accept-Encoding: identity, or not through that proxy, and send the ETag of that answer as it is", f.Name, tag)
		}
		if v, ok := ParseETag(string(tag)); ok {
			if len(t.Versions) == MaxConditionVersions {
				return t, fmt.Errorf("%s has more than %d entity tags", f.Name, MaxConditionVersions)
			}
			t.Versions = append(t.Versions, v)
		}
	}
	return t, nil
}

// Has says whether one of the tags is the version.
func (t *Tags) Has(v Version) bool {
	found := t.Any
	for _, tag := range t.Versions {
		found = found || tag == v
	}
	return found
}

// coded says whether a tag is one of ours to which a proxy has added how it has
// coded the value: "…-gzip", "…--gzip", "…;gzip".
func coded(tag []byte) bool {
	i := bytes.IndexAny(tag, "-;")
	if i < 0 {
		return false
	}
	_, ours := ParseETag(string(tag[:i]) + `"`)
	return ours
}

// ParseCondition reads the condition of a write from its If-Match and its If-None-Match. It takes
// one of them. The versions go into the memory of into.
func ParseCondition(match, none TagField, into []Version) (Condition, error) {
	if len(match.Lines) > 0 && len(none.Lines) > 0 {
		return Condition{}, fmt.Errorf("a write takes %s or %s, not both", match.Name, none.Name)
	}
	field, isMatch := match, len(match.Lines) > 0
	if !isMatch {
		field = none
	}
	t, err := ParseTags(field, true, into)
	switch {
	case err != nil || !t.Given:
		return Condition{}, err
	case t.Some && t.Other != nil:
		// It may be a tag that has lost its quotes: the write would ignore it.
		return Condition{}, fmt.Errorf("%s has %.80q, which is no entity tag: send each in its quotes, as it came", field.Name, t.Other)
	case !t.Some:
		// One that was meant to be conditional and has lost its tag on the way
		// must not be done.
		return Condition{}, fmt.Errorf("%s has no entity tag: send one in its quotes, or *, or leave it out", field.Name)
	case t.Any && isMatch:
		return Condition{Kind: IfPresent}, nil
	case t.Any:
		return Condition{Kind: IfAbsent}, nil
	case isMatch:
		return Condition{Kind: IfVersion, Versions: t.Versions}, nil
	}
	return Condition{Kind: IfNotVersion, Versions: t.Versions}, nil
}
