package main

import (
	_ "embed"
	"time"

	"httpdhs/bench"
	"httpdhs/workshop/rig"
)

//go:embed page.md.tmpl
var pageText string

// page is what the file says.
type page struct {
	Machine   bench.Machine
	Busy      string // load average when the run began; empty: not known
	Redis     string // version; empty: not installed
	Keys, Few string
	Rounds    int
	Duration  time.Duration
	Stall     time.Duration
	Sections  []pageSection
}

type pageSection struct {
	Title, Note, Table string
	Left               string // why it has no table
}

func writePage(h *house, name string) error {
	p := page{
		Machine: h.machine, Busy: h.busy, Redis: h.redis, Keys: rig.Short(float64(h.keys)), Few: rig.Short(float64(h.few)),
		Rounds: h.rounds, Duration: h.duration, Stall: h.stall,
	}
	for _, s := range sections {
		part := pageSection{Title: s.title, Note: s.note, Left: h.left[s.title]}
		if part.Left == "" {
			part.Table = rig.Markdown(s.beside, s.rows, h.samples)
		}
		p.Sections = append(p.Sections, part)
	}
	return rig.WritePage(name, pageText, p)
}
