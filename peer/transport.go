package peer

import (
	"errors"
	"time"
)

// Transport carries messages to one other node.
type Transport interface {
	// RoundTrip sends a message and appends the answer to dst. It keeps neither slice. The error
	// wraps ErrRefused when the peer refuses this message, and ErrStranger when it takes none of
	// this node. When the deadline has passed, the error is a Timeout() error.
	RoundTrip(dst, message []byte, deadline time.Time) ([]byte, error)

	// Abort breaks every RoundTrip under way and closes the connections. Later RoundTrips open new
	// ones.
	Abort()

	// CloseIdle closes the connections that carry nothing now.
	CloseIdle()
}

// ErrRefused is for a message that the peer will never take. Sending it again is of no use.
var ErrRefused = errors.New("the peer refuses the message")

// ErrStranger is for a message to a peer that does not take this node for one of its cluster. The
// peer may just not have heard of it yet.
var ErrStranger = errors.New("the peer takes this node for a stranger")

// IsTimeout says whether the error is that a deadline has passed.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
