package wire

import (
	"encoding/binary"
	"fmt"

	"httpdhs/kv"
)

// How a node stands, for one that has to know what would be lost if others stopped:
//
//	standing  nothing
//	answer    uvarint boot; u8, 1 if it is stopping; uvarint partitions, and of each a
//	          uvarint: keys × 4, and the flags below; uvarint members, and of each a text,
//	          u8, 1 if the node counts on it, uvarint queued, uvarint finished
const (
	partWhole = 1 << iota
	partHeld
)

// Standing is what a node holds, and how it gets on with the others, at a moment.
type Standing struct {
	Boot     uint64 // of its process
	Stopping bool   // it is about to be gone
	Parts    []Part // by partition
	Ways     []Way  // to each other member
}

// Part is what a node holds of a partition.
type Part struct {
	Whole bool // all acknowledged writes of it: the node has authority, and has refused nothing
	Held  bool // something, if only tombstones
	Keys  int  // live ones
}

// Way is what a node knows of its way to another.
type Way struct {
	Name   string
	Counts bool // it is up, was sent what was kept for it, and what it says to hold is believed

	// Queued is how many batches were queued for it, and Finished how many of these are delivered.
	// What was queued by the time of one Standing is there once Finished of a later one has reached
	// Queued of the first.
	Queued, Finished uint64
}

// WayTo is the way to a member; nil: the node knows none of that name.
func (s *Standing) WayTo(name string) *Way {
	for i := range s.Ways {
		if s.Ways[i].Name == name {
			return &s.Ways[i]
		}
	}
	return nil
}

// AppendStandingQuestion asks a node how it stands.
func AppendStandingQuestion(dst []byte) []byte { return appendHead(dst, KindStanding) }

// AppendStanding makes the answer.
func AppendStanding(dst []byte, s *Standing) []byte {
	dst = binary.AppendUvarint(appendHead(dst, KindStanding), s.Boot)
	dst = appendYes(dst, s.Stopping)
	dst = binary.AppendUvarint(dst, uint64(len(s.Parts)))
	for _, p := range s.Parts {
		v := uint64(p.Keys) << 2
		if p.Whole {
			v |= partWhole
		}
		if p.Held {
			v |= partHeld
		}
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Ways)))
	for i := range s.Ways {
		w := &s.Ways[i]
		dst = appendYes(appendString(dst, w.Name), w.Counts)
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, w.Queued), w.Finished)
	}
	return dst
}

func appendYes(dst []byte, yes bool) []byte {
	if yes {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// ParseStanding reads an answer, in a cluster of so many partitions.
func ParseStanding(answer []byte, partitions int) (s Standing, err error) {
	body, err := expect(answer, KindStanding, Head)
	if err != nil {
		return s, err
	}
	f := fields{rest: body}
	s.Boot, s.Stopping = f.uvarint(), f.flags(1) != 0
	if n := f.count(1); n != partitions {
		f.fault(fmt.Sprintf("%d partitions, want %d", n, partitions))
	} else {
		s.Parts = make([]Part, n)
	}
	for i := range s.Parts {
		v := f.uvarint()
		if v>>2 > countMax {
			f.fault("more keys than there can be")
		}
		s.Parts[i] = Part{Whole: v&partWhole != 0, Held: v&partHeld != 0, Keys: int(v >> 2)}
	}
	n := f.count(4)
	if n > kv.MaxTag+1 {
		f.fault(fmt.Sprintf("%d members, at most %d", n, kv.MaxTag+1))
		n = 0
	}
	for range n {
		s.Ways = append(s.Ways, Way{Name: f.text(), Counts: f.flags(1) != 0, Queued: f.uvarint(), Finished: f.uvarint()})
	}
	if f.bad == "" && len(f.rest) > 0 {
		f.fault("more than it says")
	}
	if f.bad != "" {
		return Standing{}, fmt.Errorf("%w: standing: %s", ErrMalformed, f.bad)
	}
	return s, nil
}
