package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"httpdhs/client"
)

// getCmd prints a value as it is: nothing is added, so that it can be piped. On a terminal the last
// line is ended, for the prompt to begin on its own.
type getCmd struct {
	Key raw    `arg:"" help:"The key."`
	R   string `placeholder:"LEVEL" help:"Replicas that have to answer: one, quorum, all or a number."`
	clientFlags
}

func (cmd *getCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	value, err := c.Get(ctx, []byte(cmd.Key), &client.GetOptions{R: cmd.R})
	if err != nil {
		return fmt.Errorf("%s: %w", client.AppendPrintable(nil, []byte(cmd.Key)), err)
	}
	if n := len(value.Data); isTerminal(term.out) && n > 0 && value.Data[n-1] != '\n' {
		value.Data = append(value.Data, '\n')
	}
	_, err = term.out.Write(value.Data)
	return err
}

// putCmd stores a value.
type putCmd struct {
	Key         raw    `arg:"" help:"The key."`
	Value       raw    `arg:"" help:"The value, or - to read it from standard input."`
	TTL         ttl    `name:"ttl" help:"How long to keep it: 90s, 12h, 7d, 2w or whole seconds; 0 is for ever."`
	W           string `placeholder:"LEVEL" help:"Replicas that have to store it: one, quorum, all, live or a number."`
	ContentType string `placeholder:"TYPE" help:"Media type to give back with the value."`
	clientFlags
}

func (cmd *putCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	value := []byte(cmd.Value)
	if cmd.Value == "-" {
		if value, err = io.ReadAll(term.in); err != nil {
			return fmt.Errorf("cannot read standard input: %w", err)
		}
	}
	_, err = c.Put(ctx, []byte(cmd.Key), value, &client.WriteOptions{W: cmd.W, TTL: time.Duration(cmd.TTL), ContentType: cmd.ContentType})
	return err
}

// delCmd deletes a key. It is no error when there was none.
type delCmd struct {
	Key raw    `arg:"" help:"The key."`
	W   string `placeholder:"LEVEL" help:"Replicas that have to store the delete: one, quorum, all, live or a number."`
	clientFlags
}

func (cmd *delCmd) Run(ctx context.Context) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Delete(ctx, []byte(cmd.Key), &client.WriteOptions{W: cmd.W})
}

// keysCmd lists keys. One that is not printable is quoted as in Go, so that
// a key is a line whatever is in it.
type keysCmd struct {
	Prefix raw `arg:"" optional:"" help:"Only keys that begin with this."`
	clientFlags
}

func (cmd *keysCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	out := bufio.NewWriter(term.out)
	var line []byte
	for item, err := range c.Keys(ctx, &client.KeysOptions{Prefix: []byte(cmd.Prefix)}) {
		if err != nil {
			_ = out.Flush() // what is known is worth having; err is what matters
			return err
		}
		line = append(client.AppendPrintable(line[:0], item.Key), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}
