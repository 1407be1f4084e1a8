package main

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// ttl is how long a value is kept, as ?ttl= has it: a duration or whole
// seconds; here also 0, for ever.
type ttl time.Duration

// UnmarshalText reads a ttl; kong calls it for a flag.
func (t *ttl) UnmarshalText(text []byte) error {
	const secondsMax = math.MaxInt64 / int64(time.Second)
	d, err := time.ParseDuration(string(text))
	if n, errInt := strconv.ParseInt(string(text), 10, 64); errInt == nil && n >= 0 && n <= secondsMax {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time to keep something: use a duration such as 90s or 1h30m, or whole seconds", text)
	}
	*t = ttl(d)
	return nil
}
