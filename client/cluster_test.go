package client_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"httpdhs/client"
	"httpdhs/internal/testcluster"
)

// A batch at real nodes: what is written is read back as it was, bytes of any kind too, operations
// on one key take effect in their order, and each has its own outcome.
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
	var keys []string
	for key, value := range values {
		puts = append(puts, client.Op{Kind: client.OpPut, Key: key, Value: []byte(value),
			ContentType: "a/b", CacheControl: "max-age=60", ContentEncoding: "x", TTL: time.Hour})
		keys = append(keys, key)
	}
	for i, r := range c.Batch(ctx, puts, &client.BatchOptions{W: client.LevelAll}) {
		if r.Err != nil || !r.Written.Created || r.Written.Acks != 2 || r.Written.Replicas != 2 {
			t.Errorf("put %q: %+v", puts[i].Key, r)
		}
	}
	got, err := c.GetMany(ctx, append(keys, "none"), &client.GetOptions{R: client.LevelAll})
	if err != nil || len(got) != len(keys) {
		t.Fatal(err, got)
	}
	for _, key := range keys {
		one, err := c.Get(ctx, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		many := got[key]
		many.Modified = one.Modified
		if string(one.Data) != values[key] || one.CacheControl != "max-age=60" || one.Modified.IsZero() || !reflect.DeepEqual(many, one) {
			t.Errorf("%q is %+v, and alone %+v", key, many, one)
		}
	}

	a, get := "a", client.OpGet
	many := c.Batch(ctx, []client.Op{
		{Kind: client.OpPut, Key: a, Value: []byte("1")}, {Kind: get, Key: a}, {Kind: client.OpPut, Key: a, Value: []byte("2")}, {Kind: get, Key: a},
		{Kind: client.OpDelete, Key: a}, {Kind: get, Key: a}, {Kind: get}, {Kind: get, Key: strings.Repeat("k", 5000)},
		{Kind: client.OpPut, Key: a, TTL: 1e9, If: client.IfMatch("1")},
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

// What each condition does to a put and to a delete of a key that has a value and of one that has
// none, alone and in a batch.
func TestConditionsAtRealNodes(t *testing.T) {
	nodes := testcluster.Start(t, testcluster.Options{Nodes: 3})
	c, err := client.New(client.Options{Addrs: []string{nodes.Name(0)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx := context.Background()
	const (
		done    = "done"
		failed  = "failed"
		refused = "refused"
	)
	outcome := func(err error) string {
		switch {
		case err == nil:
			return done
		case errors.Is(err, client.ErrConditionFailed):
			return failed
		}
		return refused
	}
	for _, tc := range []struct {
		name            string
		cond            client.Condition
		kind            client.OpKind
		present, absent string
	}{
		{`IfMatch("*")`, client.IfMatch("*"), client.OpPut, done, failed},
		{`IfMatch("*")`, client.IfMatch("*"), client.OpDelete, done, failed},
		{"IfAbsent", client.IfAbsent(), client.OpPut, failed, done},
		{"IfAbsent", client.IfAbsent(), client.OpDelete, refused, refused},
		{"IfMatch of another version", client.IfMatch(`"1"`), client.OpPut, failed, failed},
		{"IfMatch of another version", client.IfMatch(`"1"`), client.OpDelete, failed, failed},
		{"IfMatch without quotes", client.IfMatch("1"), client.OpPut, refused, refused},
		{"none", client.Condition{}, client.OpPut, done, done},
		{"none", client.Condition{}, client.OpDelete, done, done},
	} {
		alone := func(key string) (err error) {
			if tc.kind == client.OpPut {
				_, err = c.Put(ctx, key, []byte("new"), &client.PutOptions{If: tc.cond})
				return err
			}
			return c.Delete(ctx, key, &client.DeleteOptions{If: tc.cond})
		}
		batch := func(key string) error {
			op := client.Op{Kind: tc.kind, Key: key, If: tc.cond}
			if tc.kind == client.OpPut {
				op.Value = []byte("new")
			}
			return c.Batch(ctx, []client.Op{op}, nil)[0].Err
		}
		for how, write := range map[string]func(string) error{"alone": alone, "in a batch": batch} {
			for before, want := range map[string]string{"old": tc.present, "": tc.absent} {
				const key = "k"
				if _, err := c.Put(ctx, key, []byte(before), nil); err != nil {
					t.Fatal(err)
				}
				if before == "" {
					if err := c.Delete(ctx, key, nil); err != nil {
						t.Fatal(err)
					}
				}
				after := before
				switch {
				case want != done:
				case tc.kind == client.OpPut:
					after = "new"
				default:
					after = ""
				}
				err := write(key)
				value, _ := c.Get(ctx, key, nil)
				if got := outcome(err); got != want || string(value.Data) != after {
					t.Errorf("%s, kind %d, %s, of %q: %s (%v) and the value %q; want %s and %q",
						tc.name, tc.kind, how, before, got, err, value.Data, want, after)
				}
			}
		}
	}
}

// A value is stored as it is, whatever its type and however it is written. The types of forms, of
// which a node would decode it, are not kept.
func TestFormsAreStoredAsTheyAre(t *testing.T) {
	c := dial()
	defer c.Close()
	value := []byte("value=a%20b&c=d")
	for _, form := range []string{"application/x-www-form-urlencoded", "APPLICATION/X-WWW-Form-Urlencoded; charset=utf-8", "multipart/form-data; boundary=x"} {
		_, err := c.Put(ctx, "form/put", value, &client.PutOptions{ContentType: form})
		if err != nil {
			t.Errorf("%s: %v", form, err)
		}
		op := client.Op{Kind: client.OpPut, Key: "form/batch", Value: value, ContentType: form}
		if r := c.Batch(ctx, []client.Op{op}, nil)[0]; r.Err != nil {
			t.Errorf("%s in a batch: %v", form, r.Err)
		}
		_, err = c.NewLoader(nil).Load(ctx, func(yield func(client.Record, error) bool) {
			yield(client.Record{Key: "form/load", Value: value, ContentType: form}, nil)
		})
		if err != nil {
			t.Errorf("%s in a load: %v", form, err)
		}
		for _, key := range []string{"form/put", "form/batch", "form/load"} {
			got, err := c.Get(ctx, key, nil)
			if err != nil || string(got.Data) != string(value) || got.ContentType != "application/octet-stream" {
				t.Errorf("%s: %s is %q of type %s, %v", form, key, got.Data, got.ContentType, err)
			}
			if err := c.Delete(ctx, key, nil); err != nil {
				t.Error(err)
			}
		}
	}
}
