package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// loaded is the answer of /load-data.
type loaded struct {
	Loaded, Failed int64
	Errors         []struct {
		Line  int64
		Error string
	}
}

func readLoaded(t *testing.T, a answer) (doc loaded) {
	t.Helper()
	if err := json.Unmarshal(a.body, &doc); err != nil || a.status != 200 {
		t.Fatalf("load: %d %.300q %v", a.status, a.body, err)
	}
	return doc
}

// Each of the formats is loaded by its type, with POST as with PUT and with its length told or not.
// Tab-separated values are taken where no type or curl's default is given. A line that is wrong is
// told by its number and stops no other.
func TestLoadFormats(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	for n, row := range []struct {
		header, body string
		loaded       int64
		failed       []int64
		pairs        map[string]string
	}{
		{"", "A\tone\nA b\ttwo\twith tab\nA/c\t\n", 3, nil, map[string]string{"A": "one", "A b": "two\twith tab", "A/c": ""}},
		{"Content-Type: text/tab-separated-values", "A\tone\r\nA2\ttwo", 2, nil, map[string]string{"A": "one", "A2": "two"}},
		{"Content-Type: application/x-www-form-urlencoded", "value=A\tone\n", 1, nil, map[string]string{"value=A": "one"}},
		{"Content-Type: text/csv", "A,one\n\"A,2\",\"a \"\"quoted\"\"\nvalue\"\nA3,three\n", 3, nil,
			map[string]string{"A": "one", "A,2": "a \"quoted\"\nvalue", "A3": "three"}},
		{"Content-Type: application/x-ndjson", `{"key":"A","value":"one"}` + "\n" + `{"key":"A2","value_base64":"AP8="}` + "\n", 2, nil,
			map[string]string{"A": "one", "A2": "\x00\xff"}},
		{"", "A\tone\nno tab\n\tno key\nB\ttwo\n" + strings.Repeat("k", 5000) + "\tx\nC\tthree", 3, []int64{2, 3, 5},
			map[string]string{"A": "one", "B": "two", "C": "three"}},
		{"Content-Type: application/x-ndjson", "{\"key\":\"A\",\"value\":\"one\"}\nnot json\n{\"value\":\"no key\"}\n{\"key\":\"B\",\"value\":\"two\"}\n", 2, []int64{2, 3},
			map[string]string{"A": "one", "B": "two"}},
	} {
		for m, method := range []string{"POST", "PUT"} {
			prefix := fmt.Sprintf("load-%d-%d-", n, m)
			body := strings.NewReplacer("A", prefix+"A", "B\t", prefix+"B\t", `"B"`, `"`+prefix+`B"`, "C\t", prefix+"C\t").Replace(row.body)
			if strings.Contains(row.header, "ndjson") {
				body = strings.ReplaceAll(body, prefix+"AP8=", "AP8=")
			}
			header := []string{"X-Nothing: 1"}
			if row.header != "" {
				header = append(header, row.header)
			}
			if m == 1 {
				header, body = append(header, "Transfer-Encoding: chunked"), chunked(body, 7)
			}
			doc := readLoaded(t, send(t, c.addr(n%3), method, "/load-data", body, header...))
			var failed []int64
			for _, e := range doc.Errors {
				failed = append(failed, e.Line)
				if e.Error == "" {
					t.Errorf("%d: line %d failed without a reason", n, e.Line)
				}
			}
			if doc.Loaded != row.loaded || doc.Failed != int64(len(row.failed)) || !slices.Equal(failed, row.failed) {
				t.Errorf("%s of %d: %+v, want %d loaded and lines %v failed", method, n, doc, row.loaded, row.failed)
			}
			for key, value := range row.pairs {
				key = strings.NewReplacer("A", prefix+"A", "B", prefix+"B", "C", prefix+"C").Replace(key)
				if a := send(t, c.addr((n+1)%3), "GET", "/db/"+escaped(key), ""); string(a.body) != value {
					t.Errorf("%d: %q is %q, want %q", n, key, a.body, value)
				}
			}
		}
	}
}

// A load of many lines is counted, however many of them fail, and the answer
// keeps the first 20 reasons; ?w and ?ttl hold for each of its records; a type
// that is not known, or a level that is none, is refused.
func TestLoadMany(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	var b strings.Builder
	for n := range 3000 {
		if n%3 == 2 {
			b.WriteString("no tab\n")
			continue
		}
		fmt.Fprintf(&b, "load-many-%d\tvalue %d\n", n, n)
	}
	doc := readLoaded(t, send(t, c.addr(0), "POST", "/load-data?w=all&ttl=1h", b.String()))
	if doc.Loaded != 2000 || doc.Failed != 1000 || len(doc.Errors) != 20 || doc.Errors[0].Line != 3 || doc.Errors[19].Line != 60 {
		t.Errorf("%+v", doc)
	}
	a := send(t, c.addr(1), "GET", "/db/load-many-2998", "")
	if string(a.body) != "value 2998" || a.header.Get("Expires") == "" {
		t.Errorf("one of them: %d %q %v", a.status, a.body, a.header)
	}
	if a := send(t, c.addr(1), "POST", "/load-data", "a\tb", "Content-Type: image/png"); a.status != 415 {
		t.Errorf("a picture: %d %s", a.status, a.body)
	}
	wantFailure(t, "w=3", send(t, c.addr(1), "POST", "/load-data?w=some", "a\tb"), 400)
	if doc := readLoaded(t, send(t, c.addr(2), "PUT", "/load-data", "")); doc.Loaded != 0 || doc.Failed != 0 || doc.Errors == nil {
		t.Errorf("of nothing: %+v", doc)
	}
}

// A batch has one result line an operation, in their order, whatever becomes
// of each.
func TestBatch(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	lines := []string{
		`{"op":"put","key":"batch-a","value":"one"}`,
		`{"op":"get","key":"batch-a"}`,
		`{"op":"get","key":"batch-none"}`,
		`{"op":"put","key":"batch-b","value_base64":"AP8="}`,
		`not json`,
		`{"op":"jump","key":"batch-a"}`,
		`{"op":"get","key":"batch-b"}`,
		`{"op":"delete","key":"batch-a"}`,
		`{"op":"get","key":"batch-a"}`,
	}
	a := send(t, c.addr(0), "POST", "/batch", strings.Join(lines, "\n")+"\n", "Content-Type: application/x-ndjson")
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/x-ndjson") {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	var status []int
	var values []string
	for line := range strings.Lines(string(a.body)) {
		var r struct {
			Status      int
			Value       string
			ValueBase64 []byte `json:"value_base64"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		status, values = append(status, r.Status), append(values, r.Value+string(r.ValueBase64))
	}
	if want := []int{201, 200, 404, 201, 400, 400, 200, 204, 404}; !slices.Equal(status, want) {
		t.Errorf("statuses %v, want %v\n%s", status, want, a.body)
	} else if values[1] != "one" || values[6] != "\x00\xff" {
		t.Errorf("values %q", values)
	}
	if a := send(t, c.addr(1), "GET", "/db/batch-b", ""); string(a.body) != "\x00\xff" {
		t.Errorf("batch-b is %q", a.body)
	}
}

// GET /db lists every key once, page by page, each page at another node; as a
// stream it is all of them; the values come along for those who ask.
func TestListing(t *testing.T) {
	t.Parallel()
	c := shared.get(t)
	var b strings.Builder
	var want []string
	for n := range 500 {
		want = append(want, fmt.Sprintf("listed/%d", n))
		fmt.Fprintf(&b, "listed/%d\tvalue %d\n", n, n)
	}
	readLoaded(t, send(t, c.addr(0), "POST", "/load-data", b.String()))
	slices.Sort(want)

	var got []string
	cursor, pages := "", 0
	for {
		a := send(t, c.addr(pages%3), "GET", "/db?prefix=listed/&limit=70&cursor="+url.QueryEscape(cursor), "")
		if cursor == "" {
			a = send(t, c.addr(pages%3), "GET", "/db?prefix=listed/&limit=70", "")
		}
		var page struct {
			Keys   []string
			Cursor string
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
			t.Fatalf("%d %s %v", a.status, a.body, err)
		}
		got = append(got, page.Keys...)
		pages++
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || pages < 7 {
		t.Errorf("%d keys in %d pages, want %d", len(got), pages, len(want))
	}

	a := send(t, c.addr(1), "GET", "/db?prefix=listed/&values=1", "", "Accept: application/x-ndjson")
	streamed := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(string(a.body))); lines.Scan(); {
		var r struct{ Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%q: %v", lines.Bytes(), err)
		}
		streamed[r.Key] = r.Value
	}
	if len(streamed) != 500 || streamed["listed/77"] != "value 77" {
		t.Errorf("%d keys streamed, listed/77 is %q", len(streamed), streamed["listed/77"])
	}
	if a := send(t, c.addr(2), "GET", "/db?prefix=no-such-prefix", ""); strings.TrimSpace(string(a.body)) != `{"keys":[]}` {
		t.Errorf("of nothing: %s", a.body)
	}
	for _, bad := range []string{"limit=0", "limit=x", "cursor=x", "prefix=%zz"} {
		wantFailure(t, bad, send(t, c.addr(0), "GET", "/db?"+bad, ""), 400)
	}
}
