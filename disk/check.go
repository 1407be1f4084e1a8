package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"httpdhs/kv"
)

// Report is what a directory holds.
type Report struct {
	Identity
	Members  []byte // as KeepMembers was given them
	Segments int
	Bytes    int64
	Records  int64 // in the log: of one key there may be several

	InSync time.Time // when the node was last in sync; zero: never
	Ran    time.Time // when it last ran, to ten seconds; zero: never
	Clean  bool      // the log was closed in good order

	Damage error // the first that was found; nil: none
	Lost   []int // partitions of which a part is damaged
}

// Read reads a directory that no node uses into a store, as Load does, and writes nothing there but
// the lock. open makes the store, which has as many partitions as the directory. The error says
// why the directory is not to be read; what is damaged is in the report.
func Read(ctx context.Context, fsys FS, dir string, open func(id Identity) (Store, error)) (r Report, err error) {
	l := newLog(Options{Dir: dir, FS: fsys})
	if l.lock, err = fsys.Lock(dir); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.lock.Close()) }()
	if l.kept.meta, err = readMeta(fsys, dir); err != nil {
		if isAbsent(err) {
			err = fmt.Errorf("%w: %s has no %s", ErrFormat, dir, metaName)
		}
		return r, err
	}
	l.opt.Identity = l.kept.meta.Identity
	if l.store, err = open(l.kept.meta.Identity); err != nil {
		return r, err
	}
	if err := l.find(l.kept.meta.End); err != nil {
		return r, err
	}
	if err := (&replay{Log: l, ctx: ctx}).all(); err != nil {
		return r, err
	}
	lost, damage := l.Lost()
	return Report{
		Identity: l.kept.meta.Identity, Members: l.kept.meta.Members, Segments: len(l.loaded.plan.numbers), Bytes: l.loaded.done.Load(),
		Records: l.loaded.records.Load(), InSync: l.InSyncAt(), Ran: l.Ran(), Clean: l.kept.meta.End != 0,
		Damage: damage, Lost: lost,
	}, nil
}

// Check reads a directory that no node uses, keeps nothing of it, and tells what is there.
func Check(ctx context.Context, fsys FS, dir string) (Report, error) {
	return Read(ctx, fsys, dir, func(Identity) (Store, error) { return nothing{}, nil })
}

// nothing is a store that holds nothing.
type nothing struct{}

func (nothing) Restore([]kv.Offer)                                     {}
func (nothing) Touch([]uint64)                                         {}
func (nothing) Drop(int)                                               {}
func (nothing) Scan(int, uint64, func(hash uint64, r *kv.Record) bool) {}
func (nothing) Again(uint64, []byte, kv.Version) bool                  { return false }
func (nothing) Mark(int) kv.Version                                    { return 0 }
func (nothing) RaiseMark(int, kv.Version)                              {}
func (nothing) LiveBytes() int64                                       { return 0 }
