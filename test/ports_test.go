package test

import (
	"testing"

	"httpdhs/internal/ports"
)

// freePort is a port that nothing listens on and that no other test is given.
func freePort(t *testing.T) int {
	t.Helper()
	return freePorts(t, 1)
}

// freePorts is the first of n such ports in a row.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	port, err := ports.Take(n)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
