//go:build race

package rebalance

// raced says that the race detector is on, which is slow, and finds nothing in what has no
// goroutines: less is searched.
const raced = true
