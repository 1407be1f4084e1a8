package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"httpdhs/client"
	"httpdhs/internal/testcluster"
)

// A batch at real nodes: what is written is read back as it was, bytes of any kind too, operations on
// one key take effect in their order, and each has its own outcome.
func TestBatchAtRealNodes(t *testing.T) {
	nodes := testcluster.Start(t, testcluster.Options{Nodes: 3})
	c, err := client.New(client.Options{Addrs: []string{nodes.Name(0)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	values := map[string]string{"text": "tëxt\u2028\x00\"\\<", "bytes\xff": "\xfe\x00", "empty": "", "lf\n": "\ufffd"}
	var puts []client.Op
	var keys [][]byte
	for key, value := range values {
		puts = append(puts, client.Op{Kind: client.OpPut, Key: []byte(key), Value: []byte(value), ContentType: "a/b", TTL: time.Hour})
		keys = append(keys, []byte(key))
	}
	for i, r := range c.Batch(ctx, puts, &client.BatchOptions{W: "all"}) {
		if r.Err != nil || !r.Written.Created || r.Written.Acks != "2/2" {
			t.Errorf("put %q: %+v", puts[i].Key, r)
		}
	}
	got, err := c.GetMany(ctx, append(keys, []byte("none")), &client.GetOptions{R: "all"})
	if err != nil || got[len(keys)] != nil {
		t.Fatal(err, got[len(keys)])
	}
	for i, key := range keys {
		one, err := c.Get(ctx, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := got[i]
		if v == nil || string(v.Data) != values[string(key)] || v.ContentType != "a/b" || v.ETag != one.ETag || !v.Expires.Truncate(time.Second).Equal(one.Expires) {
			t.Errorf("%q is %+v, and alone %+v", key, v, one)
		}
	}

	a := []byte("a")
	many := c.Batch(ctx, []client.Op{
		{Kind: client.OpPut, Key: a, Value: []byte("1")}, {Key: a}, {Kind: client.OpPut, Key: a, Value: []byte("2")}, {Key: a},
		{Kind: client.OpDelete, Key: a}, {Key: a}, {Key: nil}, {Key: []byte(strings.Repeat("k", 5000))},
		{Kind: client.OpPut, Key: a, TTL: -1},
	}, nil)
	var said []string
	for _, r := range many {
		var status *client.StatusError
		switch {
		case errors.Is(r.Err, client.ErrNotFound):
			said = append(said, "none")
		case errors.As(r.Err, &status):
			said = append(said, fmt.Sprint(status.Status))
		default:
			said = append(said, fmt.Sprint(r.Written.Created, string(r.Value.Data), r.Err))
		}
	}
	want := []string{"true<nil>", "false1<nil>", "false<nil>", "false2<nil>", "false<nil>", "none", "falsethe key is empty", "414", "400"}
	if strings.Join(said, " ") != strings.Join(want, " ") {
		t.Errorf("got  %q\nwant %q", said, want)
	}
	if results := c.Batch(ctx, nil, nil); len(results) != 0 {
		t.Errorf("of nothing: %v", results)
	}
}
