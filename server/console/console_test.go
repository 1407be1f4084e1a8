package console

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// serve asks the handler; headers are pairs of name and value.
func serve(method, path string, headers ...string) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	Handler()(&ctx)
	return &ctx.Response
}

// Every file is there with its type, and with the headers that keep a browser
// from running anything else.
func TestFilesAreServed(t *testing.T) {
	types := map[string]string{"": "text/html", ".js": "text/javascript", ".css": "text/css"}
	for _, path := range Paths {
		r := serve("GET", path)
		if r.StatusCode() != 200 || len(r.Body()) == 0 || !strings.HasPrefix(string(r.Header.ContentType()), types[filepath.Ext(path)]) {
			t.Errorf("GET %s: status %d, %d bytes of %q", path, r.StatusCode(), len(r.Body()), r.Header.ContentType())
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self';",
			"X-Content-Type-Options":  "nosniff",
		} {
			if got := string(r.Header.Peek(name)); !strings.HasPrefix(got, want) {
				t.Errorf("GET %s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// A browser that has a file already is told so; one that has another is given
// the file.
func TestFilesAreKeptByBrowsers(t *testing.T) {
	for _, path := range Paths {
		etag := string(serve("GET", path).Header.Peek("ETag"))
		for header, want := range map[string]int{
			etag:                    304,
			"W/" + etag:             304,
			`"another", ` + etag:    304,
			"*":                     304,
			`"another"`:             200,
			strings.Trim(etag, `"`): 200,
		} {
			if got := serve("GET", path, "If-None-Match", header).StatusCode(); got != want {
				t.Errorf("GET %s with If-None-Match: %s is answered with %d, want %d", path, header, got, want)
			}
		}
	}
}

// A file that is not there is a 404, and a method other than GET and HEAD a 405.
func TestWhatIsNotThere(t *testing.T) {
	if r := serve("GET", "/console/other.js"); r.StatusCode() != 404 {
		t.Errorf("a file that does not exist is answered with %d", r.StatusCode())
	}
	r := serve("POST", "/")
	if allow := string(r.Header.Peek("Allow")); r.StatusCode() != 405 || allow != "GET, HEAD" {
		t.Errorf("POST / is answered with %d, Allow: %q", r.StatusCode(), allow)
	}
}

// scripts are the modules of the page, one after the other.
func scripts() (all []byte) {
	for _, path := range Paths {
		if strings.HasSuffix(path, ".js") {
			all = append(all, content(path)...)
		}
	}
	return all
}

// The page and its scripts refer to the files that are served, load nothing from elsewhere, and
// the scripts never make markup out of data.
func TestThePageKeepsToItself(t *testing.T) {
	page := content("/")
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page, -1) {
		if ref := string(m[1]); !strings.HasPrefix(ref, "data:image/svg+xml,") && serve("GET", "/"+ref).StatusCode() != 200 {
			t.Errorf("the page refers to %s, which is not served", ref)
		}
	}
	imports := regexp.MustCompile(`(?m)^import .*"([^"]+)";$`).FindAllSubmatch(scripts(), -1)
	if len(imports) == 0 {
		t.Fatal("no script imports another")
	}
	for _, m := range imports {
		if ref := string(m[1]); serve("GET", filepath.Join("/console", ref)).StatusCode() != 200 {
			t.Errorf("a script imports %s, which is not served", ref)
		}
	}
	for _, banned := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"} {
		if bytes.Contains(scripts(), []byte(banned)) || bytes.Contains(content("/console/style.css"), []byte(banned)) {
			t.Errorf("a script or the style sheet has %s", banned)
		}
	}
	for _, inline := range []string{"<style", " style=", " onclick=", "<script>"} {
		if bytes.Contains(page, []byte(inline)) {
			t.Errorf("the page has %s, which its own policy forbids", inline)
		}
	}
}

// Every element that the scripts look up by its id is on the page.
func TestTheScriptsFindTheirElements(t *testing.T) {
	ids := regexp.MustCompile(`\$\("([^"]+)"\)`).FindAllSubmatch(scripts(), -1)
	if len(ids) == 0 {
		t.Fatal("the scripts look up nothing")
	}
	for _, m := range ids {
		if !bytes.Contains(content("/"), []byte(`id="`+string(m[1])+`"`)) {
			t.Errorf("a script looks up #%s, which is not on the page", m[1])
		}
	}
}
