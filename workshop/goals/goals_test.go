package main

import "testing"

// A run of wrk counts by its rate, and only if nothing went wrong in it.
func TestWrkRate(t *testing.T) {
	const good = "Running 1s test @ http://127.0.0.1:1\n  1 threads and 64 connections\n" +
		"  94630 requests in 1.10s, 11.10MB read\nRequests/sec:  86046.77\nTransfer/sec:     10.09MB\n"
	if got, err := wrkRate(good); got != 86046.77 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for name, out := range map[string]string{
		"statuses": "  Non-2xx or 3xx responses: 1\n" + good,
		"sockets":  "  Socket errors: connect 0, read 0, write 0, timeout 3\n" + good,
		"nothing":  "unable to connect to 127.0.0.1:1 Connection refused\n",
	} {
		if got, err := wrkRate(out); err == nil {
			t.Errorf("%s: a rate of %v", name, got)
		}
	}
}
