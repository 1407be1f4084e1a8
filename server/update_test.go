package server

import (
	"strings"
	"testing"
	"time"
)

// Each row of the table of POST /db/{key}.
func TestUpdates(t *testing.T) {
	f := start(t, Options{})
	add := f.send("POST", "/db/n?incr=5", "")
	if add.want(t, 201); add.body != "5" || add.header.Get("X-Dht-Acks") != "2/2" || add.header.Get("ETag") == "" ||
		add.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("a sum: %q %v", add.body, add.header)
	}
	for _, c := range []struct {
		target, body string
		status       int
		answer       string
	}{
		{"/db/n?incr=-7", "", 200, "-2"},
		{"/db/n?incr", "", 200, "-1"},
		{"/db/n?append", "0", 200, "3"},
		{"/db/n?incr=1", "", 200, "-9"},
		{"/db/new?append", "tail", 201, "4"},
		{"/db/new?incr=1", "", 409, `"error":"the value is no decimal integer of 64 bits`},
		{"/db/n?incr=-9223372036854775808", "", 409, `"error":"the sum is beyond an integer of 64 bits`},
		{"/db/none?ttl=90s", "", 404, `"error":"no such key"`},
		{"/db/n?ttl=90s", "", 200, ""},
		{"/db/n?incr=1", "", 200, "-8"},
		{"/db/n?incr=1.5", "", 400, "incr is"},
		{"/db/n?incr=1&append", "", 400, "one of incr, append and ttl"},
		{"/db/n?incr=1&ttl=5s", "", 400, "one of incr, append and ttl"},
		{"/db/n?incr=1", "5", 400, "takes no body"},
		{"/db/n?ttl=0", "", 400, "ttl is"},
		{"/db/n?append=0", "x", 400, "append is"},
		{"/db/n?incr=1&r=all", "", 400, `the parameter \"r\" means nothing here`},
		{"/db/", "", 400, "the key is empty"},
	} {
		if strings.HasSuffix(c.target, "/") {
			c.target += "?incr=1"
		}
		a := f.send("POST", c.target, c.body)
		if a.want(t, c.status); !strings.Contains(a.body, c.answer) || c.status < 300 && a.body != c.answer {
			t.Errorf("POST %s: %q, want %q", c.target, a.body, c.answer)
		}
	}
	got := f.send("GET", "/db/n", "")
	if at, err := time.Parse(time.RFC3339Nano, got.header.Get("X-Dht-Expires")); err != nil || !at.After(time.Now()) || got.body != "-8" {
		t.Errorf("%q expires at %v, %v", got.body, at, err)
	}
}

// An update is done on a condition as a PUT is, and tells its failure in the same way. A form's
// value is what is appended.
func TestUpdatesOnCondition(t *testing.T) {
	f := start(t, Options{})
	f.send("POST", "/db/k?incr", "", "If-Match: *").want(t, 412)
	tag := f.send("POST", "/db/k?append", "value=a+b", "If-None-Match: *", "Content-Type: application/x-www-form-urlencoded").header.Get("ETag")
	failed := f.send("POST", "/db/k?append", "c", "If-None-Match: *")
	if failed.want(t, 412); failed.header.Get("ETag") != tag {
		t.Errorf("412 with the tag %s, want %s", failed.header.Get("ETag"), tag)
	}
	f.send("POST", "/db/k?append", "c", "If-Match: "+tag).want(t, 200)
	if a := f.send("GET", "/db/k", ""); a.body != "a bc" {
		t.Errorf("the value is %q", a.body)
	}
}

// The operations of a batch that update have the members and the results of their kind.
func TestBatchUpdates(t *testing.T) {
	f := start(t, Options{})
	a := f.send("POST", "/batch", `{"op":"incr","key":"n","by":4}
{"op":"incr","key":"n"}
{"op":"append","key":"n","value":"0"}
{"op":"append","key":"m","value":"x"}
{"op":"incr","key":"m"}
{"op":"expire","key":"m","ttl":"1h"}
{"op":"expire","key":"none","ttl":"1h"}
`, "Content-Type: application/x-ndjson")
	a.want(t, 200)
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	for i, want := range []string{
		`{"status":200,"key":"n","value":"4"`, `{"status":200,"key":"n","value":"5"`, `"length":2,"acks":2`,
		`{"status":201,"key":"m"`, `{"status":409,"key":"m","error":"the value is no`, `{"status":204,"key":"m"`, `{"status":404,"key":"none"`,
	} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d of\n%s\nhas no %s", i, a.body, want)
		}
	}
}
