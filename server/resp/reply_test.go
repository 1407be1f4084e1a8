package resp

import (
	"math"
	"testing"
)

// Each kind of answer is written in the client's version of the protocol.
func TestAnswersAreWritten(t *testing.T) {
	for _, c := range []struct {
		what         string
		write        func(r *reply)
		resp2, resp3 string
	}{
		{"ok", (*reply).ok, "+OK\r\n", "+OK\r\n"},
		{"simple", func(r *reply) { r.simple("a b") }, "+a b\r\n", "+a b\r\n"},
		{"error", func(r *reply) { r.error("ERR a\r\nb") }, "-ERR a  b\r\n", "-ERR a  b\r\n"},
		{"int", func(r *reply) { r.int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"small int", func(r *reply) { r.int(1) }, ":1\r\n", ":1\r\n"},
		{"bulk", func(r *reply) { r.bulk([]byte("a\r\n")) }, "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"},
		{"text", func(r *reply) { r.text("abcdefghij") }, "$10\r\nabcdefghij\r\n", "$10\r\nabcdefghij\r\n"},
		{"null", (*reply).null, "$-1\r\n", "_\r\n"},
		{"array", func(r *reply) { r.array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(r *reply) { r.mapping(2) }, "*4\r\n", "%2\r\n"},
		{"set", func(r *reply) { r.set(2) }, "*2\r\n", "~2\r\n"},
		{"verbatim", func(r *reply) { r.verbatim("txt", "ab") }, "$2\r\nab\r\n", "=6\r\ntxt:ab\r\n"},
	} {
		for resp3, want := range map[bool]string{false: c.resp2, true: c.resp3} {
			r := reply{resp3: resp3}
			if c.write(&r); string(r.buf) != want {
				t.Errorf("%s, RESP3 %t: %q, want %q", c.what, resp3, r.buf, want)
			}
		}
	}
}

// Every command is found by its name, in any case, and nothing else is.
func TestCommandsAreFound(t *testing.T) {
	table := newTable()
	for i := range table.all {
		cmd := &table.all[i]
		upper := make([]byte, len(cmd.name))
		for k := range upper {
			upper[k] = cmd.name[k]
			if c := upper[k]; c >= 'a' && c <= 'z' && k%2 == 0 {
				upper[k] = c - 'a' + 'A'
			}
		}
		if got := table.find(upper); got != cmd {
			t.Errorf("%s is %v", upper, got)
		}
		if table.find([]byte(cmd.name+"x")) != nil || table.find(nil) != nil {
			t.Errorf("%sx is a command", cmd.name)
		}
		if cmd.first > 0 && cmd.step == 0 || cmd.run == nil && cmd.sub == nil {
			t.Errorf("the row of %s is wrong", cmd.name)
		}
	}
}
