package peer

import (
	"errors"
	"time"
)

// Transport carries messages to one other node.
type Transport interface {
	// RoundTrip sends a message and appends the answer to dst. The error wraps ErrRefused when the
	// peer does not take such a message, and ErrStranger when it takes none of this node. It is a
	// Timeout() error when the deadline passed. It keeps neither slice.
	RoundTrip(dst, message []byte, deadline time.Time) ([]byte, error)

	// Abort breaks every RoundTrip under way and closes the connections; later
	// ones open new connections.
	Abort()
}

// ErrRefused is for a message that the peer will never take: sending it again
// is of no use.
var ErrRefused = errors.New("the peer refuses the message")

// ErrStranger is for a message to a peer that does not take this node for one
// of its cluster. It may just not have heard of it yet.
var ErrStranger = errors.New("the peer takes this node for a stranger")

// IsTimeout says whether an error is that a deadline passed.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
