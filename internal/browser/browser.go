// Package browser runs a headless Chromium for tests of what pages may do to a node, and of the
// console. It speaks the DevTools protocol over a pipe, so it needs no driver and no library.
//
// Nothing here sleeps in hope: what is waited for is an answer or a condition, with a deadline that
// only a fault reaches. A Browser may be used by many goroutines at once.
package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// names are those by which Chromium is installed.
var names = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"}

// flags keep it from asking for anything but what a test opens, and from what root may not use.
var flags = []string{
	"--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
	"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
}

// Browser is a running Chromium with a profile of its own.
type Browser struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     *os.File
	stderr bytes.Buffer  // to be read when it has ended
	ended  chan struct{} // closed when the browser says nothing any more

	mu    sync.Mutex // guards all below, and writing to in
	last  int        // id of a command
	waits map[int]chan<- reply
}

// Page is a tab.
type Page struct {
	b       *Browser
	session string
}

type reply struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Start runs a browser until the end of the test. Where there is none, the test is skipped.
func Start(t testing.TB, more ...string) *Browser {
	t.Helper()
	path := ""
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("Chromium is not installed (apt-get install chromium)")
	}
	profile, err := os.MkdirTemp("", "httpdhs-browser-")
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, ended: make(chan struct{}), waits: make(map[int]chan<- reply)}
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.in = in
	b.cmd = exec.Command(path, append(append(flags, "--user-data-dir="+profile), more...)...)
	b.cmd.Env = append(os.Environ(), "HOME="+profile) // not the user's own
	b.cmd.Stderr = &b.stderr
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the flag wants them
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirIn.Close()
	_ = theirOut.Close()
	go b.listen(out)
	t.Cleanup(func() {
		b.close()
		_ = os.RemoveAll(profile)
	})
	return b
}

// close ends the browser: it does so by itself when nobody commands it any more.
func (b *Browser) close() {
	_ = b.in.Close()
	select {
	case <-b.ended:
	case <-time.After(poll.Patience):
		_ = b.cmd.Process.Kill()
	}
	_ = b.cmd.Wait() // what it has to say is in stderr
	if b.t.Failed() {
		b.t.Logf("the browser wrote:\n%s", b.stderr.String())
	}
}

// listen delivers replies. What else the browser says, nobody has asked for.
func (b *Browser) listen(out *os.File) {
	defer out.Close()
	defer close(b.ended)
	for r := bufio.NewReader(out); ; {
		message, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var said reply
		if json.Unmarshal(bytes.TrimSuffix(message, []byte{0}), &said) != nil || said.ID == 0 {
			continue
		}
		b.mu.Lock()
		wait := b.waits[said.ID]
		delete(b.waits, said.ID)
		b.mu.Unlock()
		if wait != nil {
			wait <- said
		}
	}
}

// do sends a command and reads its result into the value that result points to.
func (b *Browser) do(session, method string, params map[string]any, result any) error {
	wait := make(chan reply, 1)
	b.mu.Lock()
	b.last++
	message, err := json.Marshal(struct {
		ID      int            `json:"id"`
		Session string         `json:"sessionId,omitempty"`
		Method  string         `json:"method"`
		Params  map[string]any `json:"params"`
	}{b.last, session, method, params})
	if err == nil {
		b.waits[b.last] = wait
		_, err = b.in.Write(append(message, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case said := <-wait:
		if said.Error != nil {
			return fmt.Errorf("%s: %s", method, said.Error.Message)
		}
		return json.Unmarshal(said.Result, result)
	case <-b.ended:
		return fmt.Errorf("%s: the browser has ended", method)
	case <-time.After(poll.Patience):
		return fmt.Errorf("%s: no answer in %s", method, poll.Patience)
	}
}

// Open opens a page, and returns when it is loaded.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	err := b.do("", "Target.createTarget", map[string]any{"url": url}, &target)
	if err == nil {
		err = b.do("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	p := &Page{b: b, session: attached.SessionID}
	p.Await(`location.href !== "about:blank" && document.readyState === "complete"`)
	return p
}

// Eval evaluates an expression in the page, and waits for it if it is a promise. It reads the
// result, by way of JSON, into the value that result points to. With nil nobody wants it.
func (p *Page) Eval(expression string, result any) {
	p.b.t.Helper()
	if err := p.eval(expression, result); err != nil {
		p.b.t.Fatalf("%v\nin %s", err, expression)
	}
}

func (p *Page) eval(expression string, result any) error {
	var said struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	err := p.b.do(p.session, "Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &said)
	switch {
	case err != nil:
		return err
	case said.Exception != nil:
		return fmt.Errorf("%s %s", said.Exception.Text, said.Exception.Exception.Description)
	case result == nil:
		return nil
	}
	return json.Unmarshal(said.Result.Value, result)
}

// Await waits until an expression is true. While the page is being replaced, it is not.
func (p *Page) Await(expression string) {
	p.b.t.Helper()
	err := poll.Within(poll.Patience, func() error {
		holds := false
		if err := p.eval("!!("+expression+")", &holds); err != nil {
			return err
		}
		if !holds {
			return errors.New("it is false")
		}
		return nil
	})
	if err == nil {
		return
	}
	var shown string
	_ = p.eval("document.body.innerText", &shown)
	p.b.t.Fatalf("it never came to %s (%v); the page shows:\n%s", expression, err, shown)
}
