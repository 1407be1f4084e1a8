package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// The Redis protocol needs room for a value and for the answer with it. A node that speaks it is
// not started with less --max-answer-memory; one that does not is.
func TestAnswersOfRedisNeedTwiceTheValue(t *testing.T) {
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{[]string{"--max-answer-memory=8MiB"}, true},
		{[]string{"--max-answer-memory=15MiB", "--resp-port=6379"}, false},
		{[]string{"--max-answer-memory=16MiB", "--resp-port=6379"}, true},
		{[]string{"--max-answer-memory=2MiB", "--max-value-bytes=1MiB", "--resp-port=6379"}, true},
		{[]string{"--max-answer-memory=0", "--resp-port=6379"}, true},
	} {
		cli := new(commands)
		parser, err := newParser(cli, &terminal{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"server"}, c.args...)); err != nil {
			t.Fatal(err)
		}
		_, _, err = cli.Server.config(&machine{hostname: "box"})
		said := fmt.Sprint(err)
		if told := strings.Contains(said, "--max-answer-memory") && strings.Contains(said, "twice"); (err == nil) != c.ok || told == c.ok {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

// Where it cannot be found out what memory there is, a node says so in one line, with the reason
// and the flags that help and are not given. Otherwise it says nothing.
func TestUnknownLimitIsTold(t *testing.T) {
	flags := memoryFlags{}
	told := func(r room) string {
		var out bytes.Buffer
		r.tell(slog.New(slog.NewTextHandler(&out, nil)), flags.open())
		return out.String()
	}
	if line := told(room{limit: 1, total: 1}); line != "" {
		t.Errorf("with a limit that is known it says %s", line)
	}
	line := told(room{err: errors.New("cannot read memory.max")})
	for _, part := range []string{"level=WARN", "limit of memory cannot be found out", "--max-memory", "--max-request-memory", "--max-answer-memory", "cannot read memory.max"} {
		if !strings.Contains(line, part) || strings.Count(line, "\n") != 1 {
			t.Errorf("it says %s, without %q or not in one line", line, part)
		}
	}
	flags.MaxMemory.given, flags.MaxAnswerMemory = true, 1
	if line := told(room{err: errors.New("no memory.max")}); !strings.Contains(line, "give --max-request-memory\"") {
		t.Errorf("with the other two flags it says %s", line)
	}
	if flags.MaxRequestMemory = 1; len(flags.open()) != 0 {
		t.Errorf("with all flags it asks for %q", flags.open())
	}
}

// A plan that does not fit is a warning, which says what helps. `httpdhs dev` has no --max-memory.
// Where values are so large that no store fits, none is advised: 0 would be no bound.
func TestPlansThatDoNotFitAreTold(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "1GiB") // that of the test's process stays as it is
	const mib = 1 << 20
	for _, c := range []struct {
		limit, store, value int64
		nodes               int
		want, not           string
	}{
		{512 * mib, storeDefault, 8 * mib, 1, "", "level=WARN"},
		{256 * mib, 250 * mib, 8 * mib, 1, "--max-memory less, or the process more", "--max-value-bytes"},
		{256 * mib, 0, 8 * mib, 1, "leave out --max-memory=0", "--max-value-bytes"},
		{32 * mib, storeDefault, 8 * mib, 1, "--max-value-bytes less", "max_memory_that_fits"},
		{256 * mib, storeDefault, 64 * mib, 1, "--max-value-bytes less", "max_memory_that_fits"},
		{256 * mib, 64 * mib, 64 * mib, 1, "--max-value-bytes less", "--max-memory less"},
		{256 * mib, 0, 64 * mib, 1, "--max-value-bytes less", "leave out"},
		{512 * mib, storeDefault, 8 * mib, 3, "fewer --nodes", "--max-value-bytes"},
		{4096 * mib, storeDefault, 8 * mib, 3, "", "level=WARN"},
	} {
		var out bytes.Buffer
		p := planMemory(memoryAsked{limit: c.limit / int64(c.nodes), store: c.store, value: c.value, resp: c.nodes > 1})
		p.begin(slog.New(slog.NewTextHandler(&out, nil)), c.limit, c.nodes)
		if line := out.String(); strings.Contains(line, "level=WARN") != (c.want != "") || !strings.Contains(line, c.want) || strings.Contains(line, c.not) {
			t.Errorf("%d nodes under %d MiB with values of %d MiB: %s", c.nodes, c.limit/mib, c.value/mib, line)
		}
	}
}
