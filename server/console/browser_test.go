package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"httpdhs/api"
	"httpdhs/internal/browser"
)

// The console in a browser, beside an API of canned documents. Each part says what holds.
func TestConsole(t *testing.T) {
	t.Parallel()
	b := browser.Start(t)
	for name, part := range map[string]func(*testing.T, *browser.Browser){
		"rates": ratesAreDifferences, "health": healthIsASentence, "room": nothingIsWiderThanTheWindow, "contrast": textStandsOut,
		"ring": theRingIsRead, "shares": theRingIsTrue, "pointer": theRingIsPointedAt, "lines": nothingFallsOffItsLine,
		"stale": whatIsOldIsSaidToBe, "stop": stoppingIsAskedFirst, "values": valuesAreShownByTheirKind,
		"keys": anyKeyIsOpened, "keyboard": theKeyboardIsEnough, "theme": theThemeIsKept, "token": theTokenIsAskedFor, "expiry": anExpiryIsGiven,
	} {
		t.Run(name, func(t *testing.T) { part(t, b) })
	}
}

// Rates and latencies are differences of counters. A node that began again has done what it has
// counted since; one whose counters fell otherwise says nothing. A percentile lies between the
// bounds of its bucket, in proportion. A series ends after 15 minutes.
func ratesAreDifferences(t *testing.T, b *browser.Browser) {
	p := newStand(t, 3, 0).open(b, "", 1280, false)
	for expression, want := range map[string]string{
		`h.difference(undefined, doc(4, "a", 100, [60, 40]))`:                                 `null`,
		`h.difference(doc(2, "a", 100, [60, 40]), doc(4, "a", 160, [80, 80]))`:                `{"seconds":2,"operations":[{"kind":"get","count":60,"errors":0,"seconds":6,"buckets":[20,40]}]}`,
		`h.difference(doc(2, "a", 100, [60, 40]), doc(4, "b", 30, [30, 0])).operations`:       `[{"kind":"get","count":30,"errors":0,"seconds":3,"buckets":[30,0]}]`,
		`h.difference(doc(2, "a", 100, [60, 40]), doc(4, "b", 30, [30, 0])).seconds`:          `3`,
		`h.difference(doc(2, "a", 100, [60, 40]), doc(4, "a", 90, [50, 40]))`:                 `null`,
		`h.difference(doc(2, "a", 100, [60, 40]), doc(4, "a", 100, [61, 39]))`:                `null`,
		`h.difference(doc(2, "a", 100, [60, 40]), doc(2, "a", 100, [60, 40]))`:                `null`,
		`h.difference(doc(2, "a", 100, [60, 40]), { name: "n", error: "it is silent" })`:      `null`,
		`h.percentile([1, 2, 4], [0, 10, 10, 0], 0.5)`:                                        `2`,
		`h.percentile([1, 2, 4], [0, 10, 10, 0], 0.25)`:                                       `1.5`,
		`h.percentile([1, 2, 4], [10, 0, 0, 0], 0.5)`:                                         `0.5`,
		`h.percentile([1, 2, 4], [0, 0, 0, 7], 0.99)`:                                         `4`,
		`h.percentile([1, 2, 4], [0, 0, 0, 0], 0.99)`:                                         `null`,
		`sample([{ seconds: 2, operations: [operation("get", 40), operation("batch", 6)] }])`: `{"t":5,"reads":20,"writes":0,"others":3,"errors":0,"p50":0.5,"p99":0.99}`,
		`series(0, 899_000, 900_001)`:                                                         `[899000,900001]`,
		`series(...Array(5000).keys()).length`:                                                `600`,
	} {
		var got json.RawMessage
		p.Eval(fmt.Sprintf(`import("/console/history.js").then((h) => {
			const operation = (kind, count, buckets = [count, 0]) => ({ kind, count, errors: 0, seconds: count / 10, buckets });
			const doc = (second, run, count, buckets) => ({ name: "n", time: new Date(second * 1000).toISOString(),
				started: new Date(run === "a" ? 0 : 1000).toISOString(), operations: [operation("get", count, buckets)] });
			const sample = (all) => h.sampleOf(5, [1], all);
			const series = (...times) => { const made = new h.Series(); times.forEach((t) => made.add({ t })); return made.samples.map(({ t }) => t); };
			return %s;
		})`, expression), &got)
		if string(got) != want {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
	}
}

// What is wrong is said in sentences, the worst first, with a word for how bad it is and not a
// colour alone; what is well is said too. Each node has its row, what moves its bar, and what was
// counted its figures. A node that is down, or back and filled up again, takes no keys away.
func healthIsASentence(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	p := s.open(b, "", 1280, false, quick)
	p.shows("#health", "Healthy")
	p.shows("#health", "All 3 nodes are up, and every key has its 2 copies.")
	s.polled(5)
	p.Await(`/reads [\d.]+k\/s/.test(document.querySelector("#charts").innerText)`)
	p.Await(`/p99 [\d.]+ (µs|ms)/.test(document.querySelector("#charts").innerText)`)
	if moves := p.text("#moves"); strings.Contains(moves, "%") {
		t.Errorf("nothing moves, and the page says %q", moves)
	}
	const keys, allKeys = "#tiles .tile:nth-child(2) .figure", "349k"
	p.shows(keys, allKeys)

	s.change(func(c *api.Cluster) {
		c.Replicas, c.Nodes[1].State, c.Nodes[2].State = 3, api.StateDown, api.StateDown
		c.Nodes[0].UnderReplicated = 231_407 // all that are left, and each lacks two copies
	})
	p.shows(keys, "231k")
	s.change(func(c *api.Cluster) {
		c.Replicas, c.Nodes[2].State = 2, api.StateActive
		c.Nodes[0].UnderReplicated, c.Nodes[2].UnderReplicated = 116_000, 116_384
	})
	p.shows("#tiles", "keys lack a copy in sync")
	p.shows(keys, allKeys)
	s.change(func(c *api.Cluster) { c.Nodes[1].State, c.Nodes[1].Keys = api.StateJoining, 100_000 })
	p.shows("#health-list", "10.0.0.12:1234 is joining.")
	p.shows(keys, allKeys)

	s.change(func(c *api.Cluster) {
		c.Nodes[2].UnderReplicated = 0
		c.Nodes[1].State, c.Nodes[1].DownSince, c.Nodes[1].HintBytes = api.StateDown, time.Now().Add(-time.Hour), 3<<20
		c.Nodes[2].State, c.Nodes[2].Moving = api.StateJoining, &api.Moving{Partitions: 200, Done: 50, BytesLeft: 3 << 20, Rate: 1 << 20, SecondsLeft: 3}
		c.Nodes[0].Memory.Used, c.Nodes[0].UnderReplicated = 255<<20, 1
	})
	p.shows("#health", "Trouble")
	lines := strings.Split(p.text("#health-list"), "\n")
	for i, want := range []string{
		"10.0.0.12:1234 is down, for 1 h", "The memory of 10.0.0.11:1234 is full", "1 key has fewer than 2 copies in sync.", "10.0.0.13:1234 is joining.",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("the page says %q, and in line %d not %q", lines, i, want)
		}
	}
	p.shows("#moves", "fetches 200 partitions, 50 done")
	p.shows("#moves", "3.0 MiB to go at 1.0 MiB/s, 3 s left")
	p.Await(`document.querySelector("#moves .fill").style.width === "25%"`)
	p.shows("#nodes tr:nth-child(2)", "○ down")
	p.shows("#nodes tr:nth-child(2)", "3.0 MiB")
	p.shows("#tiles", "keys lack a copy in sync")

	s.change(func(c *api.Cluster) { c.Nodes = c.Nodes[:1]; c.Nodes[0].Memory.Evicted = 1 })
	p.Await(`document.querySelectorAll("#nodes tr").length === 1`)
	if said := p.text("#health-list"); strings.Contains(said, "full") {
		t.Errorf("of a node that evicts the page says %q", said)
	}
}

// No view is wider than the window, whatever its width, though names and versions are long.
func nothingIsWiderThanTheWindow(t *testing.T, b *browser.Browser) {
	s := troubled(t)
	someKeys(s)
	p := s.open(b, "", 1280, false)
	for _, at := range []string{"#/cluster", "#/node/" + long(), "#/node/10.0.2.12:1234", "#/keys/user%3A1000", "#/keys/picture.png", "#/keys/" + strings.Repeat("k", 4096)} {
		p.Eval(fmt.Sprintf(`location.hash = %q`, at), nil)
		if strings.HasPrefix(at, "#/keys") {
			p.Await(`document.querySelector("#owners").innerText !== "" && !document.querySelector("#key-form button").disabled`)
			p.Eval(`document.querySelector("#editor").hidden = false`, nil)
		}
		for _, width := range []int{1280, 800, 400, 320} {
			p.Look(width, 800, false)
			var wide []string
			p.Eval(`[...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest("pre, .keys, .unseen, .skip, thead, svg")
				&& one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName + "#" + one.id + "." + one.className)`, &wide)
			if len(wide) > 0 {
				t.Errorf("%.40s at %d pixels: wider than the window are %q", at, width, wide[:min(4, len(wide))])
			}
		}
	}
}

// contrasts are the texts on the page whose contrast is below what WCAG 2 asks for (AA).
const contrasts = `(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (one) => { for (; one; one = one.parentElement) { const c = rgba(getComputedStyle(one).backgroundColor); if (c[3] === 255) return c; } return rgba("white"); };
  return [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest(":disabled, .unseen, .skip")
      && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "")).flatMap((one) => {
    const style = getComputedStyle(one);
    const [a, b] = [light(rgba(one instanceof SVGElement ? style.fill : style.color)), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return contrast >= 4.5 ? [] : [contrast.toFixed(2) + " " + one.tagName + "." + one.getAttribute("class") + " " + one.textContent.slice(0, 30)];
  });
})()`

// Text stands out from its ground as WCAG asks (AA), on a light page and on a dark one.
func textStandsOut(t *testing.T, b *browser.Browser) {
	s := troubled(t)
	someKeys(s)
	s.says("GET /cluster/safe-to-stop", 409, map[string]any{"safe": false, "reason": "17 keys have no other copy in sync"})
	p := s.open(b, "", 1280, false)
	for _, at := range []string{"#/cluster", "#/node/10.0.0.11:1234", "#/keys/user%3A1000"} {
		p.Eval(fmt.Sprintf(`location.hash = %q`, at), nil)
		switch {
		case strings.HasPrefix(at, "#/keys"):
			p.Await(`document.querySelector("#owners table")`)
			p.Eval(`document.querySelector("#editor").hidden = false`, nil)
		case strings.HasPrefix(at, "#/node"):
			p.click("Safe to stop?")
			p.shows("#node-ask-safety", "Not safe")
		}
		for _, dark := range []bool{false, true} {
			p.Look(1280, 800, dark)
			var low []string
			if p.Eval(contrasts, &low); len(low) > 0 {
				t.Errorf("%s, dark %t: too low is the contrast of %q", at, dark, low)
			}
		}
		p.Eval(`document.querySelector("dialog[open]")?.close()`, nil)
	}
}

// The ring says who owns a partition, by the pointer and by the keyboard, and marks those that are
// hot. A node in the legend is looked for in it.
func theRingIsRead(t *testing.T, b *browser.Browser) {
	s := newStand(t, 6, 3)
	ring := s.ring()
	p := s.open(b, "", 1280, false)
	p.Await(`document.querySelectorAll("#ring path.tinted").length > 0 && document.querySelectorAll("#hot li").length === 4`)
	p.Eval(`document.querySelector("#ring").focus()`, nil)
	p.Press(kb.End)
	last := ring.Owners[len(ring.Owners)-1]
	p.shows("#ring-facts", ring.Nodes[last[0]].Name+" (zone "+ring.Nodes[last[0]].Zone+")")
	p.shows("#ring-facts", ring.Nodes[last[1]].Name)
	p.Press(kb.ArrowRight)
	p.Await(`document.querySelector("#ring").getAttribute("aria-valuenow") === "0"`)
	p.Await(fmt.Sprintf(`document.querySelector("#ring").getAttribute("aria-valuetext").includes(%q)`, ring.Nodes[ring.Owners[0][0]].Name))
	var marks, zones, pale int
	p.Eval(`document.querySelectorAll("#ring .hot path").length`, &marks)
	p.Eval(`document.querySelectorAll("#ring-legend .zone").length`, &zones)
	if marks != 4 || zones != 3 {
		t.Errorf("the ring has %d marks and %d zones", marks, zones)
	}
	p.Eval(`document.querySelector("#hot button").click()`, nil)
	p.shows("#ring-facts", "Partition 417 is hot")
	p.Eval(`document.querySelector("#ring-legend button").click()`, nil)
	p.Eval(`document.querySelectorAll("#ring path.tinted:not(.pale)").length`, &pale)
	if pale != 1 {
		t.Errorf("%d sectors of one node stand out", pale)
	}
}

// A page that gets no answer says since when it is stale, keeps what it has seen, and goes on by
// itself.
func whatIsOldIsSaidToBe(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	p := s.open(b, "", 1280, false, quick)
	s.polled(10)
	p.Await(`document.querySelector("#charts path.line").getAttribute("d").split("L").length > 5`)
	s.says("GET /cluster", 503, api.Error{Error: "too much is going on"})
	p.shows("#trouble", "Cannot read the state of the cluster: too much is going on. What is shown is from")
	p.shows("#answering", "nothing heard for")
	var points int
	if p.Eval(`document.querySelector("#charts path.line").getAttribute("d").split("L").length`, &points); points <= 5 {
		t.Errorf("of what was seen %d points are left", points)
	}
	s.says("GET /cluster", 0, nil)
	p.Await(`document.querySelector("#trouble").hidden && !document.body.classList.contains("stale")`)
	s.says("GET /cluster/stats", 500, api.Error{Error: "no counters"})
	p.shows("#stats-trouble", "There are no rates now: no counters.")
	p.shows("#health", "Healthy")
	s.says("GET /cluster/stats", 0, nil)
	p.Await(`document.querySelector("#stats-trouble").hidden`)
}

// Before a node leaves or is removed, the page shows whether it is safe to stop. It asks the node
// that answers alone to leave; how another does is said.
func stoppingIsAskedFirst(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	s.change(func(c *api.Cluster) { c.Nodes[2].State = api.StateDown })
	s.says("GET /cluster/safe-to-stop", 409, map[string]any{"safe": false, "reason": "17 keys have no other copy in sync, <b>wait</b>", "waits": []any{
		map[string]any{"node": "10.0.0.12:1234", "reason": "fetches its share", "seconds_left": 61.2},
	}})
	s.says("DELETE /cluster/nodes/10.0.0.13:1234", 409, api.Error{Error: "it is up"})
	s.says("POST /cluster/leave", 202, api.Leaving{Node: s.cluster.Node, Partitions: 12, Bytes: 5 << 20})
	p := s.open(b, "#/node/10.0.0.13:1234", 800, false)
	p.click("Remove…")
	p.shows("#node-ask-safety", "✕ Not safe to stop\n17 keys have no other copy in sync, <b>wait</b>.\n10.0.0.12:1234: fetches its share, 1 min 2 s left")
	if s.wasAsked("DELETE /cluster/nodes/10.0.0.13%3A1234") {
		t.Error("the node was removed without a yes")
	}
	p.click("Remove")
	p.shows("#node-ask-text", "That did not work: It is up.")
	p.click("Close")
	s.says("DELETE /cluster/nodes/10.0.0.13:1234", 204, nil)
	p.click("Remove…")
	p.shows("#node-ask-safety", "Not safe")
	p.click("Remove")
	p.shows("#node-ask-text", "It is off the ring.")
	p.click("Close")

	s.says("GET /cluster/safe-to-stop", 200, map[string]any{"safe": true, "reason": ""})
	p.Eval(`location.hash = "#/node/10.0.0.12:1234"`, nil)
	p.click("Leave…")
	p.shows("#node-ask-safety", "✓ Safe to stop")
	p.shows("#node-ask-text", "httpdhs leave 10.0.0.12:1234")
	p.Await(`document.querySelector("#node-ask-yes").hidden`)
	p.click("Close")
	if s.wasAsked("POST /cluster/leave") {
		t.Error("the node that answers was asked to leave for another")
	}
	p.Eval(`location.hash = "#/node/10.0.0.11:1234"`, nil)
	p.click("Leave…")
	p.shows("#node-ask-safety", "✓ Safe to stop")
	p.click("Leave")
	p.shows("#node-ask-text", "It is leaving, with 12 partitions and 5.0 MiB to hand over.")
	if !s.wasAsked("POST /cluster/leave") {
		t.Error("the node was not asked to leave")
	}
}
