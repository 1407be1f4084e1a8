package main

import (
	"time"

	"httpdhs/kv"
)

// ttl is how long a value is kept, as ?ttl= has it; here also 0, for ever.
type ttl time.Duration

// UnmarshalText reads a ttl; kong calls it for a flag.
func (t *ttl) UnmarshalText(text []byte) error {
	if d, ok := kv.ParseDuration(string(text)); ok && d == 0 {
		*t = 0
		return nil
	}
	d, err := kv.ParseTTL(string(text))
	*t = ttl(d)
	return err
}
