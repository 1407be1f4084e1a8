package main

import (
	"fmt"
	"unicode"

	"golang.org/x/text/unicode/runenames"

	"httpdhs/client"
)

// sample yields the records of a load that needs no file: all Unicode characters with their names,
// such as U+1F600 and GRINNING FACE.
//
// It skips characters that have no name of their own. These are not assigned, or the Unicode data
// describe them as a kind: "<control>", and the ranges of ideographs and syllables that are
// numbered rather than named.
func sample(yield func(client.Record, error) bool) {
	for r := range unicode.MaxRune + 1 {
		name := runenames.Name(r)
		if name == "" || name[0] == '<' {
			continue
		}
		if !yield(client.Record{Key: fmt.Sprintf("U+%04X", r), Value: []byte(name)}, nil) {
			return
		}
	}
}

// sampleCount is the number of records of the sample.
func sampleCount() (n int64) {
	for range sample {
		n++
	}
	return n
}
