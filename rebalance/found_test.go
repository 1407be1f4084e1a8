package rebalance

import (
	"slices"
	"strings"
	"testing"
)

// What the search has found once, made short: the protocol as it is holds in these orders of
// events, and as it was, it does not.
var foundOnce = []struct {
	was                   mutation
	what, scenario, trace string
}{
	{countsOneEnd, "two take each other for down, one acknowledges that and claims, and the other goes on without it", "suspicion", `
		suspects(a,c,0) sends(c,b,0) delivers(c,b,0) sends(c,a,0) delivers(c,a,0) sends(b,c,0) delivers(a,c,0) sends(c,b,0) suspects(c,a,0)
		delivers(c,b,0) delivers(b,c,0) sends(c,a,0) delivers(b,c,1) delivers(c,a,0) readies(c,d,7) delivers(a,c,0) pulls(c,a,2) pulls(c,b,2) pulls(c,a,1) begins(a,a,1)
		begins(a,c,2) pulls(c,b,1) acknowledges(a,a,1) claims(c,a,0)`},
	{countsOnNewBootAtOnce, "a member stores a write, is restarted, and claims before the other owner has stored it", "restarts", `
		begins(b,b,2) stores(b,c,0) crashes(c,d,0) restarts(c,b,0) greets(c,b,0) delivers(c,b,0) delivers(b,c,0) sends(c,b,0) states(c,c,0)
		sends(c,a,0) delivers(c,a,0) sends(c,a,0) delivers(c,a,0) delivers(c,b,0) delivers(b,c,0) delivers(a,c,1) readies(c,a,7) pulls(c,a,2)`},
	{countsOnNewBootAtOnce, "a member is removed, a write begins, and it comes back and claims before the other owner has stored it", "false remove", `
		suspects(a,c,0) removes(a,c,0) greets(a,b,0) greets(a,c,0) delivers(a,c,0) delivers(c,a,0) delivers(a,b,0) sends(a,c,0) delivers(a,c,0)
		greets(c,b,0) delivers(c,a,0) begins(b,b,2) delivers(c,b,0) delivers(b,c,0) settles(a,c,0) sends(c,b,0) delivers(c,b,0) sends(b,c,0)
		delivers(b,c,1) delivers(c,b,0) sends(c,a,0) delivers(b,c,0) delivers(c,a,0) delivers(a,c,0) sends(c,b,0) delivers(c,b,0) settles(b,c,0)
		delivers(b,c,0) sends(c,b,0) sends(c,a,0) sends(b,c,0) delivers(c,b,0) delivers(c,a,0) delivers(b,c,1) delivers(a,c,0) readies(c,b,7)
		pulls(c,a,2) pulls(c,b,1) claims(c,b,0)`},
	{downOwnersNotAwaited, "a member joins, crashes while it fetches, and the others go on to a ring that it is on", "removal", `
		restarts(d,b,0) greets(d,a,0) delivers(d,a,0) greets(d,b,0) delivers(d,b,0) delivers(b,d,0) greets(d,c,0) delivers(d,c,0) delivers(c,d,0)
		states(d,a,0) states(c,b,0) sends(b,d,0) delivers(b,d,0) delivers(d,b,0) states(b,a,0) sends(c,d,0) delivers(c,d,0) delivers(d,c,0)
		crashes(d,c,0) suspects(a,d,0)`},
}

func parseTrace(t *testing.T, text string) (trace []action) {
	t.Helper()
	for _, word := range strings.Fields(text) {
		name, rest, _ := strings.Cut(word, "(")
		v := slices.Index(verbs[:], name)
		if v < 0 {
			t.Fatalf("no such action: %s", word)
		}
		i := 0
		for _, digit := range strings.TrimSuffix(rest[4:], ")") {
			i = 10*i + int(digit-'0')
		}
		trace = append(trace, action{verb(v), int(rest[0] - 'a'), int(rest[2] - 'a'), i})
	}
	return trace
}

// What the model once found is found in the protocol as it was, and not as it is.
func TestWhatWasFoundOnceIsMended(t *testing.T) {
	for _, c := range foundOnce {
		cfg := scenarios[c.scenario]
		trace := parseTrace(t, c.trace)
		for _, warm := range []bool{true, false} {
			if _, fault := replay(&cfg, warm, false, trace); fault != "" {
				t.Errorf("%s: %s", c.what, fault)
			}
		}
		cfg.broken = c.was
		_, one := replay(&cfg, true, false, trace)
		_, other := replay(&cfg, false, false, trace)
		if one == "" && other == "" {
			t.Errorf("%s: not found in the protocol as it was", c.what)
		}
	}
}
