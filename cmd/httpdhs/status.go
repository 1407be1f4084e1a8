package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"httpdhs/api"
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

func printStatus(out io.Writer, doc *api.Cluster, now time.Time) error {
	copies, next := 0, 0
	for _, n := range doc.Nodes {
		copies += n.PrimaryPartitions + n.ReplicaPartitions
		next += n.TargetPartitions
	}
	fmt.Fprintf(out, "%s, %s, %s by %s, ring %s, as %s sees it\n",
		counted(len(doc.Nodes), "node"), counted(doc.Replicas, "replica"), counted(doc.Partitions, "partition"), doc.Partitioner, orDash(doc.Ring), doc.Node)
	changing := doc.Target != ""
	if changing {
		fmt.Fprintf(out, "the ring is changing to %s\n", doc.Target)
	}
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tKEYS\tBYTES\tMEMORY\tSHARE\t"+only(changing, "NEXT\t")+"VERSION\tUP SINCE")
	for _, n := range doc.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s%s\t%s\n", n.Name, n.State, n.Keys, humanBytes(n.Bytes), memoryText(&n.Memory),
			share(n.PrimaryPartitions+n.ReplicaPartitions, copies), only(changing, share(n.TargetPartitions, next)+"\t"),
			orDash(n.Version), upSince(&n, now))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range doc.Nodes {
		if n.Reason != "" {
			fmt.Fprintf(out, "\n%s is %s%s: %s\n", n.Name, n.State, since(n.DownSince), n.Reason)
		}
	}
	printMoves(out, doc)
	return nil
}

// printMoves says what is on its way from node to node.
func printMoves(out io.Writer, doc *api.Cluster) {
	before := "\n"
	for _, n := range doc.Nodes {
		if n.State == api.StateDown {
			continue // what it last said is no longer so
		}
		if n.Moving != nil {
			fmt.Fprintf(out, "%s%s fetches %s\n", before, n.Name, movingText(n.Moving))
			before = ""
		}
		if n.HandOver > 0 {
			fmt.Fprintf(out, "%s%s has %s to hand over\n", before, n.Name, counted(n.HandOver, "partition"))
			before = ""
			printWaits(out, doc, &n)
		}
	}
}

// printWaits says which nodes a leaving node waits for with what it has to hand over.
func printWaits(out io.Writer, doc *api.Cluster, leaving *api.Node) {
	for _, n := range doc.Nodes {
		if leaving.State == api.StateLeaving && n.State == api.StateDown {
			fmt.Fprintf(out, "%s %s\n", leaving.Name, waitsFor(&n))
		}
	}
}

// movingText says how far a node is with what it fetches. There is more to say once something has
// been fetched.
func movingText(m *api.Moving) string {
	text := fmt.Sprintf("%d of %s", m.Done, counted(m.Partitions, "partition"))
	if m.Done == 0 {
		return text
	}
	text += fmt.Sprintf(": %s done, %s to go", humanBytes(m.Bytes), humanBytes(m.BytesLeft))
	if m.Rate > 0 {
		left := time.Duration(m.SecondsLeft * float64(time.Second))
		text += fmt.Sprintf(" at %s/s, %s left", humanBytes(int64(m.Rate)), left.Round(time.Second))
	}
	return text
}

// memoryText is the memory that a node's store takes, of what it may take.
func memoryText(m *api.Memory) string {
	if m.Max == 0 {
		return humanBytes(m.Used)
	}
	scale, unit := unitOf(m.Max)
	return fmt.Sprintf("%.1f/%.1f %s", float64(m.Used)/scale, float64(m.Max)/scale, unit)
}

// only is s if yes.
func only(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

// upSince is the start of a node that runs, and how long ago that was.
func upSince(n *api.Node, now time.Time) string {
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
