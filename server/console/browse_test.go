package console

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"httpdhs/api"
	"httpdhs/internal/browser"
	"httpdhs/internal/poll"
)

// A value is shown by its kind: JSON with line breaks and its numbers as they are written, an image
// as one though its type does not say so, what is no text in hex. Of 8 MiB a part is shown.
func valuesAreShownByTheirKind(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	someKeys(s)
	s.values["empty"], s.values["one"] = standValue{kind: "text/plain"}, standValue{kind: "text/plain", body: []byte("x")}
	s.values["liar"] = standValue{kind: "application/json", body: []byte("{not json")}
	s.values["markup"] = standValue{kind: "text/html", body: []byte("<script>faults.push('ran')</script><img src=x onerror=\"faults.push('ran')\">")}
	p := s.open(b, "#/keys/user%3A1000", 1280, false)
	p.shows("#result pre", "\"id\": 12345678901234567890,\n  \"name\": \"Ada \\\"the first\\\" Lovelace\",\n  \"tags\": [\n    \"a\",\n    \"b\",\n    {}\n  ],")
	p.shows("#result", "in 1 h 2")
	p.click("Text")
	p.shows("#result pre", `{"id":12345678901234567890,"name"`)
	p.click("Hex")
	p.shows("#result pre", "000000  7b 22 69 64")
	p.shows("#owners", "All 2 copies are the same.")
	p.shows("#owners", "18a6f5e2c0410001")

	see := func(key string) {
		t.Helper()
		p.Eval(fmt.Sprintf(`location.hash = "#/keys/%s"`, key), nil)
		p.Await(fmt.Sprintf(`document.querySelector("#key").value === %q && !document.querySelector("#key-form button").disabled`, key))
	}
	see("picture.png")
	p.Await(`document.querySelector("#result img")?.naturalWidth === 240`)
	p.shows("#result", "240 × 120 pixels")
	see("blob")
	p.shows("#result pre", "000000  00 01 fe 61 62")
	see("liar")
	p.shows("#result pre", "{not json")
	see("empty")
	p.shows("#result", "The value is empty.")
	see("one")
	p.Await(`/\b1 byte\b/.test(document.querySelector("#result").innerText)`)
	see("markup")
	p.shows("#result pre", "<script>")
	see("large")
	p.shows("#result", "the first 64.0 KiB shown")
	var size int
	if p.Eval(`document.querySelector("#result").textContent.length`, &size); size > 70_000 {
		t.Errorf("of a large value %d characters are on the page", size)
	}
	see("none")
	p.shows("#result", "No such key.")
}

// Keys of any bytes are listed and opened: the request has exactly their bytes.
func anyKeyIsOpened(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	someKeys(s)
	p := s.open(b, "#/keys", 1280, false)
	p.Await(fmt.Sprintf(`document.querySelectorAll("#keys li").length === %d`, len(s.keys)))
	for label, segment := range map[string]string{
		"a key with spaces":            "a%20key%20with%20spaces",
		"line%0Abreak%09and%20more":    "line%0Abreak%09and%20more",
		"%FF%00%80%FE":                 "%FF%00%80%FE",
		"<img src=x onerror=alert(1)>": "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E",
		"schlüssel/ключ/鍵":             strings.ReplaceAll(url.PathEscape("schlüssel/ключ/鍵"), "/", "%2F"),
	} {
		p.Eval(fmt.Sprintf(`[...document.querySelectorAll("#keys button")].find((one) => one.innerText === %q).click()`, label), nil)
		p.Await(`document.querySelector("#owners").innerText !== "" && !document.querySelector("#key-form button").disabled`)
		if !s.wasAsked("GET /db/" + segment) {
			t.Errorf("for %q the page did not ask for %s", label, segment)
		}
	}
	s.says("GET /db", 503, api.Error{Error: "too few are up"})
	p.Eval(`document.querySelector("#prefix").value = "ä&limit=1"`, nil)
	p.click("List")
	p.shows("#list-status", "Too few are up.")
	if !s.wasAsked("GET /db?limit=50&prefix=%C3%A4%26limit%3D1") {
		t.Error("the prefix was not sent as it is")
	}
}

// The keyboard is enough: a stroke for the search, arrows in the list, enter opens, escape closes.
// The tabulator comes to all that can be pressed, and each shows that it has the focus.
func theKeyboardIsEnough(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	someKeys(s)
	p := s.open(b, "", 1280, false)
	p.Press("/")
	p.Await(`document.activeElement.id === "prefix" && location.hash === "#/keys"`)
	p.Await(`document.querySelectorAll("#keys li").length > 3`)
	p.Eval(`document.activeElement.value = ""`, nil) // a browser that is driven types the stroke all the same
	p.Press("user:" + kb.Enter)
	poll.True(t, "enter lists", func() bool { return s.wasAsked("GET /db?limit=50&prefix=user%3A") })
	p.Await(`document.querySelector("#list-status").innerText.includes("keys")`)
	p.Press(kb.ArrowDown + kb.ArrowDown + kb.ArrowUp)
	p.Await(`document.activeElement.innerText === "user:1000"`)
	p.Press(kb.Enter)
	p.shows("#result", "Found.")
	p.Await(`document.activeElement.innerText === "user:1000"`) // the next arrow goes on from here
	p.Eval(`document.querySelector("#key-form button[value=delete]").focus()`, nil)
	p.Press(kb.Enter)
	p.Await(`document.querySelector("#confirm").open && document.activeElement.id === "confirm-no"`)
	p.Press(kb.Escape)
	p.Await(`!document.querySelector("#confirm").open`)
	if s.wasAsked("DELETE /db/user%3A1000") {
		t.Error("escape deletes")
	}
	p.Eval(`document.activeElement.blur()`, nil)
	p.Press("?")
	p.Await(`document.querySelector("#help").open`)
	p.Press(kb.Escape)

	for _, at := range []string{"#/cluster", "#/node/10.0.0.11:1234", "#/keys/user%3A1000"} {
		p.Eval(fmt.Sprintf(`location.hash = %q`, at), nil)
		p.Eval(`document.activeElement.blur(); window.reached = new Set(); window.bare = []`, nil)
		const can = `[...document.querySelectorAll("a[href], button:enabled, input, select, textarea, [tabindex='0']")].filter((one) => one.checkVisibility())`
		p.Await(can + `.length > 5`)
		var all int
		p.Eval(can+`.length`, &all)
		for range all + 3 {
			p.Press(kb.Tab)
			p.Eval(`reached.add(document.activeElement); if (document.activeElement !== document.body && getComputedStyle(document.activeElement).outlineStyle === "none") bare.push(document.activeElement.outerHTML.slice(0, 80))`, nil)
		}
		var missed, bare, nameless []string
		p.Eval(can+`.filter((one) => !reached.has(one)).map((one) => one.outerHTML.slice(0, 80))`, &missed)
		p.Eval(`bare`, &bare)
		p.Eval(can+`.filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length)).map((one) => one.outerHTML.slice(0, 80))`, &nameless)
		if len(missed)+len(bare)+len(nameless) > 0 {
			t.Errorf("%s: not reached %q; no sign of the focus at %q; without a name %q", at, missed, bare, nameless)
		}
	}
}

// The theme is the browser's, or the one that was chosen: then it is kept.
func theThemeIsKept(t *testing.T, b *browser.Browser) {
	p := newStand(t, 3, 0).open(b, "", 1280, true)
	ground := func() (color string) {
		p.Eval(`getComputedStyle(document.body).backgroundColor`, &color)
		return color
	}
	dark := ground()
	p.click("Auto")
	light := ground()
	if dark == light {
		t.Errorf("light and dark are the same, %s", dark)
	}
	p.Eval(`window.before = true; location.reload()`, nil)
	p.Await(`!window.before && document.querySelector("#theme")?.innerText === "Light"`)
	if got := ground(); got != light {
		t.Errorf("after a reload the ground is %s, want %s", got, light)
	}
	p.click("Light")
	p.click("Dark")
	if got := ground(); got != dark {
		t.Errorf("by itself the ground is %s, want %s", got, dark)
	}
}

// Where the cluster wants a token, the page asks for it, sends it, and keeps it for the tab alone.
func theTokenIsAskedFor(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	p := s.open(b, "", 1280, false, quick)
	for _, path := range []string{"/cluster", "/cluster/stats"} {
		s.says("GET "+path, 401, api.Error{Error: "no token"})
	}
	p.Await(`!document.querySelector("#auth").hidden && document.activeElement.id === "token"`)
	for _, path := range []string{"/cluster", "/cluster/stats"} {
		s.says("GET "+path, 0, nil)
	}
	p.Press("secret" + kb.Enter)
	p.Await(`document.querySelector("#auth").hidden && sessionStorage.getItem("httpdhs-token") === "secret" && localStorage.length === 0`)
	p.shows("#health", "Healthy")
	s.mu.Lock()
	polls := s.polls
	s.mu.Unlock()
	s.polled(polls + 1)
	if !s.wasAsked("Bearer secret") {
		t.Error("the token was not sent")
	}
}

// A value gets another time to live, by a request that has the tag of what was shown.
func anExpiryIsGiven(t *testing.T, b *browser.Browser) {
	s := newStand(t, 3, 0)
	someKeys(s)
	p := s.open(b, "#/keys/blob", 1280, false)
	p.shows("#result", "Found.")
	p.click("Time to live…")
	p.shows("#expiry", "It does not expire.")
	p.Press("90s" + kb.Enter)
	p.shows("#result", "It has another time to live.")
	if !s.wasAsked("POST /db/blob?ttl=90s") {
		t.Error("the page did not ask for it")
	}
}
