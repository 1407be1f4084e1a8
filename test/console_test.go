package test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"httpdhs/internal/browser"
	"httpdhs/internal/poll"
)

// consolePage is the console of a node, in a browser.
type consolePage struct {
	*browser.Page
	t *testing.T
	c *cluster
}

func openConsole(t *testing.T, c *cluster) *consolePage {
	t.Helper()
	p := &consolePage{startBrowser(t).Open(c.url(0) + "/"), t, c}
	p.Await(`document.querySelectorAll("#nodes tr").length === 3`)
	return p
}

// do has the page do something.
func (p *consolePage) do(expression string) {
	p.t.Helper()
	p.Eval(expression, nil)
}

// set fills a field in; press clicks a button, and waits until the form has done what it says or
// asks first.
func (p *consolePage) set(id, text string) {
	p.t.Helper()
	p.do(fmt.Sprintf(`document.getElementById(%q).value = %q`, id, text))
}

func (p *consolePage) press(action string) {
	p.t.Helper()
	p.do(fmt.Sprintf(`document.querySelector("#key-form button[value=%s]").click()`, action))
	p.Await(`document.getElementById("confirm").open || !document.querySelector("#key-form button").disabled`)
}

// answer presses a button of the question that the page asks.
func (p *consolePage) answer(yes bool, asked string) {
	p.t.Helper()
	p.Await(`document.getElementById("confirm").open`)
	var text string
	if p.Eval(`document.getElementById("confirm").innerText`, &text); !strings.Contains(text, asked) {
		p.t.Errorf("the page asks %q, without %q", text, asked)
	}
	button := map[bool]string{true: "confirm-yes", false: "confirm-no"}[yes]
	p.do(fmt.Sprintf(`document.getElementById(%q).click()`, button))
	p.Await(`!document.getElementById("confirm").open && !document.querySelector("#key-form button").disabled`)
}

// shows waits until the outcome has a text.
func (p *consolePage) shows(text string) {
	p.t.Helper()
	p.Await(fmt.Sprintf(`document.getElementById("result").innerText.includes(%q)`, text))
}

// editor is what is in the editor.
func (p *consolePage) editor() (text string) {
	p.t.Helper()
	p.Eval(`document.getElementById("value").value`, &text)
	return text
}

func (p *consolePage) wantEditor(text string) {
	p.t.Helper()
	if got := p.editor(); got != text {
		p.t.Errorf("the editor has %q, want %q", got, text)
	}
}

// wantStored says what a node has for a key, over HTTP.
func (p *consolePage) wantStored(key, value, contentType string) {
	p.t.Helper()
	a := send(p.t, p.c.addr(1), "GET", "/db/"+key, "")
	if a.status != 200 || string(a.body) != value || a.header.Get("Content-Type") != contentType {
		p.t.Errorf("%s is %d %q %s, want %q %s", key, a.status, a.body, a.header.Get("Content-Type"), value, contentType)
	}
}

// Whoever looks at a key in the console and puts it again stores what was there, type and line ends
// too: what is shown is in the editor. What is there already is not replaced or deleted unasked.
// Nor is it when somebody else has changed it since it was shown: then the page offers to load
// that.
func TestConsoleDestroysNothing(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	const key, value, kind = "console/a b", "one\r\ntwö\r\n", "text/markdown"
	const target = "console/a%20b"
	const caching = "public, max-age=60"
	p := openConsole(t, c)
	send(t, c.addr(1), "PUT", "/db/"+target, value, "Content-Type: "+kind, "Cache-Control: "+caching)

	p.set("prefix", "console/")
	p.do(`document.querySelector("#list-form button").click()`)
	p.Await(`document.querySelectorAll("#keys li").length === 1`)
	p.do(`document.querySelector("#keys button").click()`)
	p.shows("Found.")
	p.wantEditor("one\ntwö\n")
	p.press("put")
	p.answer(true, "Replace the value of “"+key+"”?")
	p.shows("Stored in place of another value.")
	p.wantStored(target, value, kind)
	if got := send(t, c.addr(1), "GET", "/db/"+target, "").header.Get("Cache-Control"); got != caching {
		t.Errorf("its Cache-Control is %q, want %q", got, caching)
	}

	// Changed by somebody else: nothing is replaced, and what was typed is not lost.
	p.set("value", "mine")
	send(t, c.addr(2), "PUT", "/db/"+target, "theirs", "Content-Type: "+kind)
	p.press("put")
	p.answer(true, "11 bytes are replaced with 4.")
	p.shows("Somebody else has changed this key")
	p.wantStored(target, "theirs", kind)
	p.do(`document.querySelector("#result button").click()`)
	p.shows("Found.")
	p.wantEditor("theirs")
	p.do(`document.querySelector("#result .buttons button").click()`)
	p.wantEditor("mine")
	p.press("delete")
	p.answer(false, "Delete “"+key+"”?")
	p.press("put")
	p.answer(true, "Replace")
	p.shows("Stored in place of another value.")
	p.wantStored(target, "mine", kind)

	send(t, c.addr(2), "PUT", "/db/"+target, "theirs again", "Content-Type: "+kind)
	p.press("delete")
	p.answer(true, "Delete")
	p.shows("Somebody else has changed this key")
	p.wantStored(target, "theirs again", kind)

	// Deleted, when it is what was shown: then it is off the list too.
	p.press("get")
	p.shows("Found.")
	p.press("delete")
	p.answer(true, "Its value has 12 bytes.")
	p.shows("Deleted.")
	p.Await(`document.querySelectorAll("#keys li").length === 0`)
	if a := send(t, c.addr(1), "GET", "/db/"+target, ""); a.status != 404 {
		t.Errorf("after it was deleted: %d %q", a.status, a.body)
	}
}

// A key that was not shown is taken for new: what is there already is not replaced. What an editor
// would change is not put into it, and its loss is asked about.
func TestConsoleReplacesNothingUnseen(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	p := openConsole(t, c)
	p.set("key", "console-new")
	p.set("value", "new")
	p.press("put")
	p.shows("Stored as a new key.")
	p.wantStored("console-new", "new", "text/plain; charset=utf-8")

	send(t, c.addr(1), "PUT", "/db/console-unseen", "there before", "Content-Type: a/b")
	p.set("key", "console-unseen")
	p.press("put")
	p.shows("There is a value under this key, which was not shown here.")
	p.wantStored("console-unseen", "there before", "a/b")
	p.press("delete")
	p.answer(false, "Its value has 12 bytes.")
	p.wantEditor("new")
	p.wantStored("console-unseen", "there before", "a/b")

	const binary = "\x00\xff\r\n"
	send(t, c.addr(1), "PUT", "/db/console-binary", binary, "Content-Type: a/b")
	p.set("key", "console-binary")
	p.press("get")
	p.shows("The editor is empty")
	p.wantEditor("")
	p.press("put")
	p.answer(false, "They were not in the editor.")
	p.wantStored("console-binary", binary, "a/b")

	// A lone carriage return, which an editor makes a line end of.
	send(t, c.addr(1), "PUT", "/db/console-binary", "a\rb\n", "Content-Type: a/b")
	p.press("get")
	p.shows("The editor is empty")
	p.wantStored("console-binary", "a\rb\n", "a/b")

	p.set("key", "console-none")
	p.press("delete")
	p.shows("No such key.")
}

// A value with a Content-Encoding is shown as the browser decodes it, and replaced by what is in
// the editor: plain, and said to be plain, unless it was the coded value itself that was in the
// editor.
func TestConsoleCodedValues(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	p := openConsole(t, c)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write([]byte("plain text"))
	w.Close()
	packed := zipped.String()
	const key, kind = "console-coded", "text/markdown"
	p.set("key", key)
	coding := func(want string) {
		t.Helper()
		if got := send(t, c.addr(1), "GET", "/db/"+key, "").header.Get("Content-Encoding"); got != want {
			t.Errorf("the Content-Encoding is %q, want %q", got, want)
		}
	}
	for _, name := range []string{"gzip", "x-gzip", "X-GZIP", "gzip, identity", "identity"} {
		send(t, c.addr(1), "PUT", "/db/"+key, packed, "Content-Type: "+kind, "Content-Encoding: "+name)
		p.press("get")
		p.shows("Found.")
		if p.editor() == "" { // a coding that the browser does not undo
			p.shows("The editor is empty")
			p.set("value", "plain text")
		} else {
			p.wantEditor("plain text")
			p.shows(fmt.Sprintf("10 bytes, decoded from %d of %s", len(packed), name))
		}
		p.press("put")
		p.answer(false, fmt.Sprintf("%d bytes are replaced with 10.", len(packed)))
		p.wantStored(key, packed, kind)
		p.press("put")
		p.answer(true, "(Content-Encoding: "+name+"); the new ones are stored without a coding")
		p.shows("Stored in place of another value.")
		p.wantStored(key, "plain text", kind)
		coding("")
	}

	// A coding of which the browser knows nothing: what is shown is what is stored.
	for _, name := range []string{"identity", "own"} {
		send(t, c.addr(1), "PUT", "/db/"+key, "text", "Content-Type: "+kind, "Content-Encoding: "+name)
		p.press("get")
		p.shows("4 bytes")
		p.wantEditor("text")
		for _, text := range []string{"text too", "and more"} {
			p.set("value", text)
			p.press("put")
			p.answer(true, "Replace")
			p.shows("Stored in place of another value.")
			p.wantStored(key, text, kind)
			coding(name)
		}
	}

	// What is not coded as it says cannot be shown. It can be deleted and replaced all the same,
	// and is not mixed up with what was in the editor before.
	for _, name := range []string{"gzip", "x-gzip", "br", "deflate"} {
		p.set("value", "of another key")
		send(t, c.addr(1), "PUT", "/db/"+key, "not coded", "Content-Type: "+kind, "Content-Encoding: "+name)
		p.press("get")
		p.shows("The browser cannot show the 9 bytes of this value")
		p.wantEditor("")
		p.press("put")
		p.answer(false, "9 bytes are replaced with 0. They were not in the editor.")
		p.press("delete")
		p.answer(true, "Its value has 9 bytes.")
		p.shows("Deleted.")
		send(t, c.addr(1), "PUT", "/db/"+key, "not coded", "Content-Encoding: "+name)
		p.set("key", "console-coded-other")
		p.press("get")
		p.shows("No such key.")
		p.set("key", key)
		p.press("delete")
		p.answer(true, "Its value has 9 bytes.")
		p.shows("Deleted.")
	}

	// The type of a form is of the request: with it a node would take the value apart.
	p.set("type", "Application/x-www-form-urlencoded; charset=utf-8")
	p.set("value", "value=a%41")
	p.press("put")
	p.shows("A value cannot have the content type of a form")
	if a := send(t, c.addr(1), "GET", "/db/"+key, ""); a.status != 404 {
		t.Errorf("a form was stored: %q", a.body)
	}
}

// A value that has gone since it was shown is said to have gone, not to have been changed, and is
// put again as a new one.
func TestConsoleSaysWhatHasGone(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	p := openConsole(t, c)
	const key = "console-gone"
	gone := map[string]func(){
		"deleted": func() { send(t, c.addr(1), "DELETE", "/db/"+key, "") },
		"expired": func() {
			send(t, c.addr(1), "PUT", "/db/"+key+"?ttl=1ms", "short")
			poll.Until(t, "the key expires", func() error {
				if a := send(t, c.addr(1), "GET", "/db/"+key, ""); a.status != http.StatusNotFound {
					return fmt.Errorf("GET is %d", a.status)
				}
				return nil
			})
		},
	}
	for how, let := range gone {
		send(t, c.addr(1), "PUT", "/db/"+key, "there", "Content-Type: a/b")
		p.set("prefix", key)
		p.do(`document.querySelector("#list-form button").click()`)
		p.Await(`document.querySelectorAll("#keys li").length === 1`)
		p.do(`document.querySelector("#keys button").click()`)
		p.shows("Found.")
		let()
		p.press("delete")
		p.answer(true, "Its value has 5 bytes.")
		p.shows("There is no value any more: it has expired, or somebody else has deleted it.")
		p.Await(`document.querySelectorAll("#keys li").length === 0`)

		send(t, c.addr(1), "PUT", "/db/"+key, "there", "Content-Type: a/b")
		p.press("get")
		p.shows("Found.")
		let()
		p.press("put")
		p.answer(true, "5 bytes are replaced with 5.")
		p.shows("Put stores it as a new key now.")
		p.press("put")
		p.shows("Stored as a new key.")
		p.wantStored(key, "there", "a/b")
		if t.Failed() {
			t.Fatal("after it was ", how)
		}
	}
}

// In the console a node that is down is removed, and the node that serves the page leaves, each
// after a yes.
func TestConsoleRemovesAndLeaves(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	send(t, c.addr(0), "PUT", "/db/kept", "value")
	p := openConsole(t, c)
	press := func(button string) {
		t.Helper()
		found := fmt.Sprintf(`[...document.querySelectorAll("button")].find((one) => one.checkVisibility() && !one.disabled && one.innerText === %q)`, button)
		p.Await(found)
		p.do(found + ".click()")
	}
	members := func(at, want int) {
		t.Helper()
		poll.Until(t, "there are fewer members", func() error {
			doc, err := c.view(at)
			if err == nil && len(doc.Nodes) != want {
				err = fmt.Errorf("there are %d", len(doc.Nodes))
			}
			return err
		})
	}
	c.kill9(2)
	c.awaitDown(t, 2, 0)
	p.do(fmt.Sprintf(`location.hash = "#/node/%s"`, c.addr(2)))
	press("Remove…")
	press("Remove")
	p.Await(`document.querySelector("#node-ask-text").innerText.includes("It is off the ring.")`)
	members(1, 2)
	press("Close")
	p.Await(`document.querySelector("#view-node").innerText.includes("There is no such member.")`)

	p.do(fmt.Sprintf(`location.hash = "#/node/%s"`, c.addr(0)))
	press("Leave…")
	press("Leave")
	p.Await(`document.querySelector("#node-ask-text").innerText.includes("It is leaving")`)
	members(1, 1)
	if a := send(t, c.addr(1), "GET", "/db/kept", ""); string(a.body) != "value" {
		t.Errorf("after both have gone: %d %q", a.status, a.body)
	}
}
