package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"httpdhs/client"
)

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

// progress shows how far something is while it runs: a bar on a terminal, and
// elsewhere, say in a log, a line now and then.
type progress struct {
	quit chan struct{}
	gone sync.WaitGroup
}

// startProgress asks sample how much of total is done, and what to say of it,
// until stop is called. A total of 0 is not known.
func startProgress(w io.Writer, total int64, sample func() (done int64, text string)) *progress {
	p := &progress{quit: make(chan struct{})}
	every, show, end := lineEvery, func(int64, string) {}, func() {}
	if isTerminal(w) {
		bar := newBar(w, total)
		every = barEvery
		show = func(done int64, text string) { bar.Describe(text); _ = bar.Set64(done) }
		end = func() { _ = bar.Exit(); fmt.Fprintln(w) }
	} else {
		said := ""
		show = func(done int64, text string) {
			if total > 0 {
				text = fmt.Sprintf("%3d%%  %s", 100*min(done, total)/total, text)
			}
			if text != said {
				fmt.Fprintln(w, text)
			}
			said = text
		}
	}
	p.gone.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		defer end()
		for {
			select {
			case <-p.quit:
				if every == barEvery {
					show(sample())
				}
				return
			case <-tick.C:
				show(sample())
			}
		}
	})
	return p
}

// isTerminal says whether a person reads what is written there.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stop ends the showing and returns when nothing more will be written.
func (p *progress) stop() {
	close(p.quit)
	p.gone.Wait()
}

func describe(r *client.LoadReport, took time.Duration) string {
	text := fmt.Sprintf("%s, %.0f/s", counted(int(r.Loaded), "record"), perSecond(r.Loaded, took))
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	return text
}

// newBar makes a bar of total, or a spinner where that is not known. The text
// before it has the records; the bar itself counts bytes and tells the time
// that is left.
func newBar(w io.Writer, total int64) *progressbar.ProgressBar {
	if total <= 0 {
		total = -1
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // else a goroutine draws a spinner, and never ends
		progressbar.OptionSetRenderBlankState(true),
	)
}
