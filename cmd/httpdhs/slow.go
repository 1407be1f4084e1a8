package main

import "time"

// slowFlags say which operations are logged because they took long.
type slowFlags struct {
	SlowLog time.Duration `placeholder:"100ms" meant:"ms" help:"Log operations that take the node as long: ten a second, and as many at once. By default none."`
}
