package console

import (
	"fmt"
	"strings"
	"testing"

	"httpdhs/api"
	"httpdhs/internal/browser"
)

// at is a function of the page: what the ring shows at a radius, in the middle of each of so many
// parts of a turn. It names the nodes, zones or classes of the paths there that a selector has.
const at = `((selector, radius, parts) => [...Array(parts).keys()].map((part) => {
  const angle = 2 * Math.PI * (part + 0.5) / parts - Math.PI / 2;
  const point = new DOMPoint(180 + radius * Math.cos(angle), 180 + radius * Math.sin(angle));
  return [...document.querySelectorAll("#ring " + selector)].filter((path) => path.isPointInFill(point))
    .map((path) => path.dataset.node ?? path.dataset.zone ?? path.getAttribute("class"));
}))`

// seen asks the page what its ring shows at a radius, of which there is to be one thing everywhere.
func (p page) seen(selector string, radius, parts int) []string {
	p.s.t.Helper()
	var all [][]string
	p.Eval(fmt.Sprintf(`%s(%q, %d, %d)`, at, selector, radius, parts), &all)
	names := make([]string, len(all))
	for i, found := range all {
		if len(found) != 1 {
			p.s.t.Fatalf("at part %d of %d of the ring, %d from its middle, are %q", i, parts, radius, found)
		}
		names[i] = found[0]
	}
	return names
}

// runs counts the pieces of a circle by what they are.
func runs(names []string) map[string]int {
	pieces := make(map[string]int)
	for i, name := range names {
		if before := names[(i+len(names)-1)%len(names)]; before != name {
			pieces[name]++
		}
	}
	return pieces
}

// A ring whose partitions are too many for stripes has one sector for each node. It is as wide as
// the node's share, and all of them are the whole. The circle outside them has the zones, each in
// one piece and over its nodes. Where stripes can be told apart, each partition has that of its
// primary, with the zone outside. The caption says which of the two it is.
func theRingIsTrue(t *testing.T, b *browser.Browser) {
	for _, c := range []struct {
		nodes, zones, partitions int
		sectors                  bool
	}{{3, 0, 1024, true}, {20, 4, 1024, true}, {3, 0, 64, false}, {6, 3, 256, false}} {
		s := newStand(t, c.nodes, c.zones)
		s.change(func(cluster *api.Cluster) { cluster.Partitions = c.partitions })
		s.hot = nil
		ring, zones, shares := s.ring(), make(map[string]string), make(map[string]int)
		for _, n := range ring.Nodes {
			zones[n.Name] = n.Zone
		}
		for _, owners := range ring.Owners {
			shares[ring.Nodes[owners[0]].Name]++
		}
		p := s.open(b, "", 1280, false)
		p.Await(`document.querySelectorAll("#ring path.tinted").length > 0`)
		begins := map[bool]string{true: "A sector is a node", false: "Once around are the partitions"}[c.sectors]
		if caption := p.text("#ring-caption"); !strings.HasPrefix(caption, begins) {
			t.Errorf("%+v: the caption is %q", c, caption)
		}
		names := p.seen("[data-node]", 130, c.partitions)
		for i, owners := range ring.Owners {
			if primary := ring.Nodes[owners[0]].Name; !c.sectors && names[i] != primary {
				t.Fatalf("%+v: partition %d is shown as that of %s, and %s is its primary", c, i, names[i], primary)
			}
			shares[names[i]]--
		}
		for node, left := range shares {
			if left != 0 {
				t.Errorf("%+v: the share of %s differs from what is shown of it by %d partitions", c, node, left)
			}
		}
		if c.zones > 0 {
			outside := p.seen("[data-zone]", map[bool]int{true: 148, false: 164}[c.sectors], c.partitions)
			for i, zone := range outside {
				if zone != zones[names[i]] {
					t.Fatalf("%+v: outside %s is zone %q", c, names[i], zone)
				}
			}
			if pieces := runs(outside); c.sectors && len(pieces) != c.zones {
				t.Errorf("%+v: the zones are %v", c, pieces)
			}
			names = append(names, outside...)
		}
		for name, pieces := range runs(names) {
			if c.sectors && pieces != 1 {
				t.Errorf("%+v: %s has %d sectors", c, name, pieces)
			}
		}
	}
}

// Beside sectors, a line is at the place of the partition that is read out, and a triangle at that
// of a hot one. The pointer at a sector reads out its node, and beside the sectors the partition. A
// sector that is pressed stands out as by its button.
func theRingIsPointedAt(t *testing.T, b *browser.Browser) {
	s := newStand(t, 6, 3)
	ring, primary := s.ring(), 0
	for _, owners := range ring.Owners {
		if owners[0] == 0 {
			primary++
		}
	}
	p := s.open(b, "", 1280, false)
	p.Await(`document.querySelectorAll("#hot li").length === 4`)
	point := func(kind string, radius, turn float64) {
		t.Helper()
		p.Eval(fmt.Sprintf(`(() => {
		  const [box, angle] = [document.querySelector("#ring").getBoundingClientRect(), 2 * Math.PI * %f - Math.PI / 2];
		  const [clientX, clientY] = [Math.cos(angle), Math.sin(angle)].map((part, i) => [box.left, box.top][i] + box.width * (0.5 + %f / 360 * part));
		  document.querySelector("#ring").dispatchEvent(new PointerEvent(%q, { clientX, clientY, bubbles: true }));
		})()`, turn, radius, kind), nil)
	}
	marked := func(selector string, radius int) (partitions []int) {
		t.Helper()
		var all [][]string
		p.Eval(fmt.Sprintf(`%s(%q, %d, %d)`, at, selector, radius, len(ring.Owners)), &all)
		for i, found := range all {
			if len(found) > 0 {
				partitions = append(partitions, i)
			}
		}
		return partitions
	}
	for _, partition := range []int{700, 701} {
		point("pointermove", 162, (float64(partition)+0.5)/float64(len(ring.Owners)))
		p.shows("#ring-range", fmt.Sprintf("Partition %d", partition))
		p.shows("#ring-facts", ring.Nodes[ring.Owners[partition][0]].Name)
		if places := fmt.Sprint(marked(".chosen", 162)); places != fmt.Sprintf("[%d]", partition) {
			t.Errorf("partition %d is read out, and marked are %s", partition, places)
		}
	}
	for _, hot := range s.hot {
		if places := fmt.Sprint(marked(".hot path", 169)); !strings.Contains(places, fmt.Sprint(hot.Partition)) {
			t.Errorf("partition %d is hot, and marked are %s", hot.Partition, places)
		}
	}
	point("pointermove", 120, 0.001)
	if title := p.text("#ring-range"); title != "10.0.0.11:1234 (zone a)" {
		t.Errorf("the pointer is at the first sector, and the page reads out %q", title)
	}
	p.shows("#ring-facts", fmt.Sprintf("%d of 1,024 partitions (%.1f %%)", primary, 100*float64(primary)/1024))
	if places := marked(".chosen", 120); len(places) != primary || places[0] != 0 {
		t.Errorf("the sector of a node that is primary of %d is outlined at %d", primary, places)
	}
	pressed := `document.querySelector('#ring-legend [data-node="10.0.0.11:1234"]').getAttribute("aria-pressed")`
	point("click", 120, 0.001)
	p.Await(pressed + ` === "true" && document.querySelectorAll("#ring path.tinted:not(.pale)").length === 1`)
	point("click", 120, 0.001)
	p.Await(pressed + ` === "false" && document.querySelectorAll("#ring path.pale").length === 0`)
}

// However long a name is, it begins on the line of its colour. What is left of a move is on one
// line where there is room. The legend of twenty nodes is there as a whole.
func nothingFallsOffItsLine(t *testing.T, b *browser.Browser) {
	s := troubled(t)
	s.change(func(c *api.Cluster) { c.Nodes[17].Moving, c.Nodes[17].State = c.Nodes[6].Moving, api.StateJoining })
	p := s.open(b, "", 1280, false)
	p.Await(`document.querySelectorAll("#ring-legend button").length === 20 && document.querySelectorAll("#moves .text").length === 3`)
	for _, view := range []string{"#/cluster", "#/node/" + long()} {
		p.Eval(fmt.Sprintf(`location.hash = %q`, view), nil)
		p.Await(fmt.Sprintf(`document.querySelector("#view-node").hidden === %t`, view == "#/cluster"))
		for _, width := range []int{1280, 1000, 800, 400} {
			p.Look(width, 800, false)
			var fallen []string
			p.Eval(`[...document.querySelectorAll("main .swatch")].filter((one) => one.checkVisibility()).flatMap((one) => {
			  const row = one.closest("li, .node-cell, .node-named");
			  const name = row.querySelector(".name, .node-name, h2");
			  const line = parseFloat(getComputedStyle(name).lineHeight) || 30;
			  const [top, from] = [one.getBoundingClientRect().top, name.getBoundingClientRect().top];
			  return top >= from - 1 && top < from + line ? [] : [name.textContent.slice(0, 20)];
			})`, &fallen)
			if len(fallen) > 0 {
				t.Errorf("%.10s at %d pixels: not on the line of their colour are %q", view, width, fallen)
			}
			if view != "#/cluster" {
				continue
			}
			var lines, below int
			p.Eval(`Math.max(...[...document.querySelectorAll("#moves .left")].map((one) => {
			  const text = document.createRange();
			  text.selectNodeContents(one);
			  return text.getClientRects().length;
			}))`, &lines)
			if lines != 1 {
				t.Errorf("at %d pixels what is left of a move takes %d lines", width, lines)
			}
			p.Eval(`document.querySelector("#ring-legend").scrollHeight - document.querySelector("#ring-legend").clientHeight`, &below)
			if below > 0 {
				t.Errorf("at %d pixels %d of the legend are out of sight", width, below)
			}
		}
	}
}
