package main

import "time"

// slowFlags say which operations are logged because they took long.
type slowFlags struct {
	SlowLog time.Duration `placeholder:"100ms" meant:"ms" help:"Log operations that take the node as long, at most ten a second. By default none."`
}
