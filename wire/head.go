package wire

import (
	"errors"
	"fmt"

	"httpdhs/kv"
)

// Format is the version of all messages. Head is how many bytes their heads have: format and kind.
// Seals have a version of their own.
const (
	Format = 9
	Head   = 2
)

// Kind is what a message is about.
type Kind byte

const (
	KindBatch   Kind = 1
	KindList    Kind = 2
	KindPing    Kind = 3
	KindDigests Kind = 4
	KindPull    Kind = 5
	KindRing    Kind = 6
	KindHello   Kind = 7
	KindStats   Kind = 8

	KindStanding Kind = 9
)

// ErrMalformed is wrapped by the error for a message that no node of this version makes.
var ErrMalformed = errors.New("malformed message")

// limits bound what is decoded of a peer's message. They are wider than any node's own limits,
// which are looked at later, so that nodes with different limits can still talk.
var limits = kv.Limits{MaxKeyBytes: 1 << 30, MaxValueBytes: 1 << 30}

func appendHead(dst []byte, kind Kind) []byte {
	return append(dst, Format, byte(kind))
}

// Split takes the head off a message.
func Split(msg []byte) (kind Kind, body []byte, err error) {
	if len(msg) < Head {
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	}
	if msg[0] != Format {
		return 0, nil, fmt.Errorf("%w: format %d, this node speaks %d", ErrMalformed, msg[0], Format)
	}
	return Kind(msg[1]), msg[Head:], nil
}

// KindOf is the kind of a message that this node has made. The message has to have a head.
func KindOf(msg []byte) Kind { return Kind(msg[1]) }

// expect takes the head off a message of the kind, which is at least so long.
func expect(msg []byte, kind Kind, least int) ([]byte, error) {
	got, body, err := Split(msg)
	if err != nil {
		return nil, err
	}
	if got != kind || len(msg) < least {
		return nil, fmt.Errorf("%w: answer of kind %d and %d bytes, want kind %d", ErrMalformed, got, len(msg), kind)
	}
	return body, nil
}

// DecodeRecord takes a record off what a peer has sent.
func DecodeRecord(body []byte) (r kv.Record, rest []byte, err error) {
	return kv.DecodeRecord(body, &limits)
}
