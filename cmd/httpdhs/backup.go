package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"httpdhs/api"
	"httpdhs/backup"
	"httpdhs/client"
)

// backupCmd makes a backup of all nodes.
type backupCmd struct {
	To       string   `required:"" env:"HTTPDHS_BACKUP_TO" placeholder:"DIR|FILE" help:"What to write: a directory, or a file whose name ends in .tar or .tar.zst. It must not be there yet."`
	NodeAddr []string `default:"localhost:1234" env:"HTTPDHS_TO" help:"Any node of the cluster, or several. It is asked which nodes there are, and all of these are backed up."`
	Partial  bool     `help:"Go on without nodes that cannot be backed up, and say which. Keys may be missing then."`
	connFlags
}

// Help is what "httpdhs backup --help" says in addition.
func (backupCmd) Help() string {
	return "For nodes with --data-dir. They are asked one after the other, and of each there is all that it had acknowledged by then. What was written is read again before the backup gets its name.\n\n" +
		"A backup has a directory for each node, which can be its --data-dir. httpdhs check looks through a backup, and httpdhs restore puts it into a cluster of any size."
}

func (cmd *backupCmd) Validate() error {
	name := filepath.Base(cmd.To)
	for _, ending := range []string{".gz", ".tgz", ".zip", ".zst", ".bz2", ".xz"} {
		if strings.HasSuffix(name, ending) && !backup.IsFile(name) {
			return fmt.Errorf("--to is %s: a file ends in .tar or .tar.zst", cmd.To)
		}
	}
	return nil
}

func (cmd *backupCmd) Run(ctx context.Context, term *terminal) (err error) {
	flags := clientFlags{To: cmd.NodeAddr, connFlags: cmd.connFlags}
	c, err := cmd.connectTo("--node-addr", cmd.NodeAddr)
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	w, err := backup.Create(cmd.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Discard()) }()
	start := time.Now()
	watch := startProgress(term.err, bytesOf(before), func() (int64, string) {
		return w.Written(), humanBytes(w.Written())
	})
	made := backupRun{cmd: cmd, flags: &flags, w: w}
	err = made.nodes(ctx, before)
	if err == nil {
		err = made.stayed(ctx, c, before)
	}
	if err == nil {
		err = made.finish(ctx)
	}
	watch.stop()
	if err != nil {
		return err
	}
	for _, m := range made.missing {
		fmt.Fprintf(term.err, "without %s: %s\n", m.Node, m.Why)
	}
	for _, n := range made.written {
		fmt.Fprintln(term.out, n)
	}
	fmt.Fprintf(term.out, "wrote %s, %s, to %s in %s\n", counted(len(made.written), "node"), humanBytes(made.bytes), cmd.To, time.Since(start).Round(time.Millisecond))
	return nil
}

// bytesOf is about what the nodes hold, for the bar.
func bytesOf(doc *api.Cluster) (sum int64) {
	for _, n := range doc.Nodes {
		sum += n.Memory.Live
	}
	return sum
}

// backupRun is a backup that is being made.
type backupRun struct {
	cmd     *backupCmd
	flags   *clientFlags
	w       *backup.Writer
	added   []string // names of nodes
	missing []backup.Missing
	written []string // lines that say what was written
	bytes   int64
}

// nodes adds all nodes, one after the other.
func (b *backupRun) nodes(ctx context.Context, doc *api.Cluster) error {
	if len(doc.Nodes) == 0 {
		return fmt.Errorf("%s is part of no cluster", doc.Node)
	}
	for i := range doc.Nodes {
		n := &doc.Nodes[i]
		if err := b.node(ctx, n); err != nil {
			if err := b.lacks(ctx, n.Name, err); err != nil {
				return err
			}
			continue
		}
		b.added = append(b.added, n.Name)
		if n.State != api.StateActive {
			if err := b.lacks(ctx, n.Name, fmt.Errorf("it is %s, and may not hold all of its share", n.State)); err != nil {
				return err
			}
		}
	}
	if len(b.added) == 0 {
		return fmt.Errorf("no node can be backed up: %s: %s", b.missing[0].Node, b.missing[0].Why)
	}
	return nil
}

// node adds a node.
func (b *backupRun) node(ctx context.Context, n *api.Node) error {
	if n.State == api.StateDown {
		return errors.New("it is down")
	}
	c, err := b.flags.at([]string{n.Name})
	if err != nil {
		return err
	}
	defer c.Close()
	body, err := c.Backup(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = b.w.Add(n.Name, body)
	return err
}

// lacks notes what the backup lacks, if that is no reason to give it up.
func (b *backupRun) lacks(ctx context.Context, node string, why error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var status *client.StatusError
	switch {
	case errors.As(why, &status) && status.Status == http.StatusNotFound:
		why = fmt.Errorf("it is of a version without backups: %w", why)
	case errors.Is(why, client.ErrUnauthorized):
		return why
	}
	if !b.cmd.Partial {
		return fmt.Errorf("cannot back up %s: %w (--partial goes on without it)", node, why)
	}
	b.missing = append(b.missing, backup.Missing{Node: node, Why: oneLine(why)})
	return nil
}

// stayed makes sure that nothing has moved from a node whose turn was to come to one whose turn was
// over.
func (b *backupRun) stayed(ctx context.Context, c *client.Client, before *api.Cluster) error {
	after, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	if before.Target == "" && after.Target == "" && before.Ring == after.Ring {
		return nil
	}
	return b.lacks(ctx, "the keys that moved", errors.New("the ring changed meanwhile, so keys may have moved past this backup: run it again when httpdhs status shows no change"))
}

// finish reads again what was written, and gives it its name.
func (b *backupRun) finish(ctx context.Context) error {
	checked, err := b.w.Finish(ctx, b.missing)
	if err != nil {
		return err
	}
	for i := range checked {
		n := &checked[i]
		if fault := n.Fault(); fault != nil {
			if n.Err != nil || !b.cmd.Partial {
				return fmt.Errorf("what %s has sent is damaged, or was damaged here: %w", n.Node(), fault)
			}
			b.missing = append(b.missing, backup.Missing{Node: n.Node(), Why: "a part is damaged: " + oneLine(fault)})
		}
		b.bytes += n.Dir.Bytes
		b.written = append(b.written, fmt.Sprintf("%s  %s in %s, %s", n.Node(), counted(int(n.Report.Records), "record"), counted(n.Report.Segments, "segment"), humanBytes(n.Dir.Bytes)))
	}
	slices.Sort(b.written)
	return b.w.Keep()
}
