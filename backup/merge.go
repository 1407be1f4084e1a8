package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/shard"
)

// MergeOptions say how a backup is put together.
type MergeOptions struct {
	// MaxMemory bounds what is taken, in bytes.
	MaxMemory int64

	// Partial goes on with what there is of a backup that is damaged.
	Partial bool
}

// Merger puts the logs of a backup together. What it yields is the newest version of each key,
// where that is a value. It goes through the keys a share at a time, and reads all logs for each.
type Merger struct {
	src        *Source
	opts       MergeOptions
	budget     int64 // of the entries
	partitions int   // 0: not known yet
	next       int   // the partition that the next share begins with
	width      int   // of the next share
	reports    []Checked
}

// ErrDamaged is what a Merger returns for a backup that lacks something.
var ErrDamaged = errors.New("the backup is damaged")

const (
	// A log is read with two segments in memory, and what is read next waits for the garbage of
	// what was read before.
	segmentsAtOnce = 3

	// aside is for all else: the tables of two stores, what is on its way to the cluster.
	aside = 128 << 20

	budgetLeast = 8 << 20

	// partitionBytes is what a partition takes that is empty, in two stores.
	partitionBytes = 8 << 10
)

// Overhead is how many bytes a merge takes beside the entries.
func (s *Source) Overhead() int64 {
	largest := int64(0)
	for i := range s.Dirs {
		largest = max(largest, s.Dirs[i].largest)
	}
	return segmentsAtOnce*largest + aside
}

// NewMerger prepares a merge. The error is that MaxMemory is too little.
func NewMerger(src *Source, o MergeOptions) (*Merger, error) {
	m := &Merger{src: src, opts: o, budget: o.MaxMemory - src.Overhead()}
	if m.budget < budgetLeast {
		return nil, tooLittle(src.Overhead())
	}
	if len(src.Missing) > 0 && !o.Partial {
		return nil, fmt.Errorf("%w: it was made without %s: %s", ErrDamaged, src.Missing[0].Node, src.Missing[0].Why)
	}
	return m, nil
}

func tooLittle(overhead int64) error {
	return fmt.Errorf("%w: to read this backup takes %s beside the entries: give at least %s", ErrTooLittle, inMiB(overhead), inMiB(overhead+budgetLeast))
}

func inMiB(bytes int64) string { return fmt.Sprintf("%dMiB", (bytes+1<<20-1)>>20) }

// Reports tell of the directories, in the order of the source. They are there after the first Next.
func (m *Merger) Reports() []Checked { return m.reports }

// Next reads the next share, for the caller to close; io.EOF: there is none. Before it returns the
// first it has read all of the backup, and knows whether it is damaged.
func (m *Merger) Next(ctx context.Context) (*Share, error) {
	if m.partitions > 0 && m.next >= m.partitions {
		return nil, io.EOF
	}
	first := m.partitions == 0
	var s *share
	for i := range m.src.Dirs {
		c := Checked{Dir: m.src.Dirs[i]}
		s, c.Report, c.Err = m.read(ctx, s, &c.Dir)
		if c.Err != nil && !(m.opts.Partial && errors.Is(c.Err, disk.ErrFormat)) {
			return nil, errors.Join(fmt.Errorf("cannot read %s: %w", c.Dir.Path, c.Err), s.close())
		}
		if first {
			m.reports = append(m.reports, c)
		}
	}
	if s == nil {
		return nil, io.EOF // a list of no nodes
	}
	hi := int(s.hi.Load())
	m.width = hi - m.next
	if s.used() < m.budget/3 {
		m.width *= 2
	}
	m.next = hi
	return &Share{share: s, Last: hi == m.partitions}, nil
}

// read reads the log of a directory into a share, which it makes where there is none.
func (m *Merger) read(ctx context.Context, s *share, d *Dir) (*share, disk.Report, error) {
	r, err := disk.Read(ctx, m.src.fs, d.Path, func(id disk.Identity) (_ disk.Store, err error) {
		if err := m.begin(&id); err != nil {
			return nil, err
		}
		if s == nil {
			if s, err = m.newShare(); err != nil {
				return nil, err
			}
		}
		return s.reads(m.partitions)
	})
	if err == nil {
		err = d.fits(&r)
	}
	if err == nil && r.Damage != nil && !m.opts.Partial {
		err = fmt.Errorf("%w: %w", ErrDamaged, r.Damage)
	}
	if err == nil {
		err = s.took(lookEvery)
	}
	if s != nil {
		err = s.merge(err)
	}
	return s, r, err
}

// begin takes note of the first directory, and compares the others with it.
func (m *Merger) begin(id *disk.Identity) error {
	if m.partitions == 0 {
		if id.Partitions < 1 || id.Partitions > shard.MaxPartitions || bits.OnesCount(uint(id.Partitions)) != 1 {
			return fmt.Errorf("%w: %d partitions", disk.ErrFormat, id.Partitions)
		}
		m.partitions, m.width = id.Partitions, id.Partitions
		if m.budget -= int64(id.Partitions) * partitionBytes; m.budget < budgetLeast {
			return tooLittle(m.opts.MaxMemory - m.budget)
		}
	}
	for i := range m.reports {
		was := &m.reports[i].Report
		switch {
		case was.Settings != id.Settings || was.Partitions != id.Partitions || was.Secret != id.Secret:
			return fmt.Errorf("it is of another cluster than %s: restore one cluster at a time", m.reports[i].Dir.Path)
		case was.Node == id.Node && len(m.reports) < len(m.src.Dirs): // this is the first time
			return fmt.Errorf("node %s has two directories: restore one backup at a time", id.Node)
		}
	}
	return nil
}

func (m *Merger) newShare() (*share, error) {
	s := &share{lo: m.next, budget: m.budget}
	s.hi.Store(int64(min(m.next+max(m.width, 1), m.partitions)))
	var err error
	s.merged, err = newStore(m.partitions)
	return s, err
}

// reads is what the next node's log is read into.
func (s *share) reads(partitions int) (disk.Store, error) {
	node, err := newStore(partitions)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = node
	return &logStore{share: s, store: node, shift: 64 - bits.TrailingZeros(uint(partitions))}, nil
}

// merge merges the log that was read, unless reading it has failed. The first is all that there is.
func (s *share) merge(failed error) error {
	node := s.node
	if node == nil {
		return failed // before it was begun
	}
	if failed == nil && s.some {
		failed = s.mergeIn(node)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == nil && !s.some {
		s.merged, node, s.some = node, s.merged, true
	}
	s.node = nil
	return errors.Join(failed, node.Close())
}

func (s *share) close() error {
	if s == nil {
		return nil
	}
	return s.merged.Close()
}

// Share is the keys of some partitions, as the nodes of a backup had them together.
type Share struct {
	*share
	Last bool // no share follows
}

// Values are the keys that have a value at that time. A record is valid until the next.
func (s *Share) Values(now func() time.Time) iter.Seq[*kv.Record] {
	return func(yield func(*kv.Record) bool) {
		more := true
		for p := s.lo; more && s.has(p); p++ {
			s.merged.Scan(p, 0, func(_ uint64, r *kv.Record) bool {
				if r.Live(now().UnixMilli()) {
					more = yield(r)
				}
				return more
			})
		}
	}
}

// Close lets its memory go.
func (s *Share) Close() error { return s.close() }
