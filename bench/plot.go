package bench

import (
	"fmt"
	"html"
	htmltemplate "html/template"
	"math"
	"strings"
)

// chart is a plot with two axes. It is drawn as SVG whose colours come from
// the style of the page around it.
type chart struct {
	title string // what one sees, for those who cannot
	x, y  axis
	lines []line
}

// axis maps values to the unit interval.
type axis struct {
	label string // with its unit
	log   bool
	lo    float64
	hi    float64
	ticks []tickMark
}

type tickMark struct {
	at    float64
	label string
}

// line is a curve; its class is its colour.
type line struct {
	name   string
	class  string
	points []xy
	dots   bool // mark each point
}

type xy struct {
	x, y float64
	note string // shown when one points at it
}

func (a *axis) place(v float64) float64 {
	if a.log {
		return (math.Log(v) - math.Log(a.lo)) / (math.Log(a.hi) - math.Log(a.lo))
	}
	return (v - a.lo) / (a.hi - a.lo)
}

// linear is an axis from 0 to a round number at or above hi.
func linear(label string, hi float64, format func(float64) string) axis {
	step := niceStep(hi / 5)
	a := axis{label: label, hi: step * math.Ceil(max(hi, step)/step-1e-9)}
	for i := 0; float64(i)*step <= a.hi*(1+1e-9); i++ {
		a.ticks = append(a.ticks, tickMark{float64(i) * step, format(float64(i) * step)})
	}
	return a
}

// niceStep is the least of 1, 2, 2.5 and 5 times a power of ten that is v or
// more.
func niceStep(v float64) float64 {
	if v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logarithmic is an axis over lo to hi with room to both sides: from a 1, 2 or
// 5 times a power of ten to another. Where there are no values, lo is above hi.
func logarithmic(label string, lo, hi float64, format func(float64) string) axis {
	if lo > hi {
		lo, hi = 1, 10
	}
	lo = max(lo, 1e-3)
	hi = max(hi, lo*2)
	steps := []float64{1, 2, 5}
	var all []float64
	for power := math.Pow(10, math.Floor(math.Log10(lo))-1); power <= hi*10; power *= 10 {
		for _, s := range steps {
			all = append(all, s*power)
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= lo {
		first++
	}
	for last > first+1 && all[last-1] >= hi {
		last--
	}
	a := axis{label: label, log: true, lo: all[first], hi: all[last]}
	every := 1
	if last-first > 6 {
		every = 3 // powers of ten alone
	}
	for i := first; i <= last; i++ {
		if every == 1 || i%3 == 0 {
			a.ticks = append(a.ticks, tickMark{all[i], format(all[i])})
		}
	}
	return a
}

// Margins around the area of a chart, in its own units, which are pixels at
// its natural size.
const (
	marginLeft   = 72
	marginRight  = 18
	marginTop    = 16
	marginBottom = 44
)

// svg draws the chart at a size.
func (c *chart) svg(class string, width, height float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart %s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, class, width, height, html.EscapeString(c.title))
	right, bottom := width-marginRight, height-marginBottom
	px := func(v float64) float64 { return marginLeft + c.x.place(v)*(right-marginLeft) }
	py := func(v float64) float64 { return bottom - c.y.place(v)*(bottom-marginTop) }
	for _, t := range c.y.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%.1f" y1="%.1f" y2="%.1f"/>`, marginLeft, right, py(t.at), py(t.at))
		fmt.Fprintf(&b, `<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`, marginLeft-7, py(t.at)+4, t.label)
	}
	c.drawXTicks(&b, px, bottom, right)
	fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%.1f" y1="%.1f" y2="%.1f"/>`, marginLeft, right, bottom, bottom)
	fmt.Fprintf(&b, `<text class="label" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (marginLeft+right)/2, height-6, html.EscapeString(c.x.label))
	fmt.Fprintf(&b, `<text class="label" x="12" y="%.1f" text-anchor="middle" transform="rotate(-90 12 %.1f)">%s</text>`,
		(marginTop+bottom)/2, (marginTop+bottom)/2, html.EscapeString(c.y.label))
	for _, l := range c.lines {
		l.draw(&b, px, py)
	}
	b.WriteString("</svg>")
	return b.String()
}

// drawXTicks leaves out labels that would run into each other.
func (c *chart) drawXTicks(b *strings.Builder, px func(float64) float64, bottom, right float64) {
	const letter, gap = 7.0, 10.0
	free := math.Inf(-1)
	for _, t := range c.x.ticks {
		x := px(t.at)
		fmt.Fprintf(b, `<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x, x, bottom, bottom+4)
		half := float64(len(t.label)) * letter / 2
		at := min(x, right+marginRight-half) // not over the edge
		if at-half < free {
			continue
		}
		free = at + half + gap
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, at, bottom+18, t.label)
	}
}

func (l *line) draw(b *strings.Builder, px, py func(float64) float64) {
	fmt.Fprintf(b, `<polyline class="line %s" points="`, l.class)
	for _, p := range l.points {
		fmt.Fprintf(b, "%.1f,%.1f ", px(p.x), py(p.y))
	}
	b.WriteString(`"/>`)
	for _, p := range l.points {
		radius := 7.0
		class := "hit"
		if l.dots {
			radius, class = 3.5, "dot"
		}
		if p.note != "" {
			fmt.Fprintf(b, `<circle class="%s %s" cx="%.1f" cy="%.1f" r="%g"><title>%s</title></circle>`,
				class, l.class, px(p.x), py(p.y), radius, html.EscapeString(p.note))
		}
	}
}

// draw is the chart twice, for wide pages and for narrow ones. The style shows one of them: a chart
// that is scaled down has text too small to read.
func (c *chart) draw() htmltemplate.HTML {
	var legend strings.Builder
	if len(c.lines) > 1 {
		legend.WriteString(`<p class="legend">`)
		for _, l := range c.lines {
			fmt.Fprintf(&legend, `<span><i class="%s"></i>%s</span>`, l.class, html.EscapeString(l.name))
		}
		legend.WriteString(`</p>`)
	}
	// Every text that goes in is escaped above.
	return htmltemplate.HTML(legend.String() + c.svg("wide", 960, 330) + c.svg("narrow", 360, 280))
}
