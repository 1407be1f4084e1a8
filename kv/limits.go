package kv

// Limits bounds what a client may store. All nodes of a cluster should have
// the same: a node refuses a peer's record that is beyond its own.
type Limits struct {
	MaxKeyBytes   int // length of a key, at least 1
	MaxValueBytes int // length of a value
}

// DefaultLimits are those of the command line: 4096 bytes of key, 8 MiB of
// value.
func DefaultLimits() Limits {
	return Limits{MaxKeyBytes: 4096, MaxValueBytes: 8 << 20}
}

// Check returns the error that a record of these limits deserves, or nil.
func (l *Limits) Check(r *Record) error {
	switch {
	case len(r.Key) == 0:
		return ErrKeyEmpty
	case len(r.Key) > l.MaxKeyBytes:
		return ErrKeyTooLong
	case len(r.Value) > l.MaxValueBytes:
		return ErrValueTooLarge
	}
	return r.Meta.Check()
}
