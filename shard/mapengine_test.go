package shard

import (
	"bytes"
	"slices"

	"httpdhs/kv"
)

// entryOverheadBytes is what an entry of the map engine is taken to cost beyond
// its key, metadata and value: its fields, its slot and the rounding of its
// memory.
const entryOverheadBytes = 128

// mapEngine is the reference that the packed engine is compared with: a plain
// Go map from hash to the chain of items of that hash, which is all but always
// one item long.
//
// A map has no order, so the hashes are also kept in a slice for Scan. Writing
// only appends to it; the next Scan sorts what was appended and merges it in.
// A hash stays listed after its deletion, until the slice is trimmed: hence
// order has every hash of the map at least once, and others.
type mapEngine struct {
	items map[uint64]*item
	n     int // items, counting whole chains
	bytes int64

	order  []uint64
	sorted int // order[:sorted] is ascending; the rest is as it was appended
}

// newMapEngine makes an engine on a plain Go map, for Options.newEngine.
func newMapEngine() engine {
	return &mapEngine{items: make(map[uint64]*item)}
}

// item is a record in one piece of memory: key, metadata, value.
type item struct {
	version   kv.Version
	expires   int64
	data      []byte
	next      *item // of the same hash, with a larger key
	keyLen    uint32
	metaLen   uint8
	tombstone bool
}

// cost is what the item is taken to cost.
func (it *item) cost() int64 { return entryOverheadBytes + int64(len(it.data)) }

func (it *item) key() []byte { return it.data[:it.keyLen:it.keyLen] }

func (it *item) entry() kv.Entry {
	e := kv.Entry{Version: it.version, Expires: it.expires, Tombstone: it.tombstone}
	if !it.tombstone {
		valueAt := it.keyLen + uint32(it.metaLen)
		e.Meta = it.data[it.keyLen:valueAt:valueAt]
		e.Value = it.data[valueAt:len(it.data):len(it.data)]
	}
	return e
}

// set makes the item a copy of the record.
func (it *item) set(r *kv.Record) {
	meta, value := r.Meta, r.Value
	if r.Tombstone {
		meta, value = nil, nil
	}
	data := reuse(it.data, len(r.Key)+len(meta)+len(value))
	data = append(data, r.Key...)
	data = append(data, meta...)
	data = append(data, value...)
	*it = item{
		version:   r.Version,
		expires:   r.Expires,
		data:      data,
		next:      it.next,
		keyLen:    uint32(len(r.Key)),
		metaLen:   uint8(len(meta)),
		tombstone: r.Tombstone,
	}
}

// reuse returns an empty buffer with room for n bytes. It is buf if that has the room and would not
// leave more than a quarter of itself unused. For the smallest size classes a quarter is not worth
// a new buffer.
func reuse(buf []byte, n int) []byte {
	const smallBytes = 64
	if c := cap(buf); n <= c && (c <= smallBytes || n >= c-c/4) {
		return buf[:0]
	}
	return slices.Grow([]byte(nil), n)
}

// find returns the key's item, or nil and the one of its chain after which it
// belongs (nil: at the head).
func (m *mapEngine) find(hash uint64, key []byte) (it, before *item) {
	for it = m.items[hash]; it != nil; before, it = it, it.next {
		if c := bytes.Compare(it.key(), key); c == 0 {
			return it, before
		} else if c > 0 {
			break
		}
	}
	return nil, before
}

func (m *mapEngine) Get(hash uint64, key []byte) (e kv.Entry, ok bool) {
	it, _ := m.find(hash, key)
	if it == nil {
		return kv.Entry{}, false
	}
	return it.entry(), true
}

func (m *mapEngine) Read(hash uint64, key []byte) (kv.Entry, bool) { return m.Get(hash, key) }

func (m *mapEngine) Put(hash uint64, r *kv.Record) {
	it, before := m.find(hash, r.Key)
	if it != nil {
		m.bytes -= it.cost()
		it.set(r)
		m.bytes += it.cost()
		return
	}
	it = new(item)
	it.set(r)
	m.n++
	m.bytes += it.cost()
	if before != nil {
		it.next, before.next = before.next, it
		return
	}
	it.next = m.items[hash]
	m.items[hash] = it
	if it.next == nil {
		m.order = append(m.order, hash)
		m.trimOrder()
	}
}

func (m *mapEngine) Delete(hash uint64, key []byte) bool {
	it, before := m.find(hash, key)
	switch {
	case it == nil:
		return false
	case before != nil:
		before.next = it.next
	case it.next != nil:
		m.items[hash] = it.next
	default:
		delete(m.items, hash)
	}
	m.n--
	m.bytes -= it.cost()
	return true
}

func (m *mapEngine) Scan(from uint64, fn func(hash uint64, r *kv.Record) bool) {
	m.sortOrder()
	start, _ := slices.BinarySearch(m.order, from)
	var r kv.Record
	for i := start; i < len(m.order); i++ {
		hash := m.order[i]
		if i > start && hash == m.order[i-1] {
			continue // was deleted and put again
		}
		for it := m.items[hash]; it != nil; it = it.next {
			r = kv.Record{Key: it.key(), Entry: it.entry()}
			if !fn(hash, &r) {
				return
			}
		}
	}
}

func (m *mapEngine) Len() int { return m.n }

// Memory is what the items are taken to cost, which is the same whatever came
// before them.
func (m *mapEngine) Memory() Memory { return Memory{Live: m.bytes, Segments: m.bytes} }

func (m *mapEngine) Growth(hash uint64, r *kv.Record) int64 {
	cost := entryOverheadBytes + int64(len(r.Key))
	if !r.Tombstone {
		cost += int64(len(r.Meta) + len(r.Value))
	}
	if it, _ := m.find(hash, r.Key); it != nil {
		cost -= it.cost()
	}
	return cost
}

func (m *mapEngine) Tidy() bool { return false }

func (m *mapEngine) Squeeze() bool { return false }

func (m *mapEngine) Close() { *m = mapEngine{items: make(map[uint64]*item)} }

// sortOrder brings all of order into order. It sorts what was appended since the last time and
// merges it in from the back. So a few new hashes cost one pass over the old ones and no sort of
// them.
func (m *mapEngine) sortOrder() {
	if m.sorted == len(m.order) {
		return
	}
	added := slices.Clone(m.order[m.sorted:])
	slices.Sort(added)
	i, j := m.sorted-1, len(added)-1
	for to := len(m.order) - 1; j >= 0; to-- {
		if i >= 0 && m.order[i] > added[j] {
			m.order[to] = m.order[i]
			i--
		} else {
			m.order[to] = added[j]
			j--
		}
	}
	m.sorted = len(m.order)
}

// trimOrder bounds order where keys come and go: it drops repeated and deleted
// hashes when they are more than the others, so that the cost is spread over
// as many writes.
func (m *mapEngine) trimOrder() {
	const slack = 64 // not worth a pass
	if len(m.order) <= 2*len(m.items)+slack {
		return
	}
	m.sortOrder()
	m.order = slices.DeleteFunc(slices.Compact(m.order), func(hash uint64) bool {
		return m.items[hash] == nil
	})
	m.sorted = len(m.order)
}
