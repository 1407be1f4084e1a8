package shard

// Memory is what an engine takes, in bytes.
type Memory struct {
	Live     int64 // records that are held
	Dead     int64 // where records were, until it is used or given back
	Segments int64 // all that records lie in: Live, Dead and what is unused
	Index    int64 // tables, and what finds the entries that are due
}

// Total is what counts towards Options.MaxBytes.
func (m *Memory) Total() int64 { return m.Segments + m.Index }

func (m *Memory) add(o Memory) {
	m.Live += o.Live
	m.Dead += o.Dead
	m.Segments += o.Segments
	m.Index += o.Index
}
