package backup

import (
	"context"
	"fmt"

	"httpdhs/disk"
)

// Checked is a directory of a backup, and what was found in it.
type Checked struct {
	Dir    Dir
	Report disk.Report
	Err    error // why it cannot be read; what is damaged is in the report
}

// Node is whose directory it is, as far as that is known.
func (c *Checked) Node() string {
	for _, name := range []string{c.Report.Node, c.Dir.Node} {
		if name != "" {
			return name
		}
	}
	return c.Dir.Path
}

// Fault is what is wrong with the directory; nil: nothing.
func (c *Checked) Fault() error {
	if c.Err != nil {
		return c.Err
	}
	return c.Report.Damage
}

// Check looks through all directories of the backup. The error is that of ctx.
func (s *Source) Check(ctx context.Context) (all []Checked, err error) {
	for i := range s.Dirs {
		c := Checked{Dir: s.Dirs[i]}
		if c.Report, c.Err = disk.Check(ctx, s.fs, c.Dir.Path); c.Err == nil {
			c.Err = c.Dir.fits(&c.Report)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// fits says whether a directory is of the node that the list has for it.
func (d *Dir) fits(r *disk.Report) error {
	if d.Node != "" && d.Node != r.Node {
		return fmt.Errorf("it is of node %s, and should be of %s", r.Node, d.Node)
	}
	return nil
}
