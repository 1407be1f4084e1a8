package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

//go:embed page.md.tmpl
var pageText string

// page is what the file says. Its order is that of the subjects.
type page struct {
	Machine  bench.Machine
	Peers    []versioned
	Missing  []string
	Rounds   int
	Duration time.Duration
	Pairs    string
	Plot     string // file name

	Conns, Keys, Depth, Batch int

	Groups []group
}

type versioned struct{ Name, Version string }

// group is what is compared with each other.
type group struct {
	Name string
	Bars []bar
	Rows []row
}

// bar is the rate of a subject, operations/s.
type bar struct {
	Name string
	Rate float64
	Ours bool
}

// row is a subject of httpdhs over a peer.
type row struct {
	Group, Ours, Peer string
	Rate, PeerRate    string
	rig.Ratio
}

func newPage(h *house, samples map[id][]float64) *page {
	p := &page{
		Machine: h.machine, Rounds: h.rounds, Duration: h.duration, Pairs: rig.Short(float64(h.pairs)),
		Conns: conns, Keys: keys, Depth: depth, Batch: batch, Groups: groupsOf(samples),
	}
	for _, peer := range peers {
		if h.has(peer.name) {
			p.Peers = append(p.Peers, versioned{peer.name, h.present[peer.name]})
		} else {
			p.Missing = append(p.Missing, peer.name)
		}
	}
	return p
}

// groupsOf compares what was measured.
func groupsOf(samples map[id][]float64) (made []group) {
	for _, name := range groups {
		g := group{Name: name}
		for _, s := range subjects {
			if v := samples[s.id]; s.group == name && len(v) > 0 {
				g.Bars = append(g.Bars, bar{s.name, rig.Median(v), s.peer == ""})
			}
		}
		for _, a := range g.Bars {
			for _, b := range g.Bars {
				if !a.Ours || b.Ours || strings.HasPrefix(a.Name, one) && strings.HasPrefix(b.Name, redisReplica) { // that has twice the copies
					continue
				}
				g.Rows = append(g.Rows, row{name, a.Name, b.Name, rig.Short(a.Rate), rig.Short(b.Rate),
					rig.RatioOf(samples[id{name, a.Name}], samples[id{name, b.Name}])})
			}
		}
		made = append(made, g)
	}
	return made
}

// Losses are the rows where the peer is faster.
func (p *page) Losses() (lost []row) {
	for _, g := range p.Groups {
		for _, r := range g.Rows {
			if r.Median < 1 {
				lost = append(lost, r)
			}
		}
	}
	return lost
}

// text is the table for a terminal.
func (p *page) text() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\thttpdhs\tpeer\thttpdhs/s\tpeer/s\tratio\tleast-most")
	for _, g := range p.Groups {
		for _, r := range g.Rows {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f-%.2f\n", r.Group, r.Ours, r.Peer, r.Rate, r.PeerRate, r.Median, r.Least, r.Most)
		}
	}
	t.Flush()
	return b.String()
}

// write writes the page to name, and the plot beside it.
func (p *page) write(name string) error {
	plotName := strings.TrimSuffix(name, ".md") + ".svg"
	p.Plot = filepath.Base(plotName)
	if err := os.WriteFile(plotName, []byte(plot(p.Groups)), 0o644); err != nil {
		return err
	}
	return rig.WritePage(name, pageText, p)
}
