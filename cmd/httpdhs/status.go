package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"httpdhs/client"
	"httpdhs/internal/api"
)

// statusCmd shows the nodes.
type statusCmd struct {
	outputFlags
	clientFlags
}

func (cmd *statusCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	doc, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	if cmd.Output == "json" {
		return printJSON(term.out, doc)
	}
	return printStatus(term.out, doc, time.Now())
}

func printStatus(out io.Writer, doc *client.Cluster, now time.Time) error {
	copies := 0
	for _, n := range doc.Nodes {
		copies += n.PrimaryPartitions + n.ReplicaPartitions
	}
	fmt.Fprintf(out, "%d nodes, %d replicas, %d partitions by %s, ring %s, as %s sees it\n\n",
		len(doc.Nodes), doc.Replicas, doc.Partitions, doc.Partitioner, doc.Ring, doc.Node)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tKEYS\tBYTES\tSHARE\tVERSION\tUP SINCE")
	for _, n := range doc.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", n.Name, n.State, n.Keys, humanBytes(n.Bytes),
			share(n.PrimaryPartitions+n.ReplicaPartitions, copies), orDash(n.Version), upSince(&n, now))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range doc.Nodes {
		if n.Reason != "" {
			fmt.Fprintf(out, "\n%s is %s: %s\n", n.Name, n.State, n.Reason)
		}
	}
	return nil
}

// upSince is the start of a node that runs, and how long ago that was.
func upSince(n *client.Node, now time.Time) string {
	if n.Started.IsZero() || n.State == api.StateDown {
		return "-"
	}
	up := now.Sub(n.Started).Round(time.Second)
	return fmt.Sprintf("%s (%s)", n.Started.Local().Format(time.DateTime), max(up, 0))
}

// share is part of whole in percent.
func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
