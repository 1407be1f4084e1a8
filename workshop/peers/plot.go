package main

import (
	"fmt"
	"html"
	"strings"

	"httpdhs/workshop/rig"
)

// Sizes of the plot, in pixels.
const (
	plotWidth  = 860
	labelWidth = 330 // names, left of the bars
	rateWidth  = 70  // rates, right of them
	barHeight  = 14
	barStep    = 20
	headHeight = 34 // above the bars of a group
)

// plotStyle has colours for a page that is light or dark.
const plotStyle = `<style>
text { font: 12px sans-serif; fill: #333 } .head { font-weight: bold } .ours { fill: #2563eb } .peer { fill: #9ca3af }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .ours { fill: #60a5fa } .peer { fill: #6b7280 } }
</style>
`

// plot draws a bar for each rate. The longest of a group is as wide as the
// plot: groups have scales of their own.
func plot(groups []group) string {
	var b strings.Builder
	y := 0
	for _, g := range groups {
		if len(g.Bars) == 0 {
			continue
		}
		most := 0.0
		for _, bar := range g.Bars {
			most = max(most, bar.Rate)
		}
		fmt.Fprintf(&b, `<text class="head" x="8" y="%d">%s, operations/s</text>`+"\n", y+22, html.EscapeString(g.Name))
		y += headHeight
		for _, bar := range g.Bars {
			name, class := bar.Name, "peer"
			if bar.Ours {
				name, class = "httpdhs, "+name, "ours"
			}
			width := max(bar.Rate/most*(plotWidth-labelWidth-rateWidth), 1)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+11, html.EscapeString(name))
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, labelWidth, y, width, barHeight)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+width+6, y+11, rig.Short(bar.Rate))
			y += barStep
		}
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `+
		`aria-label="Operations per second of httpdhs and of other stores">`+"\n", plotWidth, y+10, plotWidth, y+10)
	return head + plotStyle + b.String() + "</svg>\n"
}
