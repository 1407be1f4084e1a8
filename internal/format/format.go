package format

import (
	"path"
	"strings"
)

// Format is how a stream of pairs is written.
type Format uint8

const (
	TSV    Format = iota // key, tab, value, newline; the default
	CSV                  // RFC 4180, two fields
	NDJSON               // one JSON object a line
	Binary               // records as kv.AppendRecord writes them
)

// Media types by which the formats are named in an answer.
const (
	TypeTSV    = "text/tab-separated-values"
	TypeCSV    = "text/csv"
	TypeNDJSON = "application/x-ndjson"
	TypeBinary = "application/vnd.httpdhs.records"
)

// Types lists the media types of formats for the words of an error.
func Types(of []Format) (list string) {
	for i, f := range of {
		switch {
		case i == 0:
		case i == len(of)-1:
			list += " or "
		default:
			list += ", "
		}
		list += f.String()
	}
	return list
}

// String is the media type of the format.
func (f Format) String() string {
	return [...]string{TypeTSV, TypeCSV, TypeNDJSON, TypeBinary}[f]
}

// ByMediaType finds the format that a Content-Type header names. Parameters
// such as charset are ignored: keys and values are bytes.
func ByMediaType(header []byte) (f Format, ok bool) {
	name, _, _ := strings.Cut(string(header), ";")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case TypeTSV:
		return TSV, true
	case TypeCSV:
		return CSV, true
	case TypeNDJSON, "application/ndjson", "application/jsonl", "application/json-lines":
		return NDJSON, true
	case TypeBinary:
		return Binary, true
	}
	return 0, false
}

// ByFileName finds the format that a file's ending stands for. An ending of gzip or zstd after it
// makes no difference.
func ByFileName(name string) (f Format, ok bool) {
	switch strings.ToLower(path.Ext(unpacked(name))) {
	case ".tsv", ".tab", ".txt":
		return TSV, true
	case ".csv":
		return CSV, true
	case ".ndjson", ".jsonl", ".json":
		return NDJSON, true
	case ".records":
		return Binary, true
	}
	return 0, false
}
