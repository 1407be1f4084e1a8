package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

const (
	bufferBytes = 256 << 10
	roomBytes   = 128 << 20 // for records; they begin again at its start
)

// keep is a node of a bulk load. It copies the records of a connection into memory that it has
// touched before, and says at the end how many there were.
func keep(port string) error {
	room := make([]byte, roomBytes)
	for i := 0; i < len(room); i += 4096 {
		room[i] = 1
	}
	in, err := listen("127.0.0.1:" + port)
	if err != nil {
		return err
	}
	for {
		conn, err := in.Accept()
		if err != nil {
			return err
		}
		records, err := keepAll(conn, room)
		if err != nil {
			return err
		}
		_, _ = conn.Write(binary.LittleEndian.AppendUint64(nil, records)) // who loads misses it
		conn.Close()
	}
}

func keepAll(r io.Reader, room []byte) (records uint64, err error) {
	buf, have, at := make([]byte, bufferBytes), 0, 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		taken := walk(buf[:have], func(record []byte) {
			if at+len(record) > len(room) {
				at = 0
			}
			at += copy(room[at:], record)
			records++
		})
		have = copy(buf, buf[taken:have])
		if err == io.EOF && have == 0 {
			return records, nil
		}
		if err != nil {
			return records, err
		}
	}
}

// load sends the pairs of a TSV file to their owners, in writes of many records.
func load(nodes []string, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	conns, bufs := make([]net.Conn, len(nodes)), make([][]byte, len(nodes))
	for i, addr := range nodes {
		if conns[i], err = net.Dial("tcp", addr); err != nil {
			return err
		}
		bufs[i] = make([]byte, 0, bufferBytes)
	}
	pairs := uint64(0)
	lines := bufio.NewReaderSize(file, bufferBytes)
	for {
		text, err := lines.ReadSlice('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		key, value, _ := bytes.Cut(text[:len(text)-1], []byte{'\t'})
		first, second := owners(key, len(nodes))
		for _, owner := range []int{first, second} {
			if len(bufs[owner])+headBytes+len(text) > bufferBytes {
				if _, err := conns[owner].Write(bufs[owner]); err != nil {
					return err
				}
				bufs[owner] = bufs[owner][:0]
			}
			bufs[owner] = appendRecord(bufs[owner], key, value)
		}
		pairs++
	}
	kept := uint64(0)
	for i, conn := range conns {
		_, err := conn.Write(bufs[i])
		err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
		answer, err2 := io.ReadAll(conn)
		if err = errors.Join(err, err2); err != nil || len(answer) != 8 {
			return fmt.Errorf("%s did not answer: %w", nodes[i], err)
		}
		kept += binary.LittleEndian.Uint64(answer)
	}
	if kept != 2*pairs {
		return fmt.Errorf("%d of %d records were kept", kept, 2*pairs)
	}
	fmt.Printf("loaded %d records, 0 failed\n", pairs)
	return nil
}
