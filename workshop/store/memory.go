package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

const megabyte = 1e6

// empty measures servers that hold nothing.
func empty(h *house) error {
	return h.each(serverArgs{}, func(s server) error {
		h.Now("%s: empty", s.name())
		resident, err := h.resident(s)
		h.samples.Add(figures{s.prefix() + "empty MB": float64(resident) / megabyte})
		return err
	})
}

// figures are what a part of a section came to, by name.
type figures = map[string]float64

// overwrites is how often every key is overwritten with another size.
const overwrites = 3

// memory measures what keys take: loaded, overwritten, and half of them deleted.
func memory(h *house) error {
	return h.each(serverArgs{node: []string{"--tombstone-grace", h.grace.String()}}, h.memoryOf)
}

func (h *house) memoryOf(s server) error {
	f := figures{}
	defer h.samples.Add(f)
	loaded, err := h.loaded(s, f, "loaded", 0)
	if err != nil {
		return err
	}
	f[s.prefix()+"loaded MB"] = float64(loaded) / megabyte
	var before int64
	for pass := 1; pass <= overwrites; pass++ {
		if before, err = h.loaded(s, f, "overwritten", pass); err != nil {
			return err
		}
	}
	half := h.keys / 2
	h.Now("%s: deleting half", s.name())
	deletes := h.pass(half, 0)
	deletes.deletes = true
	if err := s.load(deletes); err != nil {
		return err
	}
	left := dataOf(overwrites, half, h.keys)
	remembered, err := h.weigh(s, f, "remembered", h.keys-half, left)
	if err != nil {
		return err
	}
	f[s.prefix()+"remembered of before"] = float64(remembered) / float64(before)
	if err := h.swept(s); err != nil {
		return err
	}
	deleted, err := h.weigh(s, f, "deleted", h.keys-half, left)
	f[s.prefix()+"deleted of before"] = float64(deleted) / float64(before)
	return err
}

// loaded stores every key once and weighs the server. Of several passes of one
// name the largest figures count.
func (h *house) loaded(s server, f figures, what string, pass int) (resident int64, err error) {
	h.Now("%s: %d keys, %s, pass %d", s.name(), h.keys, what, pass)
	if err := s.load(h.pass(h.keys, pass)); err != nil {
		return 0, err
	}
	return h.weigh(s, f, what, h.keys, dataOf(pass, 0, h.keys))
}

// weigh takes the figures of a server that holds so many keys. data is the
// size of all keys and values.
func (h *house) weigh(s server, f figures, what string, keys int, data int64) (resident int64, err error) {
	if resident, err = h.resident(s); err != nil {
		return 0, err
	}
	held, err := s.held()
	if err != nil {
		return 0, err
	}
	if held.keys != int64(keys) || held.data >= 0 && held.data != data {
		return 0, fmt.Errorf("%s holds %d keys and %d bytes, want %d and %d", s.name(), held.keys, held.data, keys, data)
	}
	h.Now("%s: %d MB resident", s.name(), resident/megabyte)
	most := func(name string, v float64) { f[s.prefix()+what+name] = max(f[s.prefix()+what+name], v) }
	most(" beyond", float64(held.taken-data)/float64(keys))
	most(" of data", float64(resident)/float64(data))
	return resident, nil
}

// swept waits until no deleted key is remembered.
func (h *house) swept(s server) error {
	deadline := time.Now().Add(h.grace + 2*time.Minute)
	for {
		held, err := s.held()
		if err != nil || held.tombstones == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New(strconv.FormatInt(held.tombstones, 10) + " deleted keys are still remembered")
		}
		select {
		case <-time.After(h.settle):
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
	}
}
