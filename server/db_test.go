package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"httpdhs/kv"
)

// Each row of the table of /db in the contract.
func TestPutGetDelete(t *testing.T) {
	f := start(t, Options{})
	put := f.send("PUT", "/db/k", "hello", "Content-Type: text/x-mine")
	put.want(t, 201)
	if put.header.Get("X-Dht-Acks") != "2/2" || put.header.Get("ETag") == "" || put.header.Get("X-Dht-Node") != "n1:1234" {
		t.Errorf("headers of a PUT: %v", put.header)
	}
	again := f.send("PUT", "/db/k", "hello2", "Content-Type: text/x-mine")
	again.want(t, 204)
	if again.header.Get("ETag") == put.header.Get("ETag") {
		t.Error("two writes have the same ETag")
	}
	get := f.send("GET", "/db/k", "")
	get.want(t, 200)
	h := get.header
	if get.body != "hello2" || h.Get("Content-Type") != "text/x-mine" || h.Get("ETag") != again.header.Get("ETag") ||
		h.Get("Content-Length") != "6" || h.Get("Expires")+h.Get("X-Dht-Expires") != "" || h.Get("Server") != "httpdhs" {
		t.Errorf("GET: %q %v", get.body, h)
	}
	if at, err := time.Parse(time.RFC1123, h.Get("Last-Modified")); err != nil || at.Year() != 2023 {
		t.Errorf("Last-Modified is %q", h.Get("Last-Modified"))
	}
	head := f.send("HEAD", "/db/k", "")
	head.want(t, 200)
	get.header.Del("Date")
	head.header.Del("Date")
	if fmt.Sprint(head.header) != fmt.Sprint(get.header) || head.body != "" {
		t.Errorf("HEAD has\n%v, GET has\n%v", head.header, get.header)
	}
	for range 2 {
		del := f.send("DELETE", "/db/k", "")
		del.want(t, 204)
		if del.header.Get("X-Dht-Acks") != "2/2" {
			t.Errorf("DELETE: %v", del.header)
		}
	}
	gone := f.send("GET", "/db/k", "")
	gone.want(t, 404)
	if gone.body != `{"error":"no such key"}`+"\n" || gone.header.Get("X-Dht-Node") != "n1:1234" {
		t.Errorf("404: %q %v", gone.body, gone.header)
	}
	f.send("HEAD", "/db/k", "").want(t, 404)
}

// Last-Modified is the version's time, but never after Date. The version may be of this very moment
// or of a clock that is ahead, and this node's own clock may have been set back.
func TestLastModified(t *testing.T) {
	f := start(t, Options{})
	for i, ahead := range []time.Duration{0, time.Second, time.Hour, -30 * time.Second, -30 * time.Second, -time.Hour, time.Second, time.Hour} {
		if i == 5 {
			f.keys.dateSeen.Store(time.Now().Add(2 * time.Hour).Unix())
		}
		at := time.Now().Add(ahead)
		f.store.entries["k"] = kv.Entry{Version: kv.VersionAt(at)}
		a := f.send("GET", "/db/k", "")
		modified, err := time.Parse(time.RFC1123, a.header.Get("Last-Modified"))
		date, err2 := time.Parse(time.RFC1123, a.header.Get("Date"))
		if err != nil || err2 != nil || modified.After(date) || ahead < -20*time.Second && modified.Unix() != at.Unix() {
			t.Errorf("a version of %v from now: %v", ahead, a.header)
		}
	}
}

// An empty value is a value.
func TestEmptyValue(t *testing.T) {
	f := start(t, Options{})
	f.send("PUT", "/db/k", "").want(t, 201)
	for _, method := range []string{"GET", "HEAD"} {
		a := f.send(method, "/db/k", "")
		a.want(t, 200)
		if a.header.Get("Content-Length") != "0" || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s of an empty value: %v", method, a.header)
		}
	}
}

// What a Content-Type and a body become.
func TestValueOfBody(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	const text, bytes = "text/plain; charset=utf-8", "application/octet-stream"
	f := start(t, Options{})
	for _, c := range []struct{ typ, body, value, wantType string }{
		{"", "x", "x", bytes},
		{"Application/Octet-Stream", "x", "x", bytes},
		{"image/png", "x", "x", "image/png"},
		{form, "value=a+b%20c%2B", "a b c+", text},
		{form + "; charset=utf-8", "value=a%26b", "a&b", text},
		{"APPLICATION/X-WWW-Form-urlencoded", "value=", "", text},
		{form, "value=%00%ff", "\x00\xff", text},
		{form, "value=a=b;c", "a=b;c", text},
		{form, "valu=a", "valu=a", bytes},
		{form, "a=1&value=b", "a=1&value=b", bytes},
		{form, "{\"a\":1}", "{\"a\":1}", bytes},
		{form, "", "", bytes},
		{"text/plain", "value=a+b", "value=a+b", "text/plain"},
		{"multipart/form-data; boundary=X", "--X--", "--X--", bytes},
		{"application/x-www-form-urlencoded2", "value=a", "value=a", "application/x-www-form-urlencoded2"},
	} {
		headers := []string{"Content-Type: " + c.typ}
		if c.typ == "" {
			headers = nil
		}
		if a := f.send("PUT", "/db/k", c.body, headers...); a.status != 201 && a.status != 204 {
			t.Errorf("PUT %q of type %q: %d %s", c.body, c.typ, a.status, a.body)
			continue
		}
		got := f.send("GET", "/db/k", "")
		if got.body != c.value || got.header.Get("Content-Type") != c.wantType {
			t.Errorf("PUT %q of type %q: got %q of type %q, want %q of type %q",
				c.body, c.typ, got.body, got.header.Get("Content-Type"), c.value, c.wantType)
		}
	}
	f.send("PUT", "/db/bad", "value=100%", "Content-Type: "+form).want(t, 400)
	for _, body := range []string{"value=http://x/?a=1&b=2", "value=a&value=b", "value=a&", "value=&ttl=1h", "value=&"} {
		a := f.send("PUT", "/db/bad", body, "Content-Type: "+form)
		if a.want(t, 400); !strings.Contains(a.body, "--data-urlencode 'value=…'") {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	f.send("PUT", "/db/bad", "x", "Content-Type: "+strings.Repeat("t", 256)).want(t, 400)
	f.send("PUT", "/db/bad", "x", "Content-Type: a/b\x01c").want(t, 400)
	f.send("PUT", "/db/bad", "x", "Content-Range: bytes 0-0/2").want(t, 400)
	if _, ok := f.store.entry("bad"); ok {
		t.Error("a refused PUT stored something")
	}
}

// A time to live that is readable and above 0 becomes an expiry; any other is a 400. An answer with
// the value tells the expiry in seconds, as HTTP has it, and to the millisecond.
func TestTTL(t *testing.T) {
	f := start(t, Options{})
	for _, ttl := range []string{"0", "-1s", "-5", "x", "", "1e3", "1e9h", "10000000000000000", "9999999999999999999999", "3000000h", "200000d", "1%"} {
		f.send("PUT", "/db/k?ttl="+ttl, "v").want(t, 400)
	}
	for ttl, want := range map[string]time.Duration{"90s": 90 * time.Second, "90": 90 * time.Second, "1h30m": 90 * time.Minute, "1500ms": 1500 * time.Millisecond,
		"1d": 24 * time.Hour, "1w": 7 * 24 * time.Hour} {
		before := time.Now().Truncate(time.Millisecond)
		f.send("PUT", "/db/k?ttl="+ttl, "v")
		e, _ := f.store.entry("k")
		if at := time.UnixMilli(e.Expires); at.Before(before.Add(want)) || at.After(time.Now().Add(want+time.Millisecond)) {
			t.Errorf("ttl %s expires after %v", ttl, at.Sub(before))
		}
	}
	f.send("PUT", "/db/k?ttl=1h", "v").want(t, 204)
	f.store.entries["k"] = kv.Entry{Version: 1, Value: []byte("v"), Expires: 4102542245678}
	for _, a := range []answer{f.send("GET", "/db/k", ""), f.send("HEAD", "/db/k", ""), f.send("GET", "/db/k", "", "If-None-Match: *")} {
		date, exact := a.header.Get("Expires"), a.header.Get("X-Dht-Expires")
		if date != "Sat, 02 Jan 2100 03:04:05 GMT" || exact != "2100-01-02T03:04:05.678Z" {
			t.Errorf("status %d: it expires at %q, exactly %q", a.status, date, exact)
		}
	}
	if expiresAt(time.UnixMilli(5), 1) != 6 {
		t.Error("a ttl below a millisecond expires before it begins")
	}
}

// Conditions are decided as RFC 9110 says, and malformed ones refused.
func TestConditions(t *testing.T) {
	f := start(t, Options{})
	first := f.send("PUT", "/db/k", "1").header.Get("ETag")
	tag := f.send("PUT", "/db/k", "2").header.Get("ETag")
	many := strings.Repeat(`"ff", `, kv.MaxConditionVersions)
	for _, c := range []struct {
		method, key string
		header      string
		want        int
	}{
		{"GET", "k", "If-None-Match: " + tag, 304},
		{"GET", "k", "If-None-Match: W/" + tag, 304},
		{"GET", "k", "If-None-Match: *", 304},
		{"GET", "k", "If-None-Match: " + first + ", " + tag, 304},
		{"GET", "k", "If-None-Match: " + first, 200},
		{"GET", "k", "If-Match: " + first, 412},
		{"GET", "k", "If-Match: " + tag, 200},
		{"GET", "k", "If-Match: " + tag + "\r\nIf-None-Match: " + tag, 304},
		{"HEAD", "k", "If-None-Match: " + tag, 304},
		{"GET", "none", "If-None-Match: *", 404},
		{"GET", "k", "If-None-Match: " + many + tag, 400},
		{"PUT", "k", "If-None-Match: *", 412},
		{"PUT", "k", "If-Match: " + first, 412},
		{"PUT", "k", "If-Match: W/" + tag, 400},
		{"PUT", "k", "If-Match: " + first + ", " + tag[:len(tag)-1] + `-gzip"`, 400},
		{"DELETE", "k", "If-Match: W/" + tag, 400},
		{"GET", "k", "If-Match: W/" + tag, 400},
		{"GET", "k", "If-None-Match: " + tag[:len(tag)-1] + `-gzip"`, 200},
		{"PUT", "k", `If-Match: "of another server"`, 412},
		{"PUT", "k", "If-Match: " + many + tag, 400},
		{"PUT", "k", "If-None-Match: " + tag, 412},
		{"PUT", "k", "If-None-Match: W/" + tag, 400},
		{"PUT", "k", "If-Match: *\r\nIf-None-Match: *", 400},
		{"PUT", "none", "If-Match: *", 412},
		{"PUT", "k", "If-Match:", 400},
		{"PUT", "k", "If-Match: , ", 400},
		{"PUT", "k", "If-Match: ff", 400},
		{"PUT", "k", "If-Match: " + tag + ", ff", 400},
		{"PUT", "k", `If-Match: *, "a"`, 400},
		{"PUT", "k", "If-Match: *,*", 400},
		{"PUT", "k", `If-None-Match: "a"` + "\r\nIf-None-Match: *", 400},
		{"DELETE", "k", `If-Match: *, "a"`, 400},
		{"GET", "k", `If-Match: *, "a"`, 400},
		{"GET", "k", `If-None-Match: "a", *`, 400},
		{"GET", "k", "If-None-Match: ff, " + tag, 304},
		{"PUT", "k", "If-None-Match:", 400},
		{"DELETE", "k", "If-Match:", 400},
		{"PUT", "k", "If-Match:\r\nIf-Match: " + first, 412},
		{"PUT", "k", "If-Match:\r\nIf-None-Match: *", 400},
		{"PUT", "k", `If-None-Match: "a,*,b", ` + tag, 412},
		{"PUT", "none", `If-Match: "a,*,b"`, 412},
		{"GET", "k", "If-None-Match:\r\nIf-None-Match: " + tag, 304},
		{"GET", "k", "If-None-Match:", 200},
		{"GET", "k", "If-Match:", 412},
		{"GET", "k", `If-None-Match: "a,*,b"`, 200},
		{"PUT", "none", "If-Match: " + tag, 412},
		{"DELETE", "none", "If-Match: *", 412},
		{"DELETE", "k", "If-Match: " + first, 412},
		{"PUT", "k", "If-Match: " + first + "\r\nIf-Match: " + tag, 204},
	} {
		body := ""
		if c.method == "PUT" {
			body = "3"
		}
		a := f.send(c.method, "/db/"+c.key, body, c.header)
		if a.status != c.want {
			t.Errorf("%s %s with %q: %d, want %d (%s)", c.method, c.key, c.header, a.status, c.want, a.body)
		}
		there := ""
		if e, ok := f.store.entry(c.key); ok {
			there = string(e.Version.AppendETag(nil))
		}
		if got := a.header.Get("ETag"); a.status == 412 && got != there {
			t.Errorf("%s %s with %q: a 412 with ETag %q, want %q", c.method, c.key, c.header, got, there)
		}
		if a.status == 304 && (a.header.Get("ETag") != tag || a.body != "") {
			t.Errorf("304: %q %v", a.body, a.header)
		}
	}
	f.send("PUT", "/db/k", "4", `If-None-Match: "of another server"`).want(t, 204)
	f.send("PUT", "/db/new", "1", "If-None-Match: *").want(t, 201)
	f.send("PUT", "/db/new", "2", "If-Match: *").want(t, 204)
	f.send("DELETE", "/db/new", "", "If-Match: *").want(t, 204)
}

// Levels and timeouts get to the store as they were asked for, and wrong ones are a 400.
func TestLevelsAndTimeouts(t *testing.T) {
	f := start(t, Options{})
	const usual = 5 * time.Second
	for _, c := range []struct {
		method, query string
		write, read   kv.Level
		timeout       time.Duration
	}{
		{"PUT", "", 0, 0, usual}, {"PUT", "w=one", 1, 0, usual}, {"PUT", "w=live", kv.LevelLive, 0, usual},
		{"DELETE", "w=all", kv.LevelAll, 0, usual}, {"PUT", "&w=3&&timeout=4s&", 3, 0, 4 * time.Second},
		{"GET", "r=quorum", 0, kv.LevelQuorum, usual}, {"HEAD", "r=2", 0, 2, usual},
		{"GET", "timeout=30s", 0, 0, 30 * time.Second},
	} {
		before := time.Now()
		f.send(c.method, "/db/k?"+c.query, "")
		if f.store.last.Write != c.write || f.store.last.Read != c.read {
			t.Errorf("%s ?%s: write level %d, read level %d", c.method, c.query, f.store.last.Write, f.store.last.Read)
		}
		began := f.store.last.Deadline.Add(-c.timeout)
		if began.Before(before) || began.After(time.Now()) {
			t.Errorf("%s ?%s: the deadline is not %v after the request", c.method, c.query, c.timeout)
		}
	}
	for _, query := range []string{"w=0", "w=none", "w=-1", "w=999", "r=live", "timeout=0", "timeout=-1s", "timeout=x", "timeout=61s", "w=%zz"} {
		f.send("PUT", "/db/k?"+query, "v").want(t, 400)
	}
	if a := f.send("PUT", "/db/k?timeout=1h", "v"); !strings.Contains(a.body, "at most 1m0s") {
		t.Errorf("too long a timeout: %s", a.body)
	}
}

// The table of errors, and that writes say what is known of their outcome.
func TestErrorStatuses(t *testing.T) {
	f := start(t, Options{})
	for _, c := range []struct {
		err     error
		status  int
		unknown bool
	}{
		{kv.ErrNotFound, 404, false}, {kv.ErrConditionFailed, 412, false}, {kv.ErrNoMemory, 507, true}, {kv.ErrRefused, 503, true},
		{kv.ErrDiskFull, 507, true}, {kv.ErrNoDisk, 503, true}, {kv.ErrNotDurable, 503, true}, {kv.ErrFilled, 507, true},
		{kv.ErrNoCluster, 503, false}, {kv.ErrUnheard, 503, false}, {kv.ErrStopping, 503, false},
		{kv.ErrUnavailable, 503, true}, {kv.ErrTimeout, 503, true}, {kv.ErrUnknownOutcome, 503, true},
		{kv.ErrAbsenceUnknown, 503, false}, {kv.ErrOverloaded, 503, false}, {kv.ErrStopping, 503, false},
		{kv.ErrLevel, 400, false}, {kv.ErrKeyTooLong, 414, false}, {kv.ErrValueTooLarge, 413, false},
		{kv.ErrMetaTooLong, 400, false}, {kv.ErrMetaControl, 400, false}, {kv.ErrMetaNotUTF8, 400, false}, {kv.ErrKeyEmpty, 400, false}, {errors.New("boom"), 500, false},
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			f.store.fail = fmt.Errorf("node n2: %w", c.err)
			a := f.send(method, "/db/k", "")
			a.want(t, c.status)
			if got := strings.Contains(a.body, `"acks":1,"required":2,"outcome":"unknown"`); got != (c.unknown && method != "GET") {
				t.Errorf("%s with %v: %s", method, c.err, a.body)
			}
			retry := slices.Contains(tryAgain, c.err)
			if (a.header.Get("Retry-After") == "1") != retry || a.header.Get("X-Dht-Node") == "" {
				t.Errorf("%s with %v: %v", method, c.err, a.header)
			}
		}
	}
}

// A write that a replica has refused for want of room may still appear, unless all replicas that
// may have it have refused it: one that is down is sent it when it is back. One that a replica has
// in memory alone may appear in any case.
func TestRefusedWriteMayStillAppear(t *testing.T) {
	f := start(t, Options{})
	for _, c := range []struct {
		query, condition         string
		acks, required, replicas int
		unknown                  bool
	}{
		{"", "", 0, 2, 2, false},
		{"", "", 1, 2, 2, true},
		{"", "", 0, 1, 2, true}, // the other is down
		{"?w=live", "", 0, 1, 2, true},
		{"?w=quorum", "", 0, 2, 3, true},
		{"?w=all", "", 0, 1, 1, false},
		{"", "If-None-Match: *", 0, 1, 2, false}, // by the primary, before any other was asked
		{"", "If-None-Match: *", 1, 2, 2, true},
	} {
		var condition []string
		line := `{"op":"put","key":"k","value":"v"}`
		if c.condition != "" {
			condition, line = []string{c.condition}, `{"op":"put","key":"k","value":"v","if_none_match":"*"}`
		}
		for _, why := range []error{kv.ErrNoMemory, kv.ErrDiskFull, kv.ErrNoDisk, kv.ErrNotDurable, kv.ErrFilled} {
			f.store.outcome = func(op *kv.Op) {
				op.Err, op.Acks, op.Required, op.Replicas = why, c.acks, c.required, c.replicas
			}
			put := f.send("PUT", "/db/k"+c.query, "v", condition...)
			put.want(t, map[bool]int{true: 507, false: 503}[why == kv.ErrNoMemory || errors.Is(why, kv.ErrDiskFull)])
			batch := f.send("POST", "/batch"+c.query, line)
			batch.want(t, 200)
			want := c.unknown || errors.Is(why, kv.ErrNotDurable)
			for _, a := range []answer{put, batch} {
				if got := strings.Contains(a.body, `"outcome":"unknown"`); got != want {
					t.Errorf("%+v, %v: %s", c, why, a.body)
				}
			}
		}
	}
}

// A method that a resource does not have is a 405 that lists those it has.
func TestOtherMethods(t *testing.T) {
	f := start(t, Options{})
	for _, method := range []string{"POST", "PATCH", "OPTIONS", "TRACE", "BREW", "put"} {
		a := f.send(method, "/db/k", "")
		a.want(t, 405)
		if a.header.Get("Allow") != "GET, HEAD, PUT, DELETE, POST" {
			t.Errorf("%s: Allow is %q", method, a.header.Get("Allow"))
		}
	}
	for target, allow := range map[string]string{"/cluster": "GET, HEAD", "/load-data": "POST, PUT", "/cluster/key/a": "GET, HEAD", "/healthz": "GET, HEAD"} {
		a := f.send("DELETE", target, "")
		a.want(t, 405)
		if a.header.Get("Allow") != allow {
			t.Errorf("%s: Allow is %q", target, a.header.Get("Allow"))
		}
	}
}
