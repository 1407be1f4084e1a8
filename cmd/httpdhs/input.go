package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"httpdhs/client"
	"httpdhs/internal/format"
)

// input is what a load reads and how far it is.
type input struct {
	records iter.Seq2[client.Record, error]
	total   int64 // bytes, or records of the sample; 0: not known
	done    func(*client.LoadReport) int64
	close   func()
}

func (cmd *loadCmd) open(term *terminal) (*input, error) {
	if cmd.Sample {
		return &input{
			records: sample,
			total:   sampleCount(),
			done:    func(r *client.LoadReport) int64 { return r.Loaded + r.Failed },
			close:   func() {},
		}, nil
	}
	in := &input{close: func() {}}
	name, src := "standard input", term.in
	if cmd.File != "-" {
		f, size, err := openFile(cmd.File)
		if err != nil {
			return nil, err
		}
		name, src = cmd.File, f
		in.total, in.close = size, func() { f.Close() }
	}
	read := &countingReader{r: src}
	in.done = func(*client.LoadReport) int64 { return read.n.Load() }
	text, f, err := cmd.recognise(read)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	in.records = client.ReadRecords(text, client.Format(f.String()), &client.ReadOptions{
		MaxKeyBytes: int(cmd.MaxKeyBytes), MaxValueBytes: int(cmd.MaxValueBytes),
	})
	return in, nil
}

// openFile opens a file; its size is 0 where it has none.
func openFile(name string) (f *os.File, size int64, err error) {
	if f, err = os.Open(name); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: give a file", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return f, size, nil
}

// recognise unpacks what is packed and says what format it is in. What is none of the formats is an
// error that says what to do with it.
func (cmd *loadCmd) recognise(src io.Reader) (text io.Reader, f format.Format, err error) {
	src, head, err := peek(src)
	if err != nil {
		return nil, 0, err
	}
	packed := format.Packing(head)
	unpacked := packed != nil
	if unpacked {
		if src, err = unpack(src, packed); err != nil {
			return nil, 0, err
		}
		if src, head, err = peek(src); err != nil {
			return nil, 0, err
		}
	}
	if f, named := formats[cmd.Format]; named {
		return src, f, nil
	}
	if err := cmd.checkName(head, unpacked); err != nil {
		return nil, 0, &usageError{err}
	}
	if f, err = format.Guess(cmd.File, head); err != nil {
		err = &usageError{err}
	}
	return src, f, err
}

// checkName says whether the file's name promises what is not there.
func (cmd *loadCmd) checkName(head []byte, unpacked bool) error {
	name, ext := cmd.File, strings.ToLower(path.Ext(cmd.File))
	switch ext {
	case ".gz", ".zst", ".zstd":
		if !unpacked {
			return fmt.Errorf("this is not packed, though its name ends in %s: give it the name that it should have, or --format", ext)
		}
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	if strings.EqualFold(path.Ext(name), ".json") && len(bytes.TrimSpace(head)) == 0 {
		return errors.New("this is empty, and no JSON")
	}
	return nil
}

// peek looks at the start of src without taking it. Where src breaks off behind its start, the
// error comes to whoever reads on.
func peek(src io.Reader) (io.Reader, []byte, error) {
	buffered := bufio.NewReaderSize(src, format.SniffBytes)
	head, err := buffered.Peek(format.SniffBytes)
	if err == nil || err == io.EOF {
		return buffered, head, nil
	}
	if len(head) == 0 {
		return nil, nil, err
	}
	return io.MultiReader(bytes.NewReader(head), failed{err}), head, nil
}

// failed is what is left of a source that broke off.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// unpack reads what is packed, where this program can.
func unpack(src io.Reader, packed *format.PackedError) (io.Reader, error) {
	switch packed.Name {
	case "gzip":
		r, err := gzip.NewReader(src)
		if err != nil {
			return nil, cannotUnpack(packed.Name, err)
		}
		return &unpacking{r, packed.Name}, nil
	case "zstd":
		// One frame after the other, in this goroutine: there is nothing to close.
		r, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		return &unpacking{r, packed.Name}, err
	}
	return nil, &usageError{packed}
}

func cannotUnpack(name string, err error) error {
	return fmt.Errorf("cannot unpack the %s: %w", name, err)
}

// unpacking says of its errors where they come from.
type unpacking struct {
	r    io.Reader
	name string
}

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		err = cannotUnpack(u.name, err)
	}
	return n, err
}

// countingReader counts what goes through it.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
