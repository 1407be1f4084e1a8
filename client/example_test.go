package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"httpdhs/client"
)

// ctx is the context of the examples. A program has better ones, such as that of its request.
var ctx = context.Background()

// dial makes the client of the examples. nodes are the addresses of a cluster, such as
// localhost:1234.
func dial() *client.Client {
	c, err := client.New(client.Options{Addrs: nodes()})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// Put a value, get it back, and delete it.
func Example() {
	c, err := client.New(client.Options{Addrs: nodes()}) // such as localhost:1234
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	written, err := c.Put(ctx, "greeting", []byte("hello"), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("stored on %d of %d replicas\n", written.Acks, written.Replicas)

	value, err := c.Get(ctx, "greeting", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", value.Data)

	if err := c.Delete(ctx, "greeting", nil); err != nil {
		log.Fatal(err)
	}
	_, err = c.Get(ctx, "greeting", nil)
	fmt.Println("deleted:", errors.Is(err, client.ErrNotFound))
	// Output:
	// stored on 2 of 2 replicas
	// hello
	// deleted: true
}

// Nodes with TLS, an authority of their own and a token.
func ExampleNew_tls() {
	ca, err := os.ReadFile("/etc/httpdhs/ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	token, err := os.ReadFile("/etc/httpdhs/token")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		log.Fatal("no certificate in ca.crt")
	}
	c, err := client.New(client.Options{
		Addrs: []string{"https://node1.example.org:1234", "https://node2.example.org:1234"},
		Token: string(token),
		TLS:   &tls.Config{RootCAs: roots},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}

// A counter that loses no increment: write under the condition that nobody was faster, and start
// over if somebody was.
func ExampleIfMatch() {
	c := dial()
	defer c.Close()

	increment := func(key string) (int, error) {
		for {
			n, cond := 0, client.IfAbsent()
			value, err := c.Get(ctx, key, nil)
			switch {
			case err == nil:
				if n, err = strconv.Atoi(string(value.Data)); err != nil {
					return 0, err
				}
				cond = client.IfMatch(value.ETag)
			case !errors.Is(err, client.ErrNotFound):
				return 0, err
			}
			n++
			_, err = c.Put(ctx, key, []byte(strconv.Itoa(n)), &client.PutOptions{If: cond})
			if !errors.Is(err, client.ErrConditionFailed) {
				return n, err
			}
		}
	}
	for range 3 {
		n, err := increment("visits")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 2
	// 3
}

// Of all who create the same key, one succeeds.
func ExampleIfAbsent() {
	c := dial()
	defer c.Close()

	for _, name := range []string{"ada", "bob"} {
		_, err := c.Put(ctx, "leader", []byte(name), &client.PutOptions{If: client.IfAbsent()})
		switch {
		case err == nil:
			fmt.Println(name, "leads")
		case errors.Is(err, client.ErrConditionFailed):
			fmt.Println(name, "follows")
		default:
			log.Fatal(err)
		}
	}
	// Output:
	// ada leads
	// bob follows
}

// A session that expires, with the type of its value.
func ExampleClient_Put_ttl() {
	c := dial()
	defer c.Close()

	_, err := c.Put(ctx, "session/42", []byte(`{"user":"ada"}`), &client.PutOptions{
		TTL:         30 * time.Minute,
		ContentType: "application/json",
	})
	if err != nil {
		log.Fatal(err)
	}
	session, err := c.Get(ctx, "session/42", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.ContentType, "for", time.Until(session.Expires).Round(time.Minute))
	// Output:
	// application/json for 30m0s
}

// A write that has to outlive the loss of any replica but one, and its errors.
func ExampleClient_Put_errors() {
	c := dial()
	defer c.Close()

	_, err := c.Put(ctx, "order/7", []byte("paid"), &client.PutOptions{W: client.LevelAll})
	switch {
	case err == nil:
		fmt.Println("stored on all replicas")
	case errors.Is(err, client.ErrOutcomeUnknown): // first: other errors may match, too
		fmt.Println("it may be stored: read it, or write it again")
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("it is not stored: try again later")
	default:
		fmt.Println("it is not stored:", err)
	}
	// Output:
	// stored on all replicas
}

// The keys with a prefix, and their values.
func ExampleClient_Keys() {
	c := dial()
	defer c.Close()

	for _, name := range []string{"ada", "bob", "cyd"} {
		if _, err := c.Put(ctx, "user/"+name, []byte("active"), nil); err != nil {
			log.Fatal(err)
		}
	}
	users := make(map[string]string)
	for item, err := range c.Keys(ctx, &client.KeysOptions{Prefix: "user/", Values: true}) {
		if err != nil {
			log.Fatal(err)
		}
		users[item.Key] = string(item.Value.Data)
	}
	for _, key := range slices.Sorted(maps.Keys(users)) {
		fmt.Println(key, users[key])
	}
	// Output:
	// user/ada active
	// user/bob active
	// user/cyd active
}

// The values of many keys. One that does not exist is not in the map.
func ExampleClient_GetMany() {
	c := dial()
	defer c.Close()

	for _, key := range []string{"color/sky", "color/grass"} {
		if _, err := c.Put(ctx, key, []byte(strings.TrimPrefix(key, "color/")), nil); err != nil {
			log.Fatal(err)
		}
	}
	values, err := c.GetMany(ctx, []string{"color/sky", "color/grass", "color/none"}, nil)
	var unread *client.GetManyError
	if errors.As(err, &unread) {
		log.Fatal("these were not read, and may have values: ", slices.Collect(maps.Keys(unread.Failed)))
	}
	sky, found := values["color/sky"]
	fmt.Println(len(values), found, string(sky.Data))
	// Output:
	// 2 true sky
}

// Many operations in few requests. Each has a result of its own.
func ExampleClient_Batch() {
	c := dial()
	defer c.Close()

	results := c.Batch(ctx, []client.Op{
		{Kind: client.OpPut, Key: "fruit", Value: []byte("apple"), TTL: time.Hour},
		{Kind: client.OpPut, Key: "fruit", Value: []byte("pear"), If: client.IfAbsent()},
		{Kind: client.OpGet, Key: "fruit"},
		{Kind: client.OpDelete, Key: "fruit"},
		{Kind: client.OpGet, Key: "fruit"},
	}, &client.BatchOptions{W: client.LevelQuorum})
	for i, r := range results {
		switch {
		case errors.Is(r.Err, client.ErrNotFound):
			fmt.Println(i, "no such key")
		case errors.Is(r.Err, client.ErrConditionFailed):
			fmt.Println(i, "it is there already")
		case r.Err != nil:
			log.Fatal(r.Err)
		default:
			fmt.Printf("%d done %q\n", i, r.Value.Data)
		}
	}
	// Output:
	// 0 done ""
	// 1 it is there already
	// 2 done "apple"
	// 3 done ""
	// 4 no such key
}

// A map is loaded in a few requests.
func ExampleLoader_Load() {
	c := dial()
	defer c.Close()

	capitals := map[string][]byte{"capital/no": []byte("Oslo"), "capital/pe": []byte("Lima")}
	report, err := c.NewLoader(nil).Load(ctx, client.Pairs(maps.All(capitals)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Loaded, "loaded")
	// Output:
	// 2 loaded
}

// A file of any length is loaded in bounded memory. A line that is no record stops no other.
func ExampleReadRecords() {
	c := dial()
	defer c.Close()

	file := strings.NewReader("zip/0150\tOslo\nzip/5003 Bergen\nzip/9008\tTromsø\n")
	loader := c.NewLoader(&client.LoadOptions{TTL: 24 * time.Hour})
	report, err := loader.Load(ctx, client.ReadRecords(file, client.TSV, nil))
	if err != nil && !errors.Is(err, client.ErrIncomplete) {
		log.Fatal(err)
	}
	fmt.Println(report.Loaded, "loaded,", report.Failed, "failed")
	for _, e := range report.Errors {
		fmt.Println(e)
	}
	// Output:
	// 2 loaded, 1 failed
	// line 2: no tab between key and value
}
