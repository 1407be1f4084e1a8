package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/poll"
	"httpdhs/kv"
)

// Values of every size that is allowed come back as they were.
func TestValueSizes(t *testing.T) {
	f := start(t, Options{})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	large := bytes.Repeat(all, 8<<20/256)
	for _, value := range [][]byte{nil, {0}, all, bytes.Repeat(all, 32), bytes.Repeat(all, 33), bytes.Repeat(all, 257), large[:len(large)-1], large} {
		if a := f.send("PUT", "/db/k", string(value)); a.status != 201 && a.status != 204 {
			t.Fatalf("PUT of %d bytes: %d %s", len(value), a.status, a.body)
		}
		if got := f.send("GET", "/db/k", ""); got.body != string(value) {
			t.Errorf("GET of %d bytes has %d", len(value), len(got.body))
		}
		c := f.dial()
		fmt.Fprintf(c, "PUT /db/chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		if len(value) > 0 {
			half := (len(value) + 1) / 2
			fmt.Fprintf(c, "%x\r\n%s\r\n", half, value[:half])
			if half < len(value) {
				fmt.Fprintf(c, "%X;ext=1\r\n%s\r\n", len(value)-half, value[half:])
			}
		}
		fmt.Fprintf(c, "0\r\nX-Trailer: x\r\n\r\n")
		if a := readAnswer(t, bufio.NewReader(c), "PUT"); a.status != 201 && a.status != 204 {
			t.Fatalf("chunked PUT of %d bytes: %d %s", len(value), a.status, a.body)
		}
		c.Close()
		if e, _ := f.store.entry("chunked"); !bytes.Equal(e.Value, value) {
			t.Errorf("chunked PUT of %d bytes stored %d", len(value), len(e.Value))
		}
	}
}

// Too large a value is a 413 that the client gets to read, also when it sends
// all of its body before it looks.
func TestTooLarge(t *testing.T) {
	f := start(t, Options{})
	const most = 8 << 20
	form := "Content-Type: application/x-www-form-urlencoded"
	f.send("PUT", "/db/k", strings.Repeat("v", most+1)).want(t, 413)
	f.send("PUT", "/db/k", strings.Repeat("v", 10_000_000)).want(t, 413)
	f.send("PUT", "/db/k", "value="+strings.Repeat("%20", most), form).want(t, 201)
	f.send("DELETE", "/db/k", "")
	f.send("PUT", "/db/k", "value="+strings.Repeat("v", most+1), form).want(t, 413)
	f.send("PUT", "/db/k", "value="+strings.Repeat("%20", most)+"&", form).want(t, 413)
	f.send("PUT", "/db/k", strings.Repeat("v", most+1), form).want(t, 413)
	for _, n := range []int{most + 1, 10_000_000} {
		// Written to the end before anything is read.
		c := f.dial()
		fmt.Fprintf(c, "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", n)
		if _, err := io.WriteString(c, strings.Repeat("v", n)+"\r\n0\r\n\r\n"); err != nil {
			t.Errorf("writing %d bytes: %v", n, err)
		}
		readAnswer(t, bufio.NewReader(c), "PUT").want(t, 413)
		c.Close()
	}
	if e, ok := f.store.entry("k"); ok && !e.Tombstone {
		t.Error("a refused value was stored")
	}
}

// What curl shows of all that.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	f := start(t, Options{})
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(curl, append([]string{"-sS", "-m", "20", "-w", " %{http_code}"}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("curl %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	url := "http://" + f.addr + "/db/"
	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"-X", "PUT", "-d", "value=hello there", url + "a"}, " 201"},
		{"", []string{url + "a"}, "hello there 200"},
		{"", []string{"-I", "-o", "/dev/null", url + "a"}, " 200"},
		{strings.Repeat("v", 5<<20), []string{"-T", "-", url + "b"}, " 201"},
		{strings.Repeat("v", 5<<20), []string{"-X", "PUT", "--data-binary", "@-", url + "c"}, " 201"},
		{strings.Repeat("v", 8<<20+1), []string{"-T", "-", "-o", "/dev/null", url + "d"}, " 413"},
		{strings.Repeat("v", 8<<20+1), []string{"-X", "PUT", "--data-binary", "@-", "-o", "/dev/null", "-H", "Content-Type: a/b", url + "d"}, " 413"},
		{strings.Repeat("v", 10_000_000), []string{"-X", "PUT", "--data-binary", "@-", "-o", "/dev/null", "-H", "Expect:", url + "d"}, " 413"},
		{"", []string{"--path-as-is", "-X", "PUT", "-d", "value=1", url + "x/../y"}, " 201"},
		{"", []string{"-X", "DELETE", url + "a"}, " 204"},
		{"", []string{"-o", "/dev/null", url + "a"}, " 404"},
	} {
		if got := run(c.stdin, c.args...); got != c.want {
			t.Errorf("curl %q: %.200q, want %q", c.args, got, c.want)
		}
	}
	if _, ok := f.store.entry("x/../y"); !ok {
		t.Error("curl --path-as-is: the key is not x/../y")
	}
}

// The bodies in memory are bounded. One that has no room beside others is a 503, and one that never
// will a 413. What is over is given back.
func TestInFlightBytes(t *testing.T) {
	f := start(t, Options{MaxInFlightBytes: 1 << 20})
	// What is held is given back after the answer was sent.
	settled := func() {
		t.Helper()
		poll.True(t, "nothing is in flight", func() bool { return f.Stats().InFlightBytes == 0 })
	}
	never := f.send("PUT", "/db/k", strings.Repeat("v", 2<<20)) // it will never fit
	if never.want(t, 413); never.header["Retry-After"] != nil {
		t.Errorf("a body that never fits may be sent again: %v", never.header)
	}
	settled()
	f.send("PUT", "/db/k", strings.Repeat("v", 1<<20)).want(t, 201)
	settled()
	var during int64
	f.store.do = func(*kv.Call) { during = f.Stats().InFlightBytes }
	f.send("PUT", "/db/k", strings.Repeat("v", 1000)).want(t, 204)
	if during != 1000 {
		t.Errorf("a body of 1000 bytes counts %d", during)
	}
	// Small bodies in a large buffer of before do not count for more.
	for range 10 {
		settled()
		f.send("PUT", "/db/k", strings.Repeat("v", 600<<10)).want(t, 204)
		settled()
		f.send("PUT", "/db/k", "v").want(t, 204)
		if during != 1 {
			t.Errorf("a body of 1 byte counts %d", during)
		}
	}
	settled()
	f.clientBytes.used.Add(1 << 19) // another body
	a := f.send("PUT", "/db/k", strings.Repeat("v", 1<<20))
	a.want(t, 503)
	f.clientBytes.used.Add(-1 << 19)
	settled()
	if a.header.Get("Retry-After") != "1" || f.Stats().Overloaded != 1 {
		t.Errorf("answer: %v", a.header)
	}
}

// What counts is what a request holds in memory, and not how much of that it uses. A large buffer
// that an earlier request has left is counted, or dropped, whenever a client is waited for. And no
// body takes more than it counts, however it has grown.
func TestWhatIsHeldCounts(t *testing.T) {
	const size = 520_000
	f := start(t, Options{MaxInFlightBytes: 8 * size, MaxAnswerBytes: 8 * size})
	large := strings.Repeat("v", size)
	f.store.entries["large"] = kv.Entry{Version: 1 << 30, Value: []byte(large)}
	f.store.entries["small"] = kv.Entry{Version: 1 << 30, Value: []byte(large[:16<<10])}
	// waiting are the connections that wait so and have done so for some looks: they stand still.
	clock := int64(0)
	waiting := func(kind int64, count int) (still map[*conn]int64) {
		looks := 0
		poll.True(f.t, "they wait", func() bool {
			clock++
			f.clock.set(clock)
			now := make(map[*conn]int64)
			f.mu.Lock()
			for c := range f.mu.conns {
				if word := c.wait.Load(); word&(1<<phaseBits-1) == kind {
					now[c] = word
				}
			}
			f.mu.Unlock()
			if looks++; !maps.Equal(now, still) {
				looks, still = 0, now
			}
			return len(now) == count && looks > 3
		})
		return still
	}
	for _, before := range []string{
		put("Content-Length: "+itoa(size)+"\r\n", large),            // as the body
		"GET /db/large HTTP/1.1\r\nHost: x\r\n\r\n",                 // as the call
		"GET /db?values=1&prefix=large HTTP/1.1\r\nHost: x\r\n\r\n", // as the answer
	} {
		for name, c := range map[string]struct {
			sent string
			wait int64
		}{
			"a slow value":                  {put("Content-Length: 100\r\n", "x"), waitRead},
			"a slow value in chunks":        {put("Transfer-Encoding: chunked\r\n", "5\r\nx"), waitRead},
			"a slow body that nobody reads": {"GET /db/small HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx", waitRead},
			"a slow batch":                  {"POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx", waitRead},
			"a small value not taken":       {strings.Repeat("GET /db/small HTTP/1.1\r\nHost: x\r\n\r\n", 2000), waitWrite},
			"errors not taken":              {strings.Repeat("GET /db/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 100_000), waitWrite},
		} {
			var conns []net.Conn
			for range 4 {
				// As on a busy node, what the request before has used is what the next gets: it
				// is the same connection.
				nc := f.dial()
				conns = append(conns, nc)
				// Before anything is read: the system never takes back a window that it has opened.
				_ = nc.SetReadBuffer(64 << 10)
				_, _ = io.WriteString(nc, before)
				readAnswer(t, bufio.NewReader(nc), "GET")
				go func() { _, _ = io.WriteString(nc, c.sent) }()
				waiting(c.wait, len(conns))
			}
			taken, counted := int64(0), f.clientBytes.used.Load()+f.answerBytes.used.Load()
			for c, word := range waiting(c.wait, len(conns)) {
				if sc := c.scratch; sc != nil {
					taken += int64(cap(sc.body) + cap(sc.out) + cap(sc.call.Buf))
				}
				c.wait.CompareAndSwap(word, word) // what it does then comes after the look
			}
			if taken > counted+int64(len(conns))*3*freeBytes {
				t.Errorf("%s, after %.20q: %d bytes are held, and %d are counted", name, before, taken, counted)
			}
			for _, nc := range conns {
				_ = nc.Close()
			}
			poll.True(f.t, "all is given back", func() bool { st := f.Stats(); return st.InFlightBytes+st.AnswerBytes+st.Conns == 0 })
		}
	}
}

// What a request held is given back with its answer: not when its connection
// ends, which may stay idle, or linger, for long.
func TestInFlightBytesOfOpenConns(t *testing.T) {
	f := start(t, Options{})
	for target, want := range map[string]int{"/db/k": 201, "/db/%": 400, "/db/k?w=none": 400} {
		c := f.dial()
		defer c.Close()
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%1000d", target, 0)
		readAnswer(t, bufio.NewReader(c), "PUT").want(t, want)
	}
	c := f.dial()
	defer c.Close()
	fmt.Fprintf(c, "PUT /db/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n%1000d\r\nzz", 0)
	readAnswer(t, bufio.NewReader(c), "PUT").want(t, 400)
	poll.True(t, "nothing is in flight", func() bool { return f.Stats().InFlightBytes == 0 })
}

// A large answer counts for as long as its client does not take it. Beyond the
// bound is a 503; a small one is never refused.
func TestAnswerBytes(t *testing.T) {
	f := start(t, Options{MaxAnswerBytes: 40 << 20})
	large := make([]byte, 8<<20)
	for _, key := range []string{"a", "b", "c"} {
		f.store.entries[key] = kv.Entry{Version: 1 << 30, Value: large}
	}
	f.store.entries["small"] = kv.Entry{Version: 1 << 30, Value: []byte("v")}
	stream := "Accept: application/x-ndjson"
	var conns []*net.TCPConn
	stall := func(target, header string) {
		c := f.dial()
		_ = c.SetReadBuffer(4 << 10)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", target, header)
		conns = append(conns, c)
		poll.True(t, target+" is being sent", func() bool { return f.inWait(waitWrite) == len(conns) })
	}
	settled := func() {
		for _, c := range conns {
			c.Close()
		}
		conns = nil
		poll.True(t, "no answer is held", func() bool { return f.Stats().AnswerBytes == 0 })
	}
	refused := func(target string, header ...string) {
		t.Helper()
		a := f.send("GET", target, "", header...)
		a.want(t, 503)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v", target, a.header)
		}
	}
	for range 5 {
		stall("/db/a", "X: y")
	}
	if n := f.Stats().AnswerBytes; n != 40<<20 {
		t.Errorf("5 answers of 8 MiB count %d bytes", n)
	}
	refused("/db/a")
	refused("/db?values=1&prefix=a")
	refused("/db?values=1&prefix=a", stream)
	f.send("GET", "/db/small", "").want(t, 200)
	f.send("GET", "/db", "").want(t, 200)
	if f.Stats().Overloaded != 3 {
		t.Errorf("%d refusals are counted", f.Stats().Overloaded)
	}
	settled()
	f.send("GET", "/db/a", "").want(t, 200)
	settled()

	// A quote takes two bytes of JSON.
	f.store.entries = map[string]kv.Entry{"a": {Version: 1 << 30, Value: bytes.Repeat([]byte{'"'}, 3<<20)}}
	for target, header := range map[string]string{"/db?values=1": "X: y", "/db?values=1&limit=9": stream} {
		for range 6 {
			stall(target, header)
		}
		if n := f.Stats().AnswerBytes; n < 36<<20 || n > 40<<20 {
			t.Errorf("6 answers of 6 MiB count %d bytes", n)
		}
		refused(target, header)
		settled()
	}
}

// The time that a slow body takes is not taken from the store's, which counts from when all of it
// is there.
func TestBodyDeadlineStartsLate(t *testing.T) {
	f := start(t, Options{})
	var deadline time.Time
	f.store.do = func(c *kv.Call) { deadline = c.Deadline }
	c := f.dial()
	defer c.Close()
	fmt.Fprintf(c, "PUT /db/k?timeout=50s HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n%10000d", 0)
	f.waitFor(phaseHandler, waitRead, -2)
	half := time.Now()
	fmt.Fprintf(c, "%10000d", 0)
	readAnswer(t, bufio.NewReader(c), "PUT").want(t, 201)
	if early := half.Add(50 * time.Second).Sub(deadline); early > 0 {
		t.Errorf("the store's time began %v before half of the body was there", early)
	}
}
