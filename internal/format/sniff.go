package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

// SniffBytes is how much of the start of a stream Packing and Guess need to see. They may be given
// less, where there is no more.
const SniffBytes = 4 << 10

// packings are what text may be packed in: what it begins with, and what unpacks it.
var packings = []struct{ name, magic, unpack string }{
	{"gzip", "\x1f\x8b\x08", "gunzip -c"},
	{"zstd", "\x28\xb5\x2f\xfd", "zstd -dc"},
	{"xz", "\xfd7zXZ\x00", "xz -dc"},
	{"lz4", "\x04\x22\x4d\x18", "lz4 -dc"},
	{"zip", "PK\x03\x04", "unzip -p"},
	{"bzip2", "BZh?1AY&SY", "bunzip2 -c"},
	{"UTF-16", "\xff\xfe?\x00", "iconv -f UTF-16 -t UTF-8"},
	{"UTF-16", "\xfe\xff\x00?", "iconv -f UTF-16 -t UTF-8"},
}

// ErrPacked matches every PackedError.
var ErrPacked = errors.New("no text")

// PackedError is what a stream of TSV, CSV or NDJSON ends with that is none of them: nothing is
// read of it.
type PackedError struct {
	Name   string // gzip, zstd, xz, lz4, zip, bzip2 or UTF-16
	Unpack string // a command that makes text of what it reads
}

func (e *PackedError) Error() string {
	return fmt.Sprintf("this is %s, not text in UTF-8: pass it through %s first", e.Name, e.Unpack)
}

// Is matches ErrPacked.
func (e *PackedError) Is(target error) bool { return target == ErrPacked }

// Packing says what the text of a stream is packed in, from how the stream begins; nil: nothing.
func Packing(head []byte) *PackedError {
	for _, p := range packings {
		if begins(head, p.magic) {
			return &PackedError{p.name, p.unpack}
		}
	}
	return nil
}

// begins says whether head begins with magic, in which ? is any byte.
func begins(head []byte, magic string) bool {
	if len(head) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && head[i] != magic[i] {
			return false
		}
	}
	return true
}

// What keeps a file from being loaded that is none of the formats.
var (
	errArray  = errors.New("this is a JSON array, and what is loaded has an object on each line: jq -c '.[]' makes that of it")
	errObject = errors.New("this is one JSON object over several lines, and what is loaded has an object on each line: " +
		"jq -c 'to_entries[]' makes that of names and their values")
	errNoText = errors.New("this is no text, and its name does not say what it is: give --format if it is one of the formats")
)

// Guess finds the format of what is in a file, by its ending and by how it begins. Lines of JSON
// are taken for NDJSON whatever the name says; TSV is what nothing speaks against. The error says
// what to do with a file of another kind.
func Guess(name string, head []byte) (Format, error) {
	byName, named := ByFileName(name)
	if byName == Binary {
		return Binary, nil
	}
	line, whole := firstLine(head)
	isJSON := strings.EqualFold(path.Ext(unpacked(name)), ".json")
	switch {
	case len(line) > 0 && line[0] == '{' && (whole && json.Valid(line) || !whole && begins(line, `{"`)):
		return NDJSON, nil
	case len(line) > 0 && line[0] == '[' && (isJSON || opensArray(line)):
		return 0, errArray
	case isJSON && len(line) > 0, string(line) == "{":
		return 0, errObject
	case named:
		return byName, nil
	case bytes.IndexByte(head, 0) >= 0:
		return 0, errNoText
	}
	return TSV, nil
}

// firstLine is the first line with something on it, and whether that is all of the line. One with
// a tab is none of JSON's here: it may well be a key and a value.
func firstLine(head []byte) (line []byte, whole bool) {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte(mark)), " \r\n")
	line, _, found := bytes.Cut(text, []byte("\n"))
	if bytes.IndexByte(line, '\t') >= 0 {
		return nil, true
	}
	return bytes.TrimRight(line, " \r"), found || len(head) < SniffBytes
}

// opensArray says whether a line is the start of a JSON array of objects, arrays or strings. A key
// in brackets is not.
func opensArray(line []byte) bool {
	rest := bytes.TrimLeft(line[1:], " ")
	return len(rest) == 0 || bytes.IndexByte([]byte(`{["]`), rest[0]) >= 0
}

// unpacked is a file's name without the ending of a packing that is undone on the fly.
func unpacked(name string) string {
	for _, ending := range []string{".gz", ".zst"} {
		if strings.EqualFold(path.Ext(name), ending) {
			return name[:len(name)-len(ending)]
		}
	}
	return name
}
