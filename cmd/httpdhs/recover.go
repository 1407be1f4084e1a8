package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"httpdhs/client"
)

// recoverCmd has a node go on without those that are down for good.
type recoverCmd struct {
	Node       string `arg:"" optional:"" help:"The node to ask, host:port. Without it, the first of --to is asked."`
	AcceptLoss bool   `help:"Do it. What the nodes that are down alone have is lost."`
	DryRun     bool   `help:"Change nothing, and say what --accept-loss would do."`
	clientFlags
}

// Help is what "httpdhs recover --help" says in addition.
func (recoverCmd) Help() string {
	return "For nodes with --data-dir that wait for others which do not come back, as after all nodes were down. Also where keys answer 503 because no owner that is up has all writes.\n\n" +
		"The node that is asked goes on with what it holds, and takes the members that are down off the ring. What these alone have is lost. One that is back later joins again."
}

var errLossNotAccepted = &usageError{errors.New("nothing was done: recover goes on without the nodes that are down, and what these alone have is lost; " +
	"to do that say --accept-loss, and to see which these are --dry-run")}

func (cmd *recoverCmd) Run(ctx context.Context, term *terminal) error {
	switch {
	case cmd.AcceptLoss && cmd.DryRun:
		return usagef("--accept-loss and --dry-run are both given: give one of them")
	case !cmd.AcceptLoss && !cmd.DryRun:
		return errLossNotAccepted
	}
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
	if cmd.DryRun {
		return tryRecover(ctx, c, term)
	}
	doc, err := c.Recover(ctx, true)
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

// tryRecover prints what the node would do. It says so in an error, and in the words of HTTP.
func tryRecover(ctx context.Context, c *client.Client, term *terminal) error {
	_, err := c.Recover(ctx, false)
	var status *client.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusBadRequest {
		return err
	}
	fmt.Fprintln(term.out, strings.ReplaceAll(status.Message, "?accept_loss=true", "--accept-loss"))
	return nil
}
