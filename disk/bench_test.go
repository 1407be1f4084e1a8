package disk_test

import (
	"encoding/binary"
	"os"
	"strconv"
	"testing"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
	"httpdhs/shard"
)

// keysOf is DISK_KEYS, or so many.
func keysOf(t testing.TB, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv("DISK_KEYS"))
	if err != nil {
		return otherwise
	}
	return n
}

// fill offers so many records of 16 and 100 bytes to a store, some at a time.
func fill(store *shard.Store, keys int, first kv.Version) {
	const at = 1000
	var offers [at]kv.Offer
	var records [at]kv.Record
	var all [at][16]byte
	value := make([]byte, 100)
	for from := 0; from < keys; from += at {
		n := min(at, keys-from)
		for i := range n {
			binary.LittleEndian.PutUint64(all[i][:], uint64(from+i)*0x9e3779b97f4a7c15)
			binary.LittleEndian.PutUint64(all[i][8:], uint64(from+i))
			records[i] = kv.Record{Key: all[i][:], Entry: kv.Entry{Version: first + kv.Version(from+i)<<10, Value: value}}
			offers[i] = kv.Offer{Hash: kv.Hash(all[i][:]), Record: &records[i]}
		}
		store.ApplyAll(offers[:n])
	}
}

// TestLoadTime tells how long it takes to fill a store with a log and without, and to load it.
func TestLoadTime(t *testing.T) {
	if os.Getenv("DISK_KEYS") == "" {
		t.Skip("a measurement: DISK_KEYS is how many keys to load")
	}
	keys := keysOf(t, 0)
	bare, err := shard.Open(shard.Options{Partitions: 1024, Grace: kv.Grace{Keep: time.Hour}, SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	fill(bare, keys, 1<<20)
	memory := time.Since(began)
	_ = bare.Close()
	n := start(t, disk.Options{Dir: os.Getenv("DISK_DIR")})
	began = time.Now()
	fill(n.store, keys, 1<<20)
	put := time.Since(began)
	n.close()
	closed := time.Since(began)
	n.open()
	t.Logf("memory %v, with log %v, closed after %v, loaded in %v: %+v", memory, put, closed, n.log.Stats().LoadTime, n.log.Stats())
	n.close()
}
