package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"httpdhs/bench"
)

// wrkConns is what wrk is given with -c.
const wrkConns = "64"

// wrkScript makes wrk ask as the load generator does: 16-byte keys, uniform
// over 100,000, and values of 100 bytes.
const wrkScript = `
local body = %s
request = function()
  return wrk.format(%q, string.format("/db/%%016d", math.random(0, %d)), nil, body)
end
`

// writeScripts writes what wrk runs for each method, if wrk is installed.
func (h *house) writeScripts() error {
	if _, lacks := exec.LookPath("wrk"); lacks != nil {
		h.Now("rows by wrk are left out: it is not installed")
		return nil
	}
	c := bench.DefaultConfig()
	h.wrkScripts = map[string]string{}
	for method, body := range map[string]string{"get": "nil", "put": strconv.Quote(strings.Repeat("v", c.ValueSize))} {
		name := filepath.Join(h.Dir, method+".lua")
		text := fmt.Sprintf(wrkScript, body, strings.ToUpper(method), c.Keys-1)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
		h.wrkScripts[method] = name
	}
	return nil
}

// byWrk measures requests of a method with wrk.
func byWrk(method string, who func(*house, *side) []string) func(*house, *side) (figures, error) {
	return func(h *house, n *side) (figures, error) {
		addr := who(h, n)[0]
		if err := h.fillForWrk(method, addr); err != nil {
			return nil, err
		}
		seconds := strconv.Itoa(max(int(h.duration.Seconds()+0.5), 1)) // wrk takes whole ones
		out, err := h.Run("wrk", "-t1", "-c"+wrkConns, "-d"+seconds+"s", "-s", h.wrkScripts[method], "http://"+addr)
		if err != nil {
			return nil, err
		}
		rate, err := wrkRate(out)
		return figures{"": rate}, err
	}
}

// fillForWrk stores the keys that wrk reads: a run of the load generator begins
// with that.
func (h *house) fillForWrk(method, addr string) error {
	if method != "get" || h.filled[addr] {
		return nil
	}
	if h.filled == nil {
		h.filled = map[string]bool{}
	}
	h.filled[addr] = true
	_, err := h.load(bench.Get, []string{addr}, func(c *bench.Config) { c.Duration, c.Warmup = 100*time.Millisecond, 0 })
	return err
}

var (
	wrkRatePattern  = regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`)
	wrkErrorPattern = regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses|Socket errors):.*$`)
)

// wrkRate reads the rate from what wrk printed. Any error is one.
func wrkRate(out string) (float64, error) {
	if errors := wrkErrorPattern.FindString(out); errors != "" {
		return 0, fmt.Errorf("wrk: %s", strings.TrimSpace(errors))
	}
	m := wrkRatePattern.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk printed no rate: %q", out)
	}
	return strconv.ParseFloat(m[1], 64)
}
