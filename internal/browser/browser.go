// Package browser runs a headless Chromium for tests of what pages may do to a node, and of the
// console. It is a thin layer over chromedp, with the waits and the failures of a test.
//
// Nothing here sleeps in hope: what is waited for is an answer or a condition, with a deadline that
// only a fault reaches. A Browser may be used by many goroutines at once, a Page by one at a time.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"httpdhs/internal/poll"
	"httpdhs/internal/syncbuf"
)

// names are those by which Chromium is installed.
var names = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"}

// flags keep it from asking for anything but what a test opens, and from what root may not use.
// All names under example, which nobody has, are those of this machine.
var flags = map[string]any{
	"headless": true, "no-sandbox": true, "disable-gpu": true, "disable-dev-shm-usage": true, "disable-quic": true, "no-first-run": true,
	"disable-background-networking": true, "disable-component-update": true, "disable-sync": true, "disable-extensions": true,
	"hide-scrollbars": true, "force-color-profile": "srgb", "host-resolver-rules": "MAP *.example 127.0.0.1",
}

// Shared is a Chromium for all tests of a process: to start one takes longer than most of them. It
// runs from the first Start to Close. The zero value is ready, and safe for concurrent use.
type Shared struct {
	mu      sync.Mutex      // guards all
	ctx     context.Context // of chromedp; nil: it does not run
	wrote   *syncbuf.Buffer
	release func()
}

// Browser is a Chromium as one test has it: with a profile of its own, that starts empty.
type Browser struct {
	t   testing.TB
	ctx context.Context // of chromedp
}

// Page is a tab. It is open until the end of its test.
type Page struct {
	t   testing.TB
	ctx context.Context // of chromedp
}

// For is the same browser for a part of the test, or for one that runs within it.
func (b *Browser) For(t testing.TB) *Browser { return &Browser{t: t, ctx: b.ctx} }

// Start runs a browser until the end of the test. Where there is none, the test is skipped.
func Start(t testing.TB) *Browser {
	t.Helper()
	alone := new(Shared)
	t.Cleanup(alone.Close)
	return alone.Start(t)
}

// Start gives a test a profile of its own until its end. Where there is no browser, the test is
// skipped.
func (s *Shared) Start(t testing.TB) *Browser {
	t.Helper()
	running, wrote, err := s.run()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("Chromium is not installed (apt-get install chromium)")
	}
	if err != nil {
		t.Fatal(err)
	}
	before := len(wrote.String())
	ctx, cancel := chromedp.NewContext(running, chromedp.WithNewBrowserContext())
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("the browser wrote meanwhile:\n%s", wrote.String()[before:])
		}
	})
	if err := chromedp.Do(ctx); err != nil { // makes the profile
		t.Fatal(err)
	}
	return &Browser{t: t, ctx: ctx}
}

// run starts Chromium if it does not run.
func (s *Shared) run() (context.Context, *syncbuf.Buffer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil {
		return s.ctx, s.wrote, nil
	}
	path, err := find()
	if err != nil {
		return nil, nil, err
	}
	profile, err := os.MkdirTemp("", "httpdhs-browser-")
	if err != nil {
		return nil, nil, err
	}
	s.wrote = new(syncbuf.Buffer)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.CombinedOutput(s.wrote),
		chromedp.Env("HOME=" + profile), // not the user's own
	}
	for name, value := range flags {
		options = append(options, chromedp.Flag(name, value))
	}
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	s.release = func() {
		patient, done := context.WithTimeout(ctx, poll.Patience)
		_ = chromedp.Cancel(patient) // what it has to say is in wrote
		done()
		cancel()
		release()
		_ = os.RemoveAll(profile)
	}
	if err := chromedp.Do(ctx); err != nil { // starts it
		s.release()
		return nil, nil, fmt.Errorf("cannot start Chromium: %w; it wrote:\n%s", err, s.wrote)
	}
	s.ctx = ctx
	return s.ctx, s.wrote, nil
}

// Close ends it, once no test uses it. Another Start runs it again.
func (s *Shared) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil {
		s.release()
		s.ctx = nil
	}
}

// find is where Chromium is installed.
func find() (path string, err error) {
	for _, name := range names {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// run does something in a tab, with a deadline.
func run[T any](ctx context.Context, action chromedp.Action[T]) (T, error) {
	patient, done := context.WithTimeout(ctx, poll.Patience)
	defer done()
	return chromedp.Run(patient, action)
}

// Blank opens a tab with nothing in it.
func (b *Browser) Blank() *Page {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatal(err)
	}
	return &Page{t: b.t, ctx: ctx}
}

// Open opens a page in a tab of its own, and returns when it is loaded.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	p := b.Blank()
	p.Go(url)
	return p
}

// Go opens another page in the tab.
func (p *Page) Go(url string) {
	p.t.Helper()
	if _, err := run(p.ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatalf("%s: %v", url, err)
	}
}

// Look gives the page a size in pixels, and the user a taste for dark pages or light ones. Nothing
// moves in it.
func (p *Page) Look(width, height int, dark bool) {
	p.t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	_, err := run(p.ctx, chromedp.Steps(
		chromedp.EmulateViewport(int64(width), int64(height)),
		chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}})
			return err
		}),
	))
	if err != nil {
		p.t.Fatal(err)
	}
}

// Press sends keys as the keyboard does. Those without a character are in chromedp's package kb.
func (p *Page) Press(keys string) {
	p.t.Helper()
	if _, err := run(p.ctx, chromedp.KeyEvent(keys)); err != nil {
		p.t.Fatal(err)
	}
}

// Picture is what is seen of the page, as PNG.
func (p *Page) Picture() []byte {
	p.t.Helper()
	png, err := run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	return png
}

// Eval evaluates an expression in the page, and waits for it if it is a promise. It reads the
// result, by way of JSON, into the value that result points to. With nil nobody wants it.
func (p *Page) Eval(expression string, result any) {
	p.t.Helper()
	if err := p.eval(expression, result); err != nil {
		p.t.Fatalf("%v\nin %s", err, expression)
	}
}

func (p *Page) eval(expression string, result any) error {
	asUser := func(params *runtime.EvaluateParams) { params.UserGesture = new(true) }
	value, err := run(p.ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise, chromedp.EvalAsValue, asUser))
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(value, result)
}

// Await waits until an expression is true. While the page is being replaced, it is not.
func (p *Page) Await(expression string) {
	p.t.Helper()
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
	shown := fmt.Sprint("nothing: ", p.ctx.Err())
	_ = p.eval("document.body.innerText", &shown)
	p.t.Fatalf("it never came to %s (%v); the page shows:\n%s", expression, err, shown)
}

// Before has a script run in every page that the tab opens from now on, before those of the page.
func (p *Page) Before(script string) {
	p.t.Helper()
	add := chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})
	if _, err := run(p.ctx, add); err != nil {
		p.t.Fatal(err)
	}
}
