//go:build !linux

package main

import "time"

func threadTime() time.Duration { return 0 }

func lacksThreadTime(*house) string { return "the CPU time of a thread is read on Linux only" }
