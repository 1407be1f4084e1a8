package rig

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Ratios are of the same round, so a machine that was slow in one round does
// not move them.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := RatioOf([]float64{10, 100, 30}, []float64{20, 200, 20})
	if want := (Ratio{Median: 0.5, Least: 0.5, Most: 1.5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The median of an even number is the mean of the two in the middle; the input is left as it is.
func TestMedian(t *testing.T) {
	in := []float64{4, 1, 3, 2}
	if got := Median(in); got != 2.5 || in[0] != 4 {
		t.Errorf("median of %v is %v", in, got)
	}
	if got := Median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("got %v", got)
	}
}

// A figure is shown with three digits that count.
func TestFiguresAreShort(t *testing.T) {
	for v, want := range map[float64]string{2_345_678: "2.35 M", 45_678: "45.7 k", 12.34: "12.3"} {
		if got := Short(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

// A version is found in whatever a program says about itself.
func TestVersions(t *testing.T) {
	for said, want := range map[string]string{
		"Redis server v=7.0.15 sha=00000000:0":     "7.0.15",
		"memcached 1.6.18\n":                       "1.6.18",
		"etcd Version: 3.4.23\nGo Version: go1.19": "3.4.23",
		"0.1.9+dfsg-1.1":                           "0.1.9",
		"nothing":                                  "unknown version",
	} {
		if got := VersionIn(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

// Close ends what was started and leaves no file behind.
func TestCloseEndsAll(t *testing.T) {
	r, err := New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start("sleep", "60"); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if p := r.processes[0]; p.cmd.ProcessState == nil {
		t.Error("the process is not over")
	}
	if _, err := os.Stat(r.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// Nodes speak RESP where that is wanted and their binary can, and are found by that address too.
func TestNodesSpeakRESPIfTheyCan(t *testing.T) {
	r, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Progress = io.Discard
	binary := func(name, help string) string {
		name = filepath.Join(r.Dir, name)
		text := "#!/bin/sh\nif [ \"$2\" = --help ]; then echo \"" + help + "\"; else exec sleep 600; fi\n"
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return name
	}
	can, cannot := binary("can", "--port --resp-port"), binary("cannot", "--port")
	start := func(binary string) []string {
		t.Helper()
		addrs, err := r.Cluster(binary, 2)
		if err != nil {
			t.Fatal(err)
		}
		return addrs
	}
	if nodes := start(can); r.RESP(nodes...) != nil {
		t.Error("they speak it unasked")
	}
	r.WithRESP = true
	old, nodes := start(cannot), start(can)
	if resp := r.RESP(old...); resp != nil {
		t.Errorf("one that cannot speaks it at %s", resp)
	}
	resp := r.RESP(nodes...)
	if len(resp) != 2 || r.RESP(nodes[0], old[0]) != nil {
		t.Fatalf("two nodes speak it at %v", resp)
	}
	for i, addr := range nodes {
		if pid := r.PID(addr); pid == 0 || r.PID(resp[i]) != pid || addr == resp[i] {
			t.Errorf("process %d at %s, %d at %s", pid, addr, r.PID(resp[i]), resp[i])
		}
	}
}
