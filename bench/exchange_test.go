package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// lineServer answers each line that it is sent by what answer says; "" hangs up. It counts how
// often it was sent which line.
func lineServer(t *testing.T, answer func(line string) string) (addr string, seen func() map[string]int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex // guards lines
	lines := map[string]int{}
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					line = strings.TrimSuffix(line, "\n")
					mu.Lock()
					lines[line]++
					mu.Unlock()
					text := answer(line)
					if _, err = io.WriteString(c, text); err != nil || text == "" {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String(), func() map[string]int { mu.Lock(); defer mu.Unlock(); return lines }
}

var errNotOK = errors.New("not OK")

// lines asks for a key by its number, and wants "ok" back.
var lines = Exchange{
	Request: func(dst []byte, key int) []byte { return fmt.Appendf(dst, "%d\n", key) },
	Answer: func(b []byte) (int, error) {
		const want = "ok\n"
		switch {
		case strings.HasPrefix(string(b), want):
			return len(want), nil
		case strings.HasPrefix(want, string(b)):
			return 0, nil
		}
		return 0, errNotOK
	},
}

func exchangeConfig(addr string) Config {
	c := DefaultConfig()
	c.To, c.Conns, c.Keys, c.Warmup, c.Duration, c.Timeout = []string{addr}, 7, 100, 0, 20*time.Millisecond, time.Minute
	return c
}

// A fill asks for each key once, however they are dealt to the connections.
func TestExchangeFillsEachKeyOnce(t *testing.T) {
	linuxOnly(t)
	addr, seen := lineServer(t, func(string) string { return "ok\n" })
	if err := lines.Fill(t.Context(), exchangeConfig(addr)); err != nil {
		t.Fatal(err)
	}
	for key := range 100 {
		if n := seen()[strconv.Itoa(key)]; n != 1 {
			t.Errorf("key %d was asked for %d times", key, n)
		}
	}
	if n := len(seen()); n != 100 {
		t.Errorf("%d keys were asked for, want 100", n)
	}
}

// A rate counts answers to keys that there are. In an open loop no more is asked than is due.
func TestExchangeIsMeasured(t *testing.T) {
	linuxOnly(t)
	addr, seen := lineServer(t, func(string) string { return "ok\n" })
	c := exchangeConfig(addr)
	round, err := lines.Measure(t.Context(), c)
	for err == nil && round.OperationRate == 0 && c.Duration < time.Minute {
		// Busy cores may answer nothing in so short a time.
		c.Duration *= 2
		round, err = lines.Measure(t.Context(), c)
	}
	if err != nil || round.OperationRate <= 0 {
		t.Errorf("%+v, %v", round, err)
	}
	c.Rate = 2 / c.Duration.Seconds()
	if round, err = lines.Measure(t.Context(), c); err != nil || round.Requests > 3 {
		t.Errorf("with two requests due: %+v, %v", round, err)
	}
	for line := range seen() {
		if key, err := strconv.Atoi(line); err != nil || key < 0 || key >= 100 {
			t.Errorf("%q was asked for", line)
		}
	}
}

// A server that gives another answer than it should, or none, is not measured, and the error says
// what was wrong.
func TestExchangeEndsWithWhatIsWrong(t *testing.T) {
	linuxOnly(t)
	for name, c := range map[string]struct {
		answer string
		is     func(error) bool
	}{
		"wrong":    {"no\n", func(err error) bool { return errors.Is(err, errNotOK) }},
		"hangs up": {"", func(err error) bool { return err != nil && strings.Contains(err.Error(), kindClosed) }},
	} {
		addr, _ := lineServer(t, func(line string) string {
			if line == "50" {
				return c.answer
			}
			return "ok\n"
		})
		if err := lines.Fill(t.Context(), exchangeConfig(addr)); !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
