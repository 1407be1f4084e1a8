//go:build !race

package rebalance

const raced = false
