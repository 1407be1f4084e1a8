// Command limit shows what the machine allows. Its servers make the system calls of a store of
// several nodes with two replicas, as httpdhs makes them (package nonblock), and do nothing else:
// no versions, no seals, no table. What a store is slower than this by is what it does beyond them.
//
//	limit --mode put    a node that takes PUT /db/{key} on --port, as the baseline does, and
//	                    answers when the other owners have confirmed the record (put.go)
//	limit --mode keep   a node that takes bulk loads on --port (bulk.go)
//	limit --mode load   loads a file of pairs into the nodes that keep (bulk.go)
//
// A node is one of --nodes, its addresses for other nodes, of which it is number --self. A key
// belongs to two of them, by its hash.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
)

func main() {
	mode := flag.String("mode", "put", "put, keep or load")
	port := flag.String("port", "1234", "port to listen on for clients")
	nodes := flag.String("nodes", "", "where nodes listen for records, separated by commas")
	self := flag.Int("self", 0, "number of this node among them")
	flag.Parse()
	var err error
	switch all := strings.Split(*nodes, ","); *mode {
	case "put":
		err = servePuts(*port, all, *self)
	case "keep":
		err = keep(*port)
	case "load":
		err = load(all, flag.Arg(0))
	default:
		err = fmt.Errorf("mode %q", *mode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// owners are the two of n nodes that a key belongs to.
func owners(key []byte, n int) (first, second int) {
	first = int(crc32.Checksum(key, castagnoli) % uint32(n))
	return first, (first + 1) % n
}

// headBytes are the lengths before the key and the value of a record.
const headBytes = 6

func appendRecord(dst, key, value []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(key)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(value)))
	return append(append(dst, key...), value...)
}

// walk calls each for the whole records that b begins with, and returns what they take.
func walk(b []byte, each func(record []byte)) (taken int) {
	for len(b)-taken >= headBytes {
		head := b[taken:]
		n := headBytes + int(binary.LittleEndian.Uint16(head)) + int(binary.LittleEndian.Uint32(head[2:]))
		if n > len(head) {
			break
		}
		each(head[:n])
		taken += n
	}
	return taken
}
