package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

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
	value, err := c.Get(ctx, string(cmd.Key), &client.GetOptions{R: client.Level(cmd.R)})
	if err != nil {
		return fmt.Errorf("%s: %w", printable(string(cmd.Key)), err)
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
	_, err = c.Put(ctx, string(cmd.Key), value, &client.PutOptions{
		W: client.Level(cmd.W), TTL: time.Duration(cmd.TTL), ContentType: cmd.ContentType,
	})
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
	return c.Delete(ctx, string(cmd.Key), &client.DeleteOptions{W: client.Level(cmd.W)})
}

// keysCmd lists keys, each on one line, as printable writes it.
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
	for item, err := range c.Keys(ctx, &client.KeysOptions{Prefix: string(cmd.Prefix)}) {
		if err != nil {
			_ = out.Flush() // what is known is worth having; err is what matters
			return err
		}
		if _, err := fmt.Fprintln(out, printable(item.Key)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// printable is a key as it is written in a line of text: as it is if it is UTF-8 without control
// characters and does not begin with a quote, else as a quoted Go string. So what begins with a
// quote is always quoted, and every line can be read back.
func printable(key string) string {
	plain := utf8.ValidString(key) && key != "" && key[0] != '"'
	for _, r := range key {
		plain = plain && strconv.IsPrint(r)
	}
	if plain {
		return key
	}
	return strconv.Quote(key)
}
