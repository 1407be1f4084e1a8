package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/memnet"
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// filled is a cluster with keys, some of which are deleted or expired, and
// what a listing has to show: keys in the order of their hashes.
func filled(t *testing.T, nodes int) (c *cluster, want []string) {
	c = newCluster(t, clusterOptions{nodes: nodes, replicas: 2})
	for i := range 400 {
		key := fmt.Sprintf("%s/%d", []string{"a", "b", "c"}[i%3], i)
		o := op(kv.OpPut, key, "value of "+key)
		if i%10 == 0 {
			o.Expires = time.Now().Add(time.Millisecond).UnixMilli()
		}
		wantOp(t, c.nodes[i%nodes].do(o, kv.LevelAll), nil)
		switch {
		case i%10 == 5:
			wantOp(t, c.nodes[i%nodes].del(key, kv.LevelAll), nil)
		case i%10 != 0:
			want = append(want, key)
		}
	}
	time.Sleep(time.Millisecond)
	inOrder(want)
	return c, want
}

// inOrder sorts keys as a listing has them.
func inOrder(keys []string) {
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(kv.Hash([]byte(a)), kv.Hash([]byte(b))) })
}

// listAll lists page after page.
func (n *testNode) listAll(prefix string, limit int, values bool) (keys []string, err error) {
	from := uint64(0)
	for range 10000 {
		page, err := n.List(&kv.ListRequest{
			Prefix: []byte(prefix), From: from, Limit: limit, Values: values, Deadline: time.Now().Add(patience),
		})
		if err != nil {
			return keys, err
		}
		if len(page.Records) > limit {
			return keys, fmt.Errorf("a page of %d, at most %d", len(page.Records), limit)
		}
		for _, r := range page.Records {
			keys = append(keys, string(r.Key))
			if values != (string(r.Value) == "value of "+string(r.Key)) {
				return keys, fmt.Errorf("%s has %q", r.Key, r.Value)
			}
		}
		if !page.More {
			return keys, nil
		}
		if page.Next <= from && from != 0 {
			return keys, fmt.Errorf("cursor %x after %x", page.Next, from)
		}
		from = page.Next
	}
	return keys, errors.New("the listing does not end")
}

func wantKeys(t *testing.T, what string, got []string, err error, want []string) {
	t.Helper()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%s: %d keys (%v), want %d: these exactly, once, in order", what, len(got), err, len(want))
	}
}

// A listing shows each key that a reader sees exactly once, in the order of the hashes, whatever
// the node, the limit and the prefix. It has values if they are asked for. It shows no key that is
// deleted or expired.
func TestListingIsCompleteAndInOrder(t *testing.T) { bubble(t, testListing) }

func testListing(t *testing.T) {
	c, want := filled(t, 3)
	for _, n := range c.nodes {
		for _, prefix := range []string{"", "a", "b/1", "c/398", "d", "a/3/"} {
			var with []string
			for _, key := range want {
				if strings.HasPrefix(key, prefix) {
					with = append(with, key)
				}
			}
			for _, limit := range []int{1, 7, 100, len(want), 5000} {
				got, err := n.listAll(prefix, limit, limit%2 == 0)
				wantKeys(t, fmt.Sprintf("prefix %q, limit %d", prefix, limit), got, err, with)
			}
		}
		// A cursor is good wherever it points.
		for i, key := range want {
			for _, from := range []uint64{kv.Hash([]byte(key)), kv.Hash([]byte(key)) + 1} {
				page, err := n.List(&kv.ListRequest{From: from, Limit: 1, Deadline: time.Now().Add(patience)})
				next := i + int(from-kv.Hash([]byte(key)))
				if err != nil || (next < len(want) && string(page.Records[0].Key) != want[next]) || (next == len(want) && len(page.Records) > 0) {
					t.Fatalf("page at %s+%d: %v", key, next-i, err)
				}
			}
		}
	}
}

// An owner fails while it is asked for its part of a page, or is found not to be in sync. Another
// owner is asked in its place. Where there is none, the listing fails and leaves no keys out.
func TestListingAsksAnotherOwner(t *testing.T) { bubble(t, testListingAsksAnother) }

func testListingAsksAnother(t *testing.T) {
	c, want := filled(t, 4)
	n := c.nodes[0]
	unsynced := wire.OpenListing(nil)
	for name, h := range map[string]memnet.Hook{
		"broken": memnet.FailWith(memnet.ErrReset), "garbage": memnet.AnswerWith([]byte{1, 2, 3}), "refused": memnet.FailWith(peer.ErrRefused),
		"not in sync": memnet.AnswerWith(unsynced),
		"truncated": func(_ []byte, pass func() ([]byte, error)) ([]byte, error) {
			answer, err := pass()
			return answer[:len(answer)-1], err
		},
	} {
		var asked atomic.Int32
		c.net.Between("node0", "node1", memnet.OnLists(func(msg []byte, pass func() ([]byte, error)) ([]byte, error) {
			if asked.Add(1)%2 == 1 { // in the middle of a page, and again later
				return h(msg, pass)
			}
			return pass()
		}))
		got, err := n.listAll("", 50, true)
		if name == "truncated" && err == nil && asked.Load() == 0 {
			t.Error("node1 was not asked")
		}
		wantKeys(t, name, got, err, want)
	}
	for name, tc := range map[string]struct {
		h   memnet.Hook
		err error
	}{"broken": {memnet.FailWith(memnet.ErrReset), kv.ErrUnavailable}, "not in sync": {memnet.AnswerWith(unsynced), kv.ErrAbsenceUnknown}} {
		for _, to := range []string{"node1", "node2"} {
			c.net.Between("node0", to, memnet.OnLists(tc.h))
		}
		if _, err := n.listAll("", 50, false); !errors.Is(err, tc.err) {
			t.Errorf("two owners %s: %v, want %v", name, err, tc.err)
		}
	}
	c.net.Clear()
	c.cut(1)
	got, err := n.listAll("", 50, true)
	wantKeys(t, "with node1 down", got, err, want)
	c.cut(2)
	if _, err := n.listAll("", 50, true); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("two nodes down: %v", err)
	}
}

// A listing that meets an owner that hangs ends at its deadline.
func TestListingEndsAtItsDeadline(t *testing.T) { bubble(t, testListingDeadline) }

func testListingDeadline(t *testing.T) {
	c, _ := filled(t, 3)
	hold := memnet.NewGate(t)
	c.net.Toward("node1", memnet.OnLists(hold.Hold))
	start := time.Now()
	_, err := c.nodes[0].List(&kv.ListRequest{Limit: 1000, Deadline: start.Add(time.Second)})
	if took := time.Since(start); !errors.Is(err, kv.ErrTimeout) || took != time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

// A page takes twice the bytes that it may, or one longer record, wherever the records are. Each
// key comes all the same, once and in order.
func TestListingIsBoundedInBytes(t *testing.T) { bubble(t, testListingIsBoundedInBytes) }

func testListingIsBoundedInBytes(t *testing.T) {
	c := newCluster(t, clusterOptions{nodes: 3, replicas: 2})
	sizes := map[string]int{}
	var want []string
	for i := range 60 {
		key := fmt.Sprint(i)
		sizes[key] = []int{10, 3000, 200, 40_000, 7000}[i%5]
		c.nodes[0].mustPut(t, key, strings.Repeat(key[:1], sizes[key]), kv.LevelAll)
		want = append(want, key)
	}
	inOrder(want)
	for _, bytes := range []int{1, 5000, 50_000, 0} {
		var got []string
		for from, more := uint64(0), true; more; {
			page, err := c.nodes[len(got)%3].List(&kv.ListRequest{From: from, Limit: 100, Bytes: bytes, Values: true, Deadline: time.Now().Add(patience)})
			if err != nil {
				t.Fatal(err)
			}
			sum, most := 0, cmp.Or(2*bytes, 8<<20)
			for _, r := range page.Records {
				got = append(got, string(r.Key))
				if sum += len(r.Value); string(r.Value) != strings.Repeat(string(r.Key[:1]), sizes[string(r.Key)]) {
					t.Fatalf("%s has %d bytes, want %d", r.Key, len(r.Value), sizes[string(r.Key)])
				}
			}
			if sum > most && len(page.Records) > 1 {
				t.Errorf("a page of %d records has %d bytes of values, where %d are asked for", len(page.Records), sum, bytes)
			}
			from, more = page.Next, page.More
		}
		wantKeys(t, fmt.Sprintf("pages of %d bytes", bytes), got, nil, want)
	}
}
