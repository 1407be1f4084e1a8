//go:build !linux

package cputime

import "time"

// Known says whether Thread tells anything.
const Known = false

// Thread is 0.
func Thread() time.Duration { return 0 }
