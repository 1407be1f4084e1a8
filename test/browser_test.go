package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browser is a Chromium without a window, that is told what to do in the DevTools protocol: JSON
// messages, a NUL behind each, over two pipes.
type browser struct {
	t       *testing.T
	cmd     *exec.Cmd
	to      *os.File
	from    *bufio.Reader
	answers chan browserAnswer // in the order of the questions: there is one at a time
	id      int
	session string // of the page
}

type browserAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// browse opens a page in a browser of its own. The test is skipped where there is none.
func browse(t *testing.T, url string) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium here: what the page does in a browser is not tested")
	}
	b := &browser{t: t, answers: make(chan browserAnswer)}
	b.start(path)
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call("Target.createTarget", map[string]any{"url": url}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	return b
}

func (b *browser) start(path string) {
	b.t.Helper()
	in, to, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.to, b.from = to, bufio.NewReader(from)
	var said output
	// As root there is no sandbox; the page is this test's own. The rest keeps it off the network.
	b.cmd = exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+b.t.TempDir(), "--remote-debugging-pipe", "about:blank")
	b.cmd.ExtraFiles = []*os.File{in, out}
	b.cmd.Stdout, b.cmd.Stderr = &said, &said
	endWithParent(b.cmd)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	in.Close()
	out.Close()
	go b.listen()
	b.t.Cleanup(func() {
		b.session = ""
		if b.id > 0 && !b.t.Failed() {
			b.call("Browser.close", nil, nil) // else its helpers may still write into the directory that is removed
		} else {
			_ = b.cmd.Process.Kill()
		}
		_ = b.cmd.Wait()
		to.Close()
		from.Close()
		if b.t.Failed() {
			b.t.Logf("the browser wrote:\n%s", &said)
		}
	})
}

// listen passes the answers on, until the browser is gone. What happens meanwhile, and is no answer, is not asked for.
func (b *browser) listen() {
	defer close(b.answers)
	for {
		message, err := b.from.ReadBytes(0)
		if err != nil {
			return
		}
		var a browserAnswer
		if err := json.Unmarshal(message[:len(message)-1], &a); err == nil && a.ID > 0 {
			b.answers <- a
		}
	}
}

// call has the browser do something and waits for what comes of it.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.id++
	message := map[string]any{"id": b.id, "method": method, "params": params}
	if params == nil {
		delete(message, "params")
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: the browser is gone: %v", method, err)
	}
	select {
	case a, ok := <-b.answers:
		if !ok || a.ID != b.id || a.Error != nil {
			b.t.Fatalf("%s: %v %d %s", method, ok, a.ID, a.Error)
		}
		if result != nil {
			if err := json.Unmarshal(a.Result, result); err != nil {
				b.t.Fatalf("%s: %v in %s", method, err, a.Result)
			}
		}
	case <-time.After(patience):
		b.t.Fatalf("%s: the browser does not answer", method)
	}
}

// eval runs an expression in the page, waits for it where it is a promise, and returns its value.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var got struct {
		Result struct {
			Value any
		}
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	return got.Result.Value
}

// until waits until an expression is true in the page.
func (b *browser) until(condition string) {
	b.t.Helper()
	eventually(b.t, condition, func() error {
		if b.eval("Boolean("+condition+")") != true {
			return fmt.Errorf("the page has\n%v", b.eval(`document.readyState + " " + document.body?.innerText`))
		}
		return nil
	})
}

// quoted is s as a string of JavaScript.
func quoted(s string) string {
	text, _ := json.Marshal(s)
	return strings.ReplaceAll(string(text), "\u2028", `\u2028`)
}
