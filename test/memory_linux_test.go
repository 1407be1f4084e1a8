package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// A jail is a control group with a limit of memory and no swap, as a container has: a node that
// takes more is killed.
type jail struct {
	dir    string
	events string // the file that counts what was killed in it
	peak   string // the file that has the most that it took
}

// jails counts those of this process: each has a name of its own.
var jails atomic.Int32

// newJail makes one, or skips the test where none can be made. Processes in it have to be gone
// before the test's cleanup comes to it.
func newJail(t *testing.T, limit int64) *jail {
	t.Helper()
	name := fmt.Sprintf("httpdhs-test-%d-%d", os.Getpid(), jails.Add(1))
	kinds := []struct {
		root, limit, swap, swapTo, events, peak string
	}{
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max", "0", "memory.events", "memory.peak"},
		{
			"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
			strconv.FormatInt(limit, 10), "memory.oom_control", "memory.max_usage_in_bytes",
		},
	}
	for _, kind := range kinds {
		dir := filepath.Join(kind.root, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		set := func(name, to string) error {
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
			if err != nil { // the folder of another kind of group
				return err
			}
			_, err = file.WriteString(to)
			return errors.Join(err, file.Close())
		}
		if set(kind.limit, strconv.FormatInt(limit, 10)) != nil {
			_ = os.Remove(dir)
			continue
		}
		_ = set(kind.swap, kind.swapTo) // there may be no swap to keep off
		t.Cleanup(func() {
			poll.Until(t, "the control group goes", func() error { return os.Remove(dir) })
		})
		return &jail{dir: dir, events: filepath.Join(dir, kind.events), peak: filepath.Join(dir, kind.peak)}
	}
	t.Skip("no control group with a limit of memory can be made here: that takes root, and /sys/fs/cgroup to write to")
	return nil
}

// under has a node run in it, which speaks the Redis protocol at a port.
func (j *jail) under(resp string) []string {
	return []string{"sh", "-c", fmt.Sprintf(`echo $$ >%s/cgroup.procs && HTTPDHS_RESP_PORT=%s exec "$@"`, j.dir, resp), "sh"}
}

// kills is how many processes were killed in it for what they took.
func (j *jail) kills(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(j.events)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Fatal(err)
			}
			return kills
		}
	}
	t.Fatalf("%s does not count what was killed:\n%s", j.events, text)
	return 0
}

// took says the most that it took, for the log.
func (j *jail) took() string {
	text, err := os.ReadFile(j.peak)
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return "not known"
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// besieged is a node in a jail, and what is done to it.
type besieged struct {
	*fleet
	jail *jail
	resp string // where it speaks the Redis protocol
}

const (
	siegeClients = 64
	siegeValue   = 8 << 20
	siegeLong    = siegeValue - 64<<10 // to which something can be appended
)

// besiege starts nodes, the first of them in a jail of so many MiB.
func besiege(t *testing.T, limit int64, nodes int, flags ...string) *besieged {
	t.Helper()
	b := &besieged{jail: newJail(t, limit<<20), resp: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	_, port, _ := net.SplitHostPort(b.resp)
	b.fleet = newFleet(t, nodes, flags...)
	b.lines = 40
	b.ships[0].under = b.jail.under(port)
	return b
}

// together has so many clients do something at once, each with a connection of its own, and counts
// what each says that came of it.
func (b *besieged) together(addr string, what string, do func(n int, c net.Conn) (string, error)) (came map[string]int) {
	b.t.Helper()
	came = make(map[string]int)
	began := time.Now()
	var mu sync.Mutex // guards came
	var all sync.WaitGroup
	for n := range siegeClients {
		all.Go(func() {
			c, err := net.DialTimeout("tcp", addr, poll.Patience)
			outcome := "no connection"
			if err == nil {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * poll.Patience))
				if outcome, err = do(n, c); err != nil {
					outcome = fmt.Sprintf("broken: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			came[outcome]++
		})
	}
	all.Wait()
	b.t.Logf("%s, in %s: %v; at most %s until here", what, time.Since(began).Round(time.Millisecond), came, b.jail.took())
	b.lives(what)
	return came
}

// lives wants the node to be there, and to answer.
func (b *besieged) lives(after string) {
	b.t.Helper()
	if n := b.jail.kills(b.t); n > 0 || !b.proc(0).running() {
		b.t.Fatalf("after %s: %d processes were killed for the memory that they took", after, n)
	}
	if status, _, err := b.get(0, "/healthz"); err != nil || status != http.StatusOK {
		b.t.Fatalf("after %s: /healthz is %d, %v", after, status, err)
	}
}

// only wants nothing else to have come of it.
func (b *besieged) only(came map[string]int, allowed ...string) {
	b.t.Helper()
	for outcome, n := range came {
		ok := false
		for _, a := range allowed {
			ok = ok || strings.HasPrefix(outcome, a)
		}
		if !ok {
			b.t.Errorf("%d times: %s", n, outcome)
		}
	}
}

// sends sends a request with a body, and returns the status of the answer. A 503 has to say when to
// try again. The answer may come before all of the body is sent.
func sends(head string, body []byte) func(n int, c net.Conn) (string, error) {
	return func(n int, c net.Conn) (string, error) {
		head := strings.ReplaceAll(head, "{n}", strconv.Itoa(n))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = fmt.Fprintf(c, "%s\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", head, len(body))
			_, _ = c.Write(body) // the node may have had enough: the answer says so
		}()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			c.Close()
			<-sent
			return "", err
		}
		defer func() { c.Close(); <-sent }()
		defer res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
			return "503 without Retry-After", nil
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return strconv.Itoa(res.StatusCode), nil
	}
}

// takesNothing sends requests, reads what the first line of the answer begins with, and takes no
// more of it until all others have come as far.
func takesNothing(requests string) func(n int, c net.Conn) (string, error) {
	var all sync.WaitGroup
	all.Add(siegeClients)
	return func(n int, c net.Conn) (string, error) {
		done := sync.OnceFunc(all.Done)
		defer done()
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		if _, err := io.WriteString(c, requests); err != nil {
			return "", err
		}
		b := make([]byte, len("HTTP/1.1 200")) // or -UNAVAILABLE, the longest word of a RESP answer
		if _, err := io.ReadFull(c, b); err != nil {
			return "", err
		}
		done()
		all.Wait()
		line, _, _ := strings.Cut(string(b), "\r\n")
		return line, nil
	}
}

// storms are all that clients with nothing good in mind may do at once.
func (b *besieged) storms() {
	b.writers()
	b.changers()
	b.readers()
	b.escapes()
}

func (b *besieged) writers() {
	addr, large := b.ships[0].ask, bytes.Repeat([]byte("0123456789abcdef"), siegeValue/16)
	statuses := []string{"201", "204", "200", "503", "507"}

	b.only(b.together(addr, "uploads", sends("PUT /db/siege{n} HTTP/1.1", large)), statuses...)
	b.only(b.together(addr, "uploads again", sends("PUT /db/siege{n} HTTP/1.1", large)), statuses...)

	var lines bytes.Buffer
	for i := range 8 {
		fmt.Fprintf(&lines, "load%d\t%s\n", i, large[:1<<20])
	}
	loads := sends("POST /load-data HTTP/1.1\r\nContent-Type: text/tab-separated-values", lines.Bytes())
	b.only(b.together(addr, "loads", loads), statuses...)
	lines.Reset()
	for i := range 8 {
		fmt.Fprintf(&lines, `{"op":"put","key":"batch%d","value":"%s"}`+"\n", i, large[:1<<20])
	}
	b.only(b.together(addr, "batches", sends("POST /batch HTTP/1.1\r\nContent-Type: application/x-ndjson", lines.Bytes())), statuses...)

	one := strconv.Itoa(siegeValue)
	b.only(b.together(b.resp, "SETs", func(n int, c net.Conn) (string, error) {
		go func() {
			_, _ = fmt.Fprintf(c, "*3\r\n$3\r\nSET\r\n$8\r\nresp%04d\r\n$%s\r\n%s\r\n", n, one, large)
		}()
		line, err := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(line), err
	}), "+OK", "-OOM", "-TRYAGAIN", "-UNAVAILABLE", "-UNKNOWN")
}

// changers change and replace large values, each of which the node copies for that. A value that
// was changed is so in whole, and one that was not is as it was.
func (b *besieged) changers() {
	addr := b.ships[0].ask
	refusals := []string{":", "$", "-OOM", "-TRYAGAIN", "-UNAVAILABLE", "-UNKNOWN"}
	long := bytes.Repeat([]byte("0123456789abcdef"), siegeLong/16)
	const shared = 2
	b.eventually("large values are stored", func() error {
		_ = b.delete("?prefix=")
		for i := range shared {
			if status := b.put(fmt.Sprintf("/db/change%d", i), long); status != http.StatusCreated && status != http.StatusNoContent {
				return fmt.Errorf("the answer is %d", status)
			}
		}
		return nil
	})
	var grown, maybe [shared]atomic.Int64 // bytes that were appended, or that may have been
	ask := func(command string, done func(key int, answer string)) func(n int, c net.Conn) (string, error) {
		return func(n int, c net.Conn) (came string, err error) {
			answers := bufio.NewReader(c)
			for range 4 {
				key := n % shared
				if _, err := io.WriteString(c, strings.ReplaceAll(command, "{key}", fmt.Sprintf("change%d", key))); err != nil {
					return "", err
				}
				line, err := answers.ReadString('\n')
				if err != nil {
					return "", err
				}
				if size, ok := strings.CutPrefix(line, "$"); ok { // a value, whole
					n, _ := strconv.Atoi(strings.TrimSpace(size))
					value := make([]byte, n+2)
					if _, err := io.ReadFull(answers, value); err != nil {
						return "", err
					}
					if !wholeSiege(value[:n]) {
						return "a value of two writes", nil
					}
				}
				done(key, line)
				came = strings.Fields(line)[0]
				if line[0] != '-' {
					came = line[:1]
				}
			}
			return came, nil
		}
	}
	b.only(b.together(b.resp, "APPENDs", ask("APPEND {key} =\r\n", func(key int, answer string) {
		switch {
		case strings.HasPrefix(answer, ":"):
			grown[key].Add(1)
		case strings.HasPrefix(answer, "-UN"):
			maybe[key].Add(1)
		}
	})), refusals...)
	b.only(b.together(b.resp, "SETRANGEs", ask("SETRANGE {key} 5 x\r\n", func(int, string) {})), refusals...)
	b.only(b.together(b.resp, "EXPIREs", ask("EXPIRE {key} 3600\r\n", func(int, string) {})), refusals...)
	b.only(b.together(b.resp, "GETEXs", ask("GETEX {key} EX 3600\r\n", func(int, string) {})), refusals...)
	b.only(b.together(addr, "appends", sends("POST /db/change0?append HTTP/1.1", []byte("="))), "200", "503", "507")
	for i := range shared {
		key := fmt.Sprintf("/db/change%d", i)
		b.eventually("what was changed is read", func() error {
			status, value, err := b.get(0, key)
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("%d, %v", status, err)
			}
			if !wholeSiege(value) {
				return fmt.Errorf("%s is neither what it was nor what it was made: %d bytes", key, len(value))
			}
			least := grown[i].Load()
			if more := int64(len(value) - len(long)); i > 0 && (more < least || more > least+maybe[i].Load()) {
				return fmt.Errorf("%s has %d bytes more, and %d were appended, or %d more", key, more, least, maybe[i].Load())
			}
			return nil
		})
	}
	b.only(b.together(b.resp, "SETs that find", ask("SET {key} x NX GET\r\n", func(int, string) {})), refusals...)
	set := fmt.Sprintf("*3\r\n$6\r\nGETSET\r\n$7\r\nchange0\r\n$%d\r\n%s\r\n", len(long), long)
	b.only(b.together(b.resp, "GETSETs", func(n int, c net.Conn) (string, error) {
		go func() { _, _ = io.WriteString(c, set) }()
		line, err := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(line), err
	}), refusals...)
	b.only(b.together(b.resp, "many APPENDs at once", takesNothing(strings.Repeat("APPEND change0 =\r\nAPPEND change1 =\r\n", 32))), refusals...)
}

// wholeSiege says whether a value is one of those that are written under siege: what it begins
// with, but for a byte that a SETRANGE changes, and then bytes that were appended.
func wholeSiege(value []byte) bool {
	const digits = "0123456789abcdef"
	value = bytes.TrimRight(value, "=")
	if len(value) != siegeLong || value[5] != '5' && value[5] != 'x' {
		return false
	}
	for i, c := range value {
		if c != digits[i%16] && i != 5 {
			return false
		}
	}
	return true
}

func (b *besieged) readers() {
	addr, large := b.ships[0].ask, bytes.Repeat([]byte("0123456789abcdef"), siegeValue/16)
	b.eventually("a large value is stored", func() error {
		_ = b.delete("?prefix=")
		a := b.put("/db/large", large)
		if a != http.StatusCreated && a != http.StatusNoContent {
			return fmt.Errorf("the answer is %d", a)
		}
		return nil
	})
	b.only(b.together(addr, "readers that take nothing",
		takesNothing("GET /db/large HTTP/1.1\r\nHost: localhost\r\n\r\n")), "HTTP/1.1 200", "HTTP/1.1 503")
	b.only(b.together(addr, "readers of many that take nothing",
		takesNothing(strings.Repeat("GET /db/large HTTP/1.1\r\nHost: localhost\r\n\r\n", 3))), "HTTP/1.1 200", "HTTP/1.1 503")
	b.only(b.together(addr, "readers of pages that take nothing",
		takesNothing("GET /db?values=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")), "HTTP/1.1 200", "HTTP/1.1 503")
	b.only(b.together(b.resp, "GETs that take nothing",
		takesNothing(strings.Repeat("GET large\r\n", 3))), "$838", "-OOM", "$-1")
}

// escapes has clients ask for many values at once, in JSON, where they may be much longer.
func (b *besieged) escapes() {
	addr := b.ships[0].ask
	_ = b.delete("?prefix=")
	for i := range 3 {
		b.eventually("a large value of NULs is stored", func() error {
			a := b.put(fmt.Sprintf("/db/nul%d", i), make([]byte, siegeValue))
			if a != http.StatusCreated && a != http.StatusNoContent {
				return fmt.Errorf("the answer is %d", a)
			}
			return nil
		})
	}
	for i := range 50 {
		b.put(fmt.Sprintf("/db/some%d", i), bytes.Repeat([]byte{byte(i)}, 16_000))
	}
	batch := func(key string, keys, gets int) string {
		var ops strings.Builder
		for i := range gets {
			fmt.Fprintf(&ops, `{"op":"get","key":"%s%d"}`+"\n", key, i%keys)
		}
		return fmt.Sprintf("POST /batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s", ops.Len(), ops.String())
	}
	for what, request := range map[string]string{
		"batches of large gets": batch("nul", 3, 17),
		"batches of small gets": batch("some", 50, 1000),
		"dumps":                 "GET /db?values=1 HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n",
	} {
		b.only(b.together(addr, what+" that take nothing", takesNothing(request)), "HTTP/1.1 200", "HTTP/1.1 503")
		b.only(b.together(addr, what, takesAll(request)), "HTTP/1.1 200", "HTTP/1.1 503")
	}
}

// takesAll sends a request and reads the answer to its end.
func takesAll(request string) func(n int, c net.Conn) (string, error) {
	return func(_ int, c net.Conn) (string, error) {
		if _, err := io.WriteString(c, request); err != nil {
			return "", err
		}
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return "", err
		}
		defer a.Body.Close()
		if _, err := io.Copy(io.Discard, a.Body); err != nil && a.ContentLength >= 0 {
			return "", err // a stream is cut where there is no memory to go on with
		}
		return fmt.Sprintf("HTTP/1.1 %d", a.StatusCode), nil
	}
}

func (b *besieged) put(path string, body []byte) int {
	return b.ask("PUT", path, bytes.NewReader(body))
}

func (b *besieged) delete(query string) int { return b.ask("DELETE", "/db"+query, nil) }

func (b *besieged) ask(method, path string, body io.Reader) int {
	req, err := http.NewRequest(method, b.url(0, path), body)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// A node in a container is not killed for its memory, whatever clients do: it says 503 or 507 and
// lives, with what it works out from the limit, and with a bound on the store of one's own.
func TestSiege(t *testing.T) {
	t.Parallel()
	for _, limit := range soaked([]int64{256}, []int64{256, 384, 512}) {
		for _, flags := range soaked([][]string{{"--max-memory=64MiB"}}, [][]string{{"--max-memory=64MiB"}, nil, {"--data-dir=data-{node}"}}) {
			t.Run(fmt.Sprint(limit, flags), func(t *testing.T) {
				b := besiege(t, limit, 1, flags...)
				b.startAll()
				b.storms()
				b.storesAgain()
			})
		}
	}
}

// storesAgain wants the node to do what it is for, once the storm is over.
func (b *besieged) storesAgain() {
	b.t.Helper()
	b.eventually("it stores again", func() error {
		if status := b.put("/db/after", []byte("after")); status != http.StatusCreated && status != http.StatusNoContent {
			return fmt.Errorf("the answer is %d", status)
		}
		return nil
	})
}

// The same holds of a node of three that sends each write to one that is up, and keeps it for one
// that is down.
func TestSiegeOfOneOfThree(t *testing.T) {
	if !thorough && !soak {
		t.Skip("a node alone is besieged instead (make thorough)")
	}
	t.Parallel()
	b := besiege(t, 256, 3, "--replicas=3", "--evict-after=0")
	b.startAll()
	b.kill9(2)
	b.awaitDown(2, 0, 1)
	b.storms()
	b.storesAgain()
}
