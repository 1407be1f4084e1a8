package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"httpdhs/client"
)

// recoverCmd has a node go on without those that are down for good.
type recoverCmd struct {
	Node       string `arg:"" optional:"" help:"The node to ask, host:port; else the first of --to."`
	AcceptLoss bool   `help:"Do it: what the nodes that are down alone have is lost."`
	clientFlags
}

// Help is what "httpdhs recover --help" says in addition.
func (recoverCmd) Help() string {
	return "For after all nodes were down, where some of them do not come back. The node stops waiting for these, and takes them off the ring. " +
		"Without --accept-loss it does nothing, and says what it would do."
}

func (cmd *recoverCmd) Run(ctx context.Context, term *terminal) error {
	flags := cmd.clientFlags
	if cmd.Node != "" {
		if _, _, err := splitHostPort(cmd.Node); err != nil {
			return usagef("%w, the name of a node as httpdhs status has it", err)
		}
		flags = flags.to([]string{cmd.Node})
	}
	c, err := flags.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	doc, err := c.Recover(ctx, cmd.AcceptLoss)
	if errors.Is(err, client.ErrOutcomeUnknown) {
		return fmt.Errorf("%w; to ask again does no harm", err)
	} else if err != nil {
		return err
	}
	if doc.Released {
		fmt.Fprintf(term.out, "%s goes on with what it holds\n", doc.Node)
	}
	for _, name := range doc.Removed {
		fmt.Fprintf(term.out, "%s is removed\n", name)
	}
	for _, name := range doc.Starting {
		fmt.Fprintf(term.out, "%s is starting, and is left alone\n", name)
	}
	if len(doc.Undecided) > 0 {
		return fmt.Errorf("it is not known yet whether these are down: %s; run this again", strings.Join(doc.Undecided, ", "))
	}
	if !doc.Released && len(doc.Removed)+len(doc.Starting) == 0 {
		fmt.Fprintln(term.out, "no member is down: nothing is given up")
	}
	return nil
}
