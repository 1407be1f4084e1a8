package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// server is one of the two that are compared.
type server interface {
	// name says who it is, and prefix begins the names of its figures: that
	// of httpdhs is empty.
	name() string
	prefix() string
	pid() int
	stop()

	// load stores what the pass yields.
	load(*pass) error
	// get reads a key that has to be there.
	get(key []byte) error
	// readThrough reads keys, stores those that are not there and, whether
	// they are there or not, those of updates. A value has the size that
	// goes with its key. It returns how many of the keys were there, and how
	// many writes were refused.
	readThrough(keys, updates []sized) (hits, refused int, err error)

	// held is what the server itself says.
	held() (holding, error)
	// collect makes the server do what it would put off.
	collect() error
}

// answerTimeout is how long a server may take for any one answer.
const answerTimeout = 30 * time.Second

// sized is a key and the size of its value.
type sized struct{ key, size int }

// holding is what a server says of its data.
type holding struct {
	keys       int64
	data       int64 // bytes of keys and values; -1: it does not say
	tombstones int64 // of deleted keys
	taken      int64 // bytes, with keys and values; without what an empty server takes
}

// each starts one server after the other, hands it to measure and ends it: only
// one of them holds data.
func (h *house) each(args serverArgs, measure func(server) error) error {
	one := func(s server, err error) error {
		if err != nil {
			return err
		}
		defer s.stop()
		return measure(s)
	}
	if err := one(h.startNode(args.node...)); err != nil || h.redis == "" {
		return err
	}
	return one(h.startRedis(args.redis...))
}

// serverArgs are further arguments, for either.
type serverArgs struct{ node, redis []string }

// residentNow is the resident memory of a process in bytes, by smaps_rollup, which
// is exact and takes some time.
func residentNow(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return rollupRSS(string(text))
}

func rollupRSS(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Rss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup has no Rss: %q", text)
}

const (
	settleMost = 240   // readings at most
	settled    = 60    // readings that are the same: httpdhs gives memory back every 25 seconds
	settledBy  = 0.002 // but for this share
)

// resident is the resident memory of a server in bytes, after it was made to
// collect and once it has not fallen for that many readings.
func (h *house) resident(s server) (int64, error) {
	if err := s.collect(); err != nil {
		return 0, err
	}
	least, same := int64(0), 0
	for reading := 1; ; reading++ {
		now, err := residentNow(s.pid())
		if err != nil {
			return 0, err
		}
		if least == 0 || float64(now) < float64(least)*(1-settledBy) {
			least, same = now, 0
		}
		if same++; same >= settled || reading >= settleMost {
			return now, nil
		}
		select {
		case <-time.After(h.settle):
		case <-h.ctx.Done():
			return 0, h.ctx.Err()
		}
	}
}
