package wire

import (
	"encoding/json"
	"fmt"
	"time"
)

// What a node has counted since it was started:
//
//	stats   nothing
//	answer  JSON, a Stats
//
// It is JSON for it is asked for by people, a few times a second at most. A member that is not
// known is of a later version, and is not read.

// Stats is what a node has counted since it was started.
type Stats struct {
	At          time.Time `json:"at"` // when, by its own clock
	Started     time.Time `json:"started"`
	Connections int64     `json:"connections"`

	Bounds     []int64          `json:"bounds"` // of Buckets, in nanoseconds
	Operations []OperationStats `json:"operations"`

	// Hot are the partitions with most traffic lately, the hottest first; nil: not known yet.
	Hot []PartitionRate `json:"hot"`
}

// OperationStats are the operations of a kind.
type OperationStats struct {
	Kind    string  `json:"kind"`
	Errors  int64   `json:"errors"`  // answered with a 5xx
	Nanos   int64   `json:"nanos"`   // the sum of their times
	Buckets []int64 `json:"buckets"` // how many took so long; the last has all beyond the last bound
}

// PartitionRate is how often a partition is read and written, a second.
type PartitionRate struct {
	Partition int     `json:"partition"`
	Reads     float64 `json:"reads"`
	Writes    float64 `json:"writes"`
}

const (
	// statsBytesMax bounds an answer. It has room for many more kinds than there are.
	statsBytesMax = 64 << 10

	statsBucketsMax = 64
	statsKindsMax   = 64
	statsKindBytes  = 32

	// HotMax bounds Stats.Hot.
	HotMax = 10
)

// AppendStatsQuestion appends a question for what a node has counted to dst.
func AppendStatsQuestion(dst []byte) []byte { return appendHead(dst, KindStats) }

// AppendStats appends an answer to dst.
func AppendStats(dst []byte, s *Stats) []byte {
	answer, err := json.Marshal(s)
	if err != nil {
		panic("BUG: wire: stats do not marshal: " + err.Error())
	}
	return append(appendHead(dst, KindStats), answer...)
}

// ParseStats reads an answer.
func ParseStats(answer []byte) (s Stats, err error) {
	body, err := expect(answer, KindStats, Head)
	if err != nil {
		return s, err
	}
	if len(body) > statsBytesMax {
		return s, fmt.Errorf("%w: stats of %d bytes", ErrMalformed, len(body))
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("%w: stats: %w", ErrMalformed, err)
	}
	return s, s.check()
}

// check says what no node counts.
func (s *Stats) check() error {
	ok := s.Connections >= 0 && len(s.Bounds) < statsBucketsMax && len(s.Operations) <= statsKindsMax && len(s.Hot) <= HotMax &&
		speakable(s.At) && speakable(s.Started)
	for i, bound := range s.Bounds {
		ok = ok && bound > 0 && (i == 0 || bound > s.Bounds[i-1])
	}
	for i := range s.Operations {
		o := &s.Operations[i]
		ok = ok && len(o.Kind) <= statsKindBytes && o.Errors >= 0 && o.Nanos >= 0 && len(o.Buckets) == len(s.Bounds)+1
		for _, n := range o.Buckets {
			ok = ok && n >= 0
		}
	}
	for i := range s.Hot {
		h := &s.Hot[i]
		ok = ok && h.Partition >= 0 && h.Reads >= 0 && h.Writes >= 0
	}
	if !ok {
		return fmt.Errorf("%w: stats that no node counts", ErrMalformed)
	}
	return nil
}

// speakable says whether JSON can have the time.
func speakable(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }
