package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/zeebo/xxh3"
)

const (
	metaName = "meta"
	metaNew  = "meta.new"

	// formatNow is the format of directories that this build writes, and the only one so far. A
	// later format is to be read beside this one, and becomes the newer at the first start.
	formatNow = 1

	metaBytesMax = 16 << 20 // the members take most of it: 1,124 entries at most
)

// Identity says whose a directory is. A directory of another is refused.
type Identity struct {
	Node       string `json:"node"`       // its name
	Partitions int    `json:"partitions"` // of the store
	Settings   string `json:"settings"`   // of the cluster, spelled out as flags
	Secret     string `json:"secret"`     // what tells the cluster's secret from another; empty: it has none
}

// meta is the file that says what a directory is.
type meta struct {
	Format int `json:"format"`
	Identity
	Members []byte `json:"members,omitempty"` // as the caller encodes them

	// Began is when there was nothing in the directory, in Unix milliseconds: what is there now the
	// node has stored since.
	Began int64 `json:"began,omitempty"`

	// Number is the highest segment that is known to have been synced; 0: none.
	Number uint32 `json:"number,omitempty"`

	// End is where the log ended when it was closed in good order; 0: it was not, or it is open.
	End position `json:"end,omitempty"`
}

// sealed is a meta with its checksum.
type sealed struct {
	Sum  string          `json:"xxh3"`
	Meta json.RawMessage `json:"directory"`
}

// readMeta reads the meta of a directory. The error wraps fs.ErrNotExist if there is none, and
// ErrFormat if it is not to be understood.
func readMeta(fsys FS, dir string) (m meta, err error) {
	f, err := fsys.Open(filepath.Join(dir, metaName))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return m, err
	}
	if size > metaBytesMax {
		return m, fmt.Errorf("%w: it has %d bytes", errMeta, size)
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && size > 0 {
		return m, err
	}
	var s sealed
	if json.Unmarshal(data, &s) != nil || s.Sum != metaSum(s.Meta) || json.Unmarshal(s.Meta, &m) != nil {
		return m, errMeta
	}
	if m.Format != formatNow {
		return m, fmt.Errorf("%w: its format is %d, and this build reads %d", ErrFormat, m.Format, formatNow)
	}
	return m, nil
}

// writeMeta puts a meta in the place of the one that is there.
func writeMeta(fsys FS, dir string, m *meta) (err error) {
	data, err := m.encode()
	if err != nil {
		return err
	}
	f, err := fsys.Create(filepath.Join(dir, metaNew))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(filepath.Join(dir, metaNew), filepath.Join(dir, metaName)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// encode is the file.
func (m *meta) encode() ([]byte, error) {
	inner, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{Sum: metaSum(inner), Meta: inner})
}

func metaSum(inner []byte) string { return fmt.Sprintf("%016x", xxh3.Hash(inner)) }

// isAbsent says whether there is no file.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// differs says what tells the identity from another; "" if they are the same.
func (id *Identity) differs(o *Identity) string {
	switch {
	case id.Node != o.Node:
		return fmt.Sprintf("it is of node %s, and this is %s: give each node a directory of its own", id.Node, o.Node)
	case id.Settings != o.Settings:
		return fmt.Sprintf("it was written with %s, and this node has %s", id.Settings, o.Settings)
	case id.Partitions != o.Partitions:
		return fmt.Sprintf("it has %d partitions, and this node has %d", id.Partitions, o.Partitions)
	case id.Secret != o.Secret:
		return "it is of a cluster with another --cluster-secret-file: give that one, or another --data-dir"
	}
	return ""
}
