package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"httpdhs/client"
	"httpdhs/internal/format"
	"httpdhs/kv"
	"httpdhs/workshop/rig"
)

// node is a node of httpdhs, alone and with one copy of each key.
type node struct {
	house       *house
	addr, debug string
	started     time.Time
	client      *client.Client

	batches fasthttp.HostClient
	request []byte // body of a batch
}

func (h *house) startNode(args ...string) (*node, error) {
	debug, err := rig.FreeAddr()
	if err != nil {
		return nil, err
	}
	n := &node{house: h, debug: debug, started: time.Now()}
	if n.addr, err = h.Node(h.binary, append(args, "--pprof-addr", debug)...); err != nil {
		return nil, err
	}
	if err := h.WaitReady(n.addr); err != nil {
		return nil, err
	}
	n.batches.Addr = n.addr
	n.client, err = client.New(client.Options{Addrs: []string{n.addr}})
	return n, err
}

func (n *node) name() string   { return "httpdhs" }
func (n *node) prefix() string { return "" }
func (n *node) pid() int       { return n.house.PID(n.addr) }

func (n *node) stop() {
	n.client.Close()
	n.batches.CloseIdleConnections()
	n.house.Kill(n.addr)
}

func (n *node) load(src *pass) error {
	_, err := n.client.NewLoader(nil).Load(n.house.ctx, src.records)
	return err
}

func (n *node) get(key []byte) error {
	_, err := n.client.Get(n.house.ctx, string(key), nil)
	return err
}

func (n *node) held() (holding, error) {
	doc, err := n.client.Cluster(n.house.ctx)
	if err != nil {
		return holding{}, err
	}
	if len(doc.Nodes) != 1 {
		return holding{}, fmt.Errorf("%d nodes instead of one", len(doc.Nodes))
	}
	d := &doc.Nodes[0]
	return holding{d.Keys, d.Bytes, d.Tombstones, d.Memory.Segments + d.Memory.Index}, nil
}

func (n *node) collect() error {
	_, err := n.collector()
	return err
}

// collector is what the garbage collector of a node has done.
type collector struct {
	seconds float64 // processor time since the start, without what it does when idle
	objects float64 // on the heap
}

var (
	fractionPattern = regexp.MustCompile(`(?m)^# GCCPUFraction = (\S+)$`)
	objectsPattern  = regexp.MustCompile(`(?m)^# HeapObjects = (\S+)$`)
)

// collector runs the garbage collector, and reads runtime.MemStats. Its
// GCCPUFraction is that of the time that all processors had since the start.
func (n *node) collector() (c collector, err error) {
	text, err := fetch(n.house.ctx, "http://"+n.debug+"/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return c, err
	}
	up := time.Since(n.started).Seconds()
	fraction, err := number(fractionPattern, text)
	c.seconds = fraction * up * float64(runtime.NumCPU())
	if err == nil {
		c.objects, err = number(objectsPattern, text)
	}
	return c, err
}

var cpuPattern = regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`)

// cpu is the processor time that the node took so far, in seconds.
func (n *node) cpu() (float64, error) {
	text, err := fetch(n.house.ctx, "http://"+n.addr+"/metrics")
	if err != nil {
		return 0, err
	}
	return number(cpuPattern, text)
}

// number is what the pattern's group finds.
func number(pattern *regexp.Regexp, text string) (float64, error) {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no %s was found", pattern)
	}
	return strconv.ParseFloat(m[1], 64)
}

func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(text), err
}

func (n *node) readThrough(keys, updates []sized) (hits, refused int, err error) {
	var missing []sized
	n.request = n.request[:0]
	for _, k := range keys {
		n.request = format.AppendGet(n.request, keyOf(k.key))
	}
	err = n.batch(len(keys), func(i int, r *format.Result) error {
		switch {
		case r.Found():
			hits++
		case r.Status == http.StatusNotFound:
			missing = append(missing, keys[i])
		default:
			return fmt.Errorf("a get was answered with %d", r.Status)
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	writes := append(missing, updates...)
	if len(writes) == 0 {
		return hits, 0, nil
	}
	n.request = n.request[:0]
	for _, w := range writes {
		n.request = kv.AppendRecord(n.request, &kv.Record{Key: keyOf(w.key), Entry: kv.Entry{Value: filler[:w.size]}})
	}
	err = n.batch(len(writes), func(_ int, r *format.Result) error {
		switch {
		case r.Written():
		case r.Status == http.StatusInsufficientStorage:
			refused++
		default:
			return fmt.Errorf("a put was answered with %d", r.Status)
		}
		return nil
	})
	return hits, refused, err
}

// batch sends the request, and hands each of the want results over.
func (n *node) batch(want int, each func(i int, r *format.Result) error) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + n.addr + "/batch")
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType(format.TypeBinary)
	req.SetBodyRaw(n.request)
	if err := n.batches.DoTimeout(req, resp, answerTimeout); err != nil {
		return err
	}
	if resp.StatusCode() != fasthttp.StatusOK {
		return fmt.Errorf("/batch: %d: %s", resp.StatusCode(), resp.Body())
	}
	rest := resp.Body()
	for i := range want {
		r, after, err := format.DecodeResult(rest)
		if err != nil {
			return err
		}
		if err := each(i, &r); err != nil {
			return err
		}
		rest = after
	}
	if len(rest) > 0 {
		return errors.New("/batch: more results than operations")
	}
	return nil
}
