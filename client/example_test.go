package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"httpdhs/client"
)

func Example() {
	c, err := client.New(client.Options{Addrs: []string{"localhost:1234", "localhost:1235"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	written, err := c.Put(ctx, []byte("greeting"), []byte("hello"), &client.WriteOptions{TTL: 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored on", written.Acks, "replicas")

	value, err := c.Get(ctx, []byte("greeting"), nil)
	switch {
	case errors.Is(err, client.ErrNotFound):
		fmt.Println("there is none")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Printf("%s, version %s\n", value.Data, value.ETag)
	}
}

// Many operations in few requests: each has a result of its own.
func ExampleClient_Batch() {
	c, err := client.New(client.Options{Addrs: []string{"localhost:1234"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	results := c.Batch(context.Background(), []client.Op{
		{Kind: client.OpPut, Key: []byte("a"), Value: []byte("1"), TTL: time.Hour},
		{Kind: client.OpDelete, Key: []byte("b")},
		{Kind: client.OpGet, Key: []byte("c")},
	}, &client.BatchOptions{W: "quorum"})
	for i, r := range results {
		switch {
		case errors.Is(r.Err, client.ErrNotFound):
			fmt.Println(i, "there is none")
		case r.Err != nil:
			fmt.Println(i, r.Err)
		default:
			fmt.Printf("%d %s %s\n", i, r.Written.Acks, r.Value.Data)
		}
	}
}

// The values of many keys.
func ExampleClient_GetMany() {
	c, err := client.New(client.Options{Addrs: []string{"localhost:1234"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	keys := [][]byte{[]byte("a"), []byte("b")}
	values, err := c.GetMany(context.Background(), keys, nil)
	if err != nil {
		log.Fatal(err)
	}
	for i, v := range values {
		if v == nil {
			fmt.Printf("%s: there is none\n", keys[i])
			continue
		}
		fmt.Printf("%s: %s (%s)\n", keys[i], v.Data, v.ContentType)
	}
}
