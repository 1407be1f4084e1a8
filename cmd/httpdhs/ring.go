package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// ringCmd shows who owns what.
type ringCmd struct {
	Key raw `arg:"" optional:"" help:"Show where this key lives instead."`
	outputFlags
	clientFlags
}

func (cmd *ringCmd) Run(ctx context.Context, term *terminal) error {
	c, err := cmd.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if cmd.Key != "" {
		doc, err := c.Locate(ctx, string(cmd.Key))
		if err != nil {
			return err
		}
		if len(doc.Owners) == 0 {
			return errNoCluster
		}
		if cmd.Output == "json" {
			return printJSON(term.out, doc)
		}
		return printKey(term.out, string(cmd.Key), doc)
	}
	doc, err := c.Ring(ctx)
	if err != nil {
		return err
	}
	if len(doc.Nodes) == 0 {
		return errNoCluster
	}
	if cmd.Output == "json" {
		return printJSON(term.out, doc)
	}
	cluster, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	return printRing(term.out, doc, cluster)
}

// errNoCluster is of a node that knows no ring: it waits for one that it is to join.
var errNoCluster = fmt.Errorf("%w; httpdhs status says why, or ask another node", kv.ErrNoCluster)

// printRing counts the partitions of each node. While the ring changes, it also says who is to own
// how many.
func printRing(out io.Writer, doc *api.Ring, cluster *api.Cluster) error {
	primaries, replicas, copies := make([]int, len(doc.Nodes)), make([]int, len(doc.Nodes)), 0
	for _, owners := range doc.Owners {
		for i, o := range owners {
			if copies++; i == 0 {
				primaries[o]++
			} else {
				replicas[o]++
			}
		}
	}
	fmt.Fprintf(out, "ring %s: %s by %s, %s\n", doc.Fingerprint, counted(doc.Partitions, "partition"), doc.Partitioner, counted(doc.Replicas, "replica"))
	changing := cluster.Target != ""
	next := make(map[string]int)
	nodes := doc.Nodes
	if changing {
		fmt.Fprintf(out, "it is changing to %s: httpdhs status says how far that is\n", cluster.Target)
		for _, n := range cluster.Nodes {
			next[n.Name] = n.TargetPartitions
			if !slices.ContainsFunc(nodes, func(on api.RingNode) bool { return on.Name == n.Name }) {
				nodes = append(nodes, api.RingNode{Name: n.Name, Zone: n.Zone, Weight: n.Weight})
				primaries, replicas = append(primaries, 0), append(replicas, 0)
			}
		}
	}
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tZONE\tWEIGHT\tPRIMARY\tREPLICA\tSHARE"+only(changing, "\tNEXT"))
	for i, n := range nodes {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s", n.Name, orDash(n.Zone), n.Weight,
			primaries[i], replicas[i], share(primaries[i]+replicas[i], copies))
		fmt.Fprintln(t, only(changing, fmt.Sprintf("\t%d", next[n.Name])))
	}
	return t.Flush()
}

// printKey shows what each owner holds, the primary first.
func printKey(out io.Writer, key string, doc *api.Key) error {
	fmt.Fprintf(out, "%s is in partition %d (hash %s)\n\n", printable(key), doc.Partition, doc.Hash)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OWNER\tROLE\tSTATE\tHOLDS\tVERSION\tMODIFIED")
	for i, o := range doc.Owners {
		role := "replica"
		if i == 0 {
			role = "primary"
		}
		modified := "-"
		if o.Modified != nil {
			modified = o.Modified.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", o.Node, role, o.State, holds(&o), orDash(o.Version), modified)
	}
	return t.Flush()
}

// holds says in a word what an owner has.
func holds(o *api.KeyOwner) string {
	switch {
	case o.Error != "":
		return "unknown: " + oneLine(fmt.Errorf("%s", o.Error))
	case o.Tombstone:
		return "a delete"
	case !o.Found:
		return "nothing"
	case o.Expires != nil:
		return fmt.Sprintf("%s until %s", humanBytes(int64(o.Size)), o.Expires.Local().Format(time.DateTime))
	}
	return humanBytes(int64(o.Size))
}
