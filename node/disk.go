package node

import (
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/shard"
)

// DataConfig says where and how a node keeps what it holds on a disk as well.
type DataConfig struct {
	Dir       string        // the node's own; empty: nothing is on disk
	Sync      string        // interval, always or never; empty: interval
	SyncEvery time.Duration // with interval; 0: 1 s
	MaxBytes  int64         // bound on what the directory takes; 0: none

	// SegmentMost bounds a segment of the log, bytes. Some are in memory, whole, while the log is
	// loaded and cleaned, and changes that wait for the disk take less than two. 0: as usual.
	SegmentMost int64
}

// Disk keeps what a node holds from one start to the next. As a shard.Journal it is told of all
// changes to the store. A disk.Log is one.
//
// All methods are safe for concurrent use, but Load, Empty, Close and Kill: each is called by
// itself, and Load and Empty while nobody else uses the store.
type Disk interface {
	shard.Journal

	// Members is what KeepMembers was last called with, before this start too; empty: it was not.
	Members() []byte

	// KeepMembers keeps who the members are, in place of what it was told before. A crash leaves
	// the one or the other.
	KeepMembers(members []byte)

	// InSyncAt is what KeepInSync was last called with, before this start too; zero: it was not.
	InSyncAt() time.Time

	// Began is when nothing was kept: what is there now was stored since. Zero: it is not known.
	Began() time.Time

	// KeepInSync keeps when the node was in sync.
	KeepInSync(at time.Time)

	// Ran is when the node last ran before this start, to some seconds; zero: it did not.
	Ran() time.Time

	// Load puts all that was kept into the store, which is empty. It ends early when ctx is done.
	Load(ctx context.Context, store disk.Store) error

	// Newest is the highest version that Load has read; 0: there was nothing.
	Newest() kv.Version

	// Lost are the partitions of which a part was damaged when Load read it, and the damage.
	Lost() (partitions []int, damage error)

	// Mend is told that the store holds all that there is to have of what was lost.
	Mend()

	// Progress is how far Load is: done of total, in any unit. total is 0 while that is not known.
	Progress() (done, total int64)

	// Empty forgets all that was kept, and when the node was in sync, but for the members.
	Empty() error

	// Fault is why changes are refused; nil: they are not.
	Fault() error

	Stats() disk.Stats

	// Backup is a point of what is kept, for the caller to close.
	Backup() (*disk.Backup, error)

	Close() error
	Kill() // is Close as a crash has it
}

// secretRounds is how often a secret is hashed: what OWASP advises for PBKDF2 with SHA-256 (2023).
// It takes some tenths of a second.
const secretRounds = 600_000

// secretMark tells one secret from another in a data directory. Directories are copied and backed
// up, so it takes long to find out by it what the secret is.
func secretMark(secret, node string) (string, error) {
	mark, err := pbkdf2.Key(sha256.New, secret, []byte("httpdhs data directory of "+node), secretRounds, 16)
	return hex.EncodeToString(mark), err
}

// openDisk opens the directory that the settings name, if there is one.
func openDisk(cfg *Config) (Disk, error) {
	data := &cfg.Data
	if data.Dir == "" {
		return nil, nil
	}
	sync, err := disk.ParseSync(cmp.Or(data.Sync, disk.SyncInterval.String()))
	if err != nil {
		return nil, err
	}
	settings := cfg.ringSettings()
	id := disk.Identity{
		Node: cfg.Name, Partitions: settings.Partitions,
		Settings: fmt.Sprintf("--replicas=%d --partitions=%d --partitioner=%s", settings.Replicas, settings.Partitions, settings.Partitioner),
	}
	if cfg.ClusterSecret != "" {
		if id.Secret, err = secretMark(cfg.ClusterSecret, cfg.Name); err != nil {
			return nil, err
		}
	}
	log, err := disk.Open(disk.Options{
		Dir: data.Dir, Identity: id, Sync: sync, SyncEvery: data.SyncEvery, MaxBytes: data.MaxBytes, SegmentMost: data.SegmentMost, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	return log, nil
}
