package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

// An answer is read however it is cut: of none of its beginnings is more said
// than that its end is missing.
func TestAnswersAreReadHoweverTheyAreCut(t *testing.T) {
	http := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
	}
	for name, c := range map[string]struct {
		ex   bench.Exchange
		text string
	}{
		"redis":         {rig.RedisWait, "+OK\r\n:1\r\n"},
		"redis, many":   {rig.RedisWaitPipeline, strings.Repeat("+OK\r\n", depth) + ":1\r\n"},
		"memcached set": {memcachedSet, "STORED\r\n"},
		"memcached get": {memcachedGet, "VALUE key:000000000001 0 100\r\n" + rig.Value + "\r\nEND\r\n"},
		"webdis set":    {webdisSet, http(`{"SET":[true,"OK"]}`)},
		"webdis get":    {webdisGet, http(`{"GET":"` + rig.Value + `"}`)},
		"etcd put":      {etcdPut, http(`{"header":{"revision":"2"}}`)},
		"etcd get":      {etcdGet, http(`{"kvs":[{"value":"` + etcdValue + `"}]}`)},
		"etcd fill":     {etcdFill, http(`{"succeeded":true}`)},
		"chunks":        {etcdPut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\"revi\r\nb\r\nsion\":\"2\"}}\r\n0\r\n\r\n"},
	} {
		for cut := range len(c.text) {
			if n, err := c.ex.Answer([]byte(c.text[:cut])); n != 0 || err != nil {
				t.Errorf("%s, cut at %d: %d, %v", name, cut, n, err)
			}
		}
		if n, err := c.ex.Answer([]byte(c.text + "more")); n != len(c.text) || err != nil {
			t.Errorf("%s: %d of %d, %v", name, n, len(c.text), err)
		}
	}
}

// A peer that does not do what it was asked for is not measured.
func TestOtherAnswersAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		ex   bench.Exchange
		text string
	}{
		"no replica":       {rig.RedisWait, "+OK\r\n:0\r\n"},
		"redis error":      {rig.RedisWait, "-ERR what\r\n"},
		"not stored":       {memcachedSet, "SERVER_ERROR out of memory\r\n"},
		"not there":        {memcachedGet, "END\r\n"},
		"webdis, null":     {webdisGet, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"GET\":null}"},
		"webdis, status":   {webdisGet, "HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\n-"},
		"etcd, no key":     {etcdGet, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"},
		"etcd, in chunks":  {etcdPut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
		"no chunk":         {etcdPut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
		"without a length": {etcdPut, "HTTP/1.1 200 OK\r\n\r\n{}"},
	} {
		if n, err := c.ex.Answer([]byte(c.text)); !errors.Is(err, rig.ErrAnswer) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// Keys, values and requests are as large as the page says.
func TestRequests(t *testing.T) {
	if got := len(rig.AppendKey(nil, 99_999)); got != rig.KeyBytes {
		t.Errorf("a key has %d bytes", got)
	}
	if len(rig.Value) != 100 {
		t.Errorf("a value has %d bytes", len(rig.Value))
	}
	got := string(memcachedSet.Request(nil, 7))
	if want := "set key:000000000007 0 0 100\r\n" + rig.Value + "\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(etcdFill.Request(nil, 1)); strings.Count(got, "requestPut") != etcdBlock {
		t.Errorf("got %q", got)
	}
}

// A rate is that of the test that was asked for.
func TestBenchmarkRate(t *testing.T) {
	out := "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"51020.41\",\"0.7\"\n"
	if got, err := benchmarkRate(out, "SET"); got != 51020.41 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := benchmarkRate(out, "GET"); err == nil {
		t.Error("a rate of what was not measured")
	}
}

// Of a peer the first program that is not installed is named.
func TestWhatIsNotInstalledIsNamed(t *testing.T) {
	look := func(name string) (string, error) {
		if name == "redis-benchmark" {
			return "", os.ErrNotExist
		}
		return name, nil
	}
	if got := peers[0].missing(look); got != "redis-benchmark" {
		t.Errorf("got %q", got)
	}
	if got := peers[1].missing(look); got != "" {
		t.Errorf("got %q", got)
	}
}

// The page names what it has and what it lacks, has a row for each pair that
// was measured, and admits each that is lost. The plot is XML.
func TestPage(t *testing.T) {
	h := &house{options: &options{rounds: 3, duration: 2 * time.Second, pairs: 1_000_000}, present: map[string]string{"redis": "7.0.15"}}
	h.machine.Cores, h.machine.CPU, h.machine.Go = 2, "a processor", "go1"
	p := newPage(h, map[id][]float64{
		{puts, one}:   {50_000, 40_000, 60_000},
		{puts, three}: {20_000, 20_000, 20_000},
		{puts, redis}: {40_000, 40_000, 40_000},
		{gets, one}:   {1, 2, 3},
	})
	name := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := p.write(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 cores, a processor", "| redis | 7.0.15 |", "left out: memcached, webdis, etcd.\n", "(benchmarks.svg)",
		"| one node | redis | 50.0 k | 40.0 k | **1.25** | 1.00–1.50 |\n",
		"| three nodes, two replicas | redis | 20.0 k | 40.0 k | 0.50 | 0.50–0.50 |\n",
		"## Where we lose\n\n- PUT: *three nodes, two replicas* makes\n  0.50 of *redis*.\n\nThree",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "### GET") {
		t.Error("a table without rows")
	}
	if !strings.Contains(p.text(), "1.25") {
		t.Errorf("the terminal's table is %q", p.text())
	}
	if err := wellFormed(plot(p.Groups)); err != nil {
		t.Errorf("the plot: %v", err)
	}
}

// One node is not compared with a peer that keeps two copies, whatever the protocol.
func TestCopiesAreCompared(t *testing.T) {
	v := []float64{1}
	samples := map[id][]float64{}
	for _, name := range []string{oneRESP16, threeRESP16, redis16, redisEach16} {
		samples[id{manyPuts, name}] = v
	}
	var got []string
	for _, g := range groupsOf(samples) {
		for _, r := range g.Rows {
			got = append(got, r.Ours+" / "+r.Peer)
		}
	}
	want := []string{
		oneRESP16 + " / " + redis16, threeRESP16 + " / " + redis16, threeRESP16 + " / " + redisEach16,
	}
	if !slices.Equal(got, want) {
		t.Errorf("compared are %q, want %q", got, want)
	}
}

func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
