package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"httpdhs/api"
	"httpdhs/client"
)

// safeCmd says whether nodes can be stopped now.
type safeCmd struct {
	Nodes  []string `arg:"" optional:"" name:"node" help:"The nodes that are to be stopped at once, host:port, as httpdhs status has them. Without any, the first of --to."`
	Quorum bool     `help:"It is not safe either if a key loses the quorum of replicas that it has. With two replicas each stop does that."`
	Wait   patience `placeholder:"5m" meant:"m" help:"Wait until it is safe, so long at most; without a value, 5m."`
	outputFlags
	clientFlags
}

// Help is what "httpdhs safe-to-stop --help" says in addition.
func (safeCmd) Help() string {
	return "The exit status is 0 if no key loses its last copy that is up and in sync, and 1 if one would, or if that is not known; then it says what to wait for. " +
		"It tells of this moment and reserves nothing: let one operator stop nodes at a time.\n\n" +
		"httpdhs safe-to-stop --wait NODE && systemctl restart httpdhs"
}

const (
	patienceUsual = 5 * time.Minute
	safePoll      = time.Second
)

// patience is how long to wait; 0: not at all. Given without a value it is patienceUsual.
type patience time.Duration

// IsBool implements kong.BoolMapperValue: the flag needs no value.
func (*patience) IsBool() bool { return true }

// Decode implements kong.MapperValue.
func (p *patience) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Peek()
	if next.Type != kong.FlagValueToken {
		*p = patience(patienceUsual)
		return nil
	}
	if yes, err := strconv.ParseBool(fmt.Sprint(next.Value)); err == nil { // HTTPDHS_WAIT of leave
		ctx.Scan.Pop()
		if *p = 0; yes {
			*p = patience(patienceUsual)
		}
		return nil
	}
	var d time.Duration
	err := decodeDuration(ctx, reflect.ValueOf(&d).Elem())
	*p = patience(d)
	return err
}

func (cmd *safeCmd) Validate() error {
	for i, name := range cmd.Nodes {
		if _, err := time.ParseDuration(name); err == nil {
			return fmt.Errorf("%q is no node: a time is written behind its flag, --wait=%s", name, name)
		}
		cmd.Nodes[i] = strings.ToLower(name)
		if _, _, err := splitHostPort(name); err != nil {
			return fmt.Errorf("%w, the name of a node as httpdhs status has it", err)
		}
	}
	return nil
}

func (cmd *safeCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	doc, err := cmd.await(ctx, c, term.err)
	if err != nil {
		return err
	}
	if cmd.Output == "json" {
		if err := printJSON(term.out, doc); err != nil {
			return err
		}
	} else if doc.Safe {
		fmt.Fprintf(term.out, "safe to stop %s: %s\n", strings.Join(doc.Nodes, ", "), doc.Reason)
	}
	if !doc.Safe {
		return fmt.Errorf("not safe to stop %s: %s", strings.Join(doc.Nodes, ", "), doc.Reason)
	}
	return nil
}

// await asks until it is safe, or there is no time left. What it waits for goes to told, whenever
// that is something else.
func (cmd *safeCmd) await(ctx context.Context, c *client.Client, told io.Writer) (*api.SafeToStop, error) {
	end, last := time.Now().Add(time.Duration(cmd.Wait)), ""
	for {
		doc, err := c.SafeToStop(ctx, cmd.Nodes, cmd.Quorum)
		if err == nil && doc.Safe || time.Now().Add(safePoll).After(end) || err != nil && !errors.Is(err, client.ErrUnavailable) {
			return doc, err
		}
		waits := err
		if err == nil {
			waits = errors.New(doc.Reason)
		}
		if reason := oneLine(waits); reason != last {
			fmt.Fprintf(told, "httpdhs: waiting: %s\n", reason)
			last = reason
		}
		select {
		case <-time.After(safePoll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
