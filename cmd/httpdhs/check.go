package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"httpdhs/backup"
	"httpdhs/disk"
	"httpdhs/node"
)

// checkCmd looks through what nodes have on disk, and backups.
type checkCmd struct {
	Path string `arg:"" help:"A --data-dir of a node that does not run, or what httpdhs backup has written: a directory, a .tar or a .tar.zst."`
}

// Help is what "httpdhs check --help" says in addition.
func (checkCmd) Help() string {
	return "Reads all of it, and changes nothing. It prints whose each directory is, what it holds, and what is damaged. The exit status is 1 where something is damaged or cannot be read."
}

func (cmd *checkCmd) Run(ctx context.Context, term *terminal) error {
	src, err := backup.Open(cmd.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	checked, err := src.Check(ctx)
	if err != nil {
		return err
	}
	if len(checked) == 1 && checked[0].Err != nil {
		return fmt.Errorf("%s: %w", checked[0].Dir.Path, checked[0].Err)
	}
	faults := 0
	if !src.Made.IsZero() {
		fmt.Fprintf(term.out, "backup of %s, made %s\n\n", counted(len(src.Dirs), "node"), timeText(src.Made))
	}
	for i := range checked {
		if i > 0 {
			fmt.Fprintln(term.out)
		}
		if err := printChecked(term.out, &checked[i]); err != nil {
			return err
		}
		if checked[i].Fault() != nil {
			faults++
		}
	}
	for _, m := range src.Missing {
		fmt.Fprintf(term.out, "\nmade without %s: %s\n", m.Node, m.Why)
	}
	if faults > 0 {
		return fmt.Errorf("damaged: %d of the %d directories", faults, len(checked))
	}
	return nil
}

// printChecked prints what is known of a directory.
func printChecked(out io.Writer, c *backup.Checked) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "directory\t%s\n", c.Dir.Path)
	if c.Err != nil {
		fmt.Fprintf(t, "not read\t%s\n", oneLine(c.Err))
		return t.Flush()
	}
	r := &c.Report
	members, err := node.MemberNames(r.Members)
	if err != nil {
		members = []string{"not known: " + oneLine(err)}
	}
	fmt.Fprintf(t, "node\t%s\nsettings\t%s\n", r.Node, r.Settings)
	fmt.Fprintf(t, "members\t%s\n", orDash(strings.Join(members, ", ")))
	fmt.Fprintf(t, "segments\t%d\nbytes\t%d\nrecords\t%d\n", r.Segments, r.Bytes, r.Records)
	fmt.Fprintf(t, "last in sync\t%s\nlast ran\t%s\n", timeText(r.InSync), timeText(r.Ran))
	closed := "no, as after a crash: what was synced is there"
	if r.Clean {
		closed = "yes"
	}
	fmt.Fprintf(t, "closed in good order\t%s\n", closed)
	if r.Damage == nil {
		fmt.Fprintln(t, "damage\tnone")
		return t.Flush()
	}
	fmt.Fprintf(t, "damage\t%s\n", oneLine(r.Damage))
	fmt.Fprintf(t, "partitions\t%s\n", lostText(r.Lost, r.Partitions))
	fmt.Fprintln(t, "what to do\tstart the node: it fetches these from the other owners; if it is the only owner, restore a backup")
	return t.Flush()
}

// lostText says which partitions are lost. Damage costs all those whose number modulo
// disk.Stripes is one of some.
func lostText(lost []int, all int) string {
	text := fmt.Sprintf("%d of %d may lack something", len(lost), all)
	if len(lost) == all {
		return text
	}
	var stripes [disk.Stripes]bool
	for _, p := range lost {
		stripes[p%disk.Stripes] = true
	}
	var which []string
	for s, is := range stripes {
		if is {
			which = append(which, strconv.Itoa(s))
		}
	}
	return fmt.Sprintf("%s: those whose number modulo %d is %s", text, disk.Stripes, strings.Join(which, ", "))
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format(time.RFC3339)
}

var errHasKeys = errors.New("the cluster has keys already: empty it first, or write over what is there with --force")
