//go:build !linux

package main

import (
	"context"
	"errors"
	"time"
)

var errLinux = errors.New("the peers are measured on Linux")

func drive(context.Context, string, time.Duration, time.Duration, exchange) (float64, error) {
	return 0, errLinux
}

func fill(context.Context, string, int, exchange) error { return errLinux }
