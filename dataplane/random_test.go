package dataplane

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"httpdhs/internal/memnet"
	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// Anything is done at three nodes, whose clocks are as far apart as is believed. There are faults
// on the ways between them. When these are over and the queues are empty, the owners of each key
// hold the same. That is the last write that all owners acknowledged, or one that was not
// acknowledged and may appear at any time. A write that was refused as an overload, or for its
// condition, never appears.
func TestReplicasConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var stopped any // by rapid, which wants to hear of it on its own stack
		var wrong string
		bubble(t, func(t *testing.T) {
			defer func() { stopped = recover() }()
			wrong = converge(t, rt)
		})
		switch {
		case stopped != nil:
			panic(stopped)
		case wrong != "":
			rt.Fatal(wrong)
		}
	})
}

// history is what may remain of a key: values, and "" for a delete.
type history struct {
	acknowledged string
	unknown      []string
}

// wrote notes how a write has ended.
func (h *history) wrote(value string, err error) {
	switch {
	case err == nil:
		h.acknowledged = value
	case errors.Is(err, kv.ErrOverloaded), errors.Is(err, kv.ErrConditionFailed):
	default:
		h.unknown = append(h.unknown, value)
	}
}

func converge(t *testing.T, rt *rapid.T) (wrong string) {
	c := newCluster(t, clusterOptions{
		nodes: 3, replicas: 2, probeEvery: 50 * time.Millisecond,
		skew: map[int]time.Duration{0: 25 * time.Second, 2: -25 * time.Second},
	})
	keys := make([]string, 6)
	histories := make(map[string]*history)
	for i := range keys {
		keys[i] = c.keyOwnedBy(i, i%3, (i+1)%3)
		histories[keys[i]] = &history{}
	}
	faults := map[string]func() memnet.Hook{
		"none":    func() memnet.Hook { return nil },
		"broken":  func() memnet.Hook { return memnet.FailWith(memnet.ErrReset) },
		"timeout": func() memnet.Hook { return memnet.FailWith(memnet.ErrTimeout) },
		"garbage": func() memnet.Hook { return memnet.OnBatches(memnet.AnswerWith([]byte("garbage"))) },
		"lost":    func() memnet.Hook { return memnet.OnBatches(memnet.LoseReply(1)) },
		"lost 3":  func() memnet.Hook { return memnet.OnBatches(memnet.LoseReply(3)) },
		"slow": func() memnet.Hook {
			return memnet.OnBatches(func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
				time.Sleep(30 * time.Millisecond)
				return pass()
			})
		},
	}
	names := []string{"none", "none", "broken", "timeout", "garbage", "lost", "lost 3", "slow"}
	steps := rapid.IntRange(1, 40).Draw(rt, "steps")
	for step := range steps {
		n := c.nodes[rapid.IntRange(0, 2).Draw(rt, "node")]
		switch rapid.SampledFrom([]string{"write", "write", "write", "fault", "read", "pass"}).Draw(rt, "action") {
		case "fault":
			from, to := rapid.IntRange(0, 2).Draw(rt, "from"), rapid.IntRange(0, 2).Draw(rt, "to")
			fault := rapid.SampledFrom(names).Draw(rt, "fault")
			c.net.Between(c.nodes[from].name, c.nodes[to].name, faults[fault]())
		case "pass":
			time.Sleep(time.Duration(rapid.IntRange(1, 100).Draw(rt, "ms")) * time.Millisecond)
		case "read":
			n.do(op(kv.OpGet, rapid.SampledFrom(keys).Draw(rt, "key"), ""), rapid.SampledFrom([]kv.Level{1, 2}).Draw(rt, "r"))
		case "write":
			c.randomCall(rt, n, step, keys, histories)
		}
	}
	c.net.Clear()
	c.rest()
	for i := range c.nodes {
		c.waitDrained(i)
	}
	// What one owner alone was told, such as a conditional write whose answer was lost, is found by
	// anti-entropy.
	c.syncAllPairs()
	for _, key := range keys {
		owners := c.ownersOf(key)
		first, second := c.nodes[owners[0]].held(key), c.nodes[owners[1]].held(key)
		if first.Version != second.Version || string(first.Value) != string(second.Value) || first.Tombstone != second.Tombstone {
			return fmt.Sprintf("%s: node%d holds %q (%x), node%d holds %q (%x)", key,
				owners[0], first.Value, first.Version, owners[1], second.Value, second.Version)
		}
		if possible := append(histories[key].unknown, histories[key].acknowledged); !slices.Contains(possible, string(first.Value)) {
			return fmt.Sprintf("%s: %q remains, not one of %s", key, first.Value, strings.Join(possible, ", "))
		}
	}
	return ""
}

// syncAllPairs has every node compare itself with all others.
func (c *cluster) syncAllPairs() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.writer().Restart()
		n.Board.Wake()
	}
	poll.True(c.t, "all owners have the same", func() bool {
		for part := range c.table.Partitions() {
			owners := c.table.Owners(part)
			for _, i := range owners[1:] {
				if c.nodes[i].digest(part) != c.nodes[owners[0]].digest(part) {
					return false
				}
			}
		}
		return true
	})
}

// randomCall writes some keys in one call, or one under a condition, at level
// all.
func (c *cluster) randomCall(rt *rapid.T, n *testNode, step int, keys []string, histories map[string]*history) {
	call := kv.Call{Write: kv.LevelAll, Deadline: time.Now().Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "timeout")) * time.Millisecond)}
	var values []string
	ops := rapid.IntRange(1, 4).Draw(rt, "ops")
	for i := range ops {
		key := rapid.SampledFrom(keys).Draw(rt, "key")
		o, value := op(kv.OpPut, key, fmt.Sprint(step, ".", i)), fmt.Sprint(step, ".", i)
		switch kind := rapid.IntRange(0, 5).Draw(rt, "kind"); {
		case kind == 0:
			o, value = op(kv.OpDelete, key, ""), ""
		case kind == 1 && ops == 1:
			o.Cond.Kind = kv.IfAbsent
		case kind == 2 && ops == 1:
			o.Cond.Kind = kv.IfPresent
		}
		call.Ops, values = append(call.Ops, o), append(values, value)
	}
	n.Do(&call)
	for i := range call.Ops {
		histories[string(call.Ops[i].Key)].wrote(values[i], call.Ops[i].Err)
	}
}
