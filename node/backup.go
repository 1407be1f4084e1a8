package node

import (
	"fmt"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/server"
	"httpdhs/wire"
)

// Backup implements server.Cluster.
func (v *view) Backup() (*server.Backup, error) {
	if v.cfg.Disk == nil {
		return nil, server.ErrNothingOnDisk
	}
	if v.stopping.Load() {
		return nil, kv.ErrStopping
	}
	if err := v.start.err(); err != nil {
		return nil, err
	}
	b, err := v.cfg.Disk.Backup()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", server.ErrCannotBackUp, err)
	}
	out := &server.Backup{Dir: disk.DirName(v.cfg.Name), Close: b.Close}
	for i := range b.Parts {
		part := &b.Parts[i]
		out.Files = append(out.Files, server.BackupFile{Name: part.Name, Size: part.Size, Open: part.Open})
	}
	return out, nil
}

// MemberNames are the members that a data directory has kept: see disk.Report.
func MemberNames(kept []byte) (names []string, err error) {
	if len(kept) == 0 {
		return nil, nil
	}
	known, err := wire.ParseMembers(kept)
	for _, m := range known {
		if m.State != wire.Removed {
			names = append(names, m.Name)
		}
	}
	return names, err
}
