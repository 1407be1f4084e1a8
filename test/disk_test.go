package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// startOnDisks runs a fleet of nodes that have a data directory each. It is told who its members
// are at this first start alone.
func startOnDisks(t *testing.T, nodes int, flags ...string) *fleet {
	t.Helper()
	f := newFleet(t, nodes, flags...)
	for i := range f.ships {
		f.ships[i].data = filepath.Join(f.dir, fmt.Sprint("data", i))
	}
	f.startAll()
	for _, s := range f.ships {
		s.args = nil
	}
	return f
}

// smallSegments are flags that make segments small, if that is wanted: with --sync=always a node
// fills one with zeros when it starts, and reads it when it starts again.
func smallSegments(wanted bool) []string {
	if wanted {
		return []string{"--max-disk=64MiB", "--max-value-bytes=2MiB"}
	}
	return nil
}

// all are all nodes.
func (f *fleet) all() (nodes []int) {
	for i := range f.ships {
		nodes = append(nodes, i)
	}
	return nodes
}

// startAgain starts all nodes, and waits until they are a cluster at rest.
func (f *fleet) startAgain() {
	f.t.Helper()
	for i := range f.ships {
		f.start(i)
	}
	f.awaitSettled(f.all()...)
}

// stopAll has all nodes end in good order.
func (f *fleet) stopAll() {
	f.t.Helper()
	for i := range f.ships {
		f.stop(i)
	}
}

// fromEnv is a number that the environment gives, or this one.
func fromEnv(name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		panic(name + " is " + text + ", want a number")
	}
	return n
}

// copyDir copies a data directory, as to another machine.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
