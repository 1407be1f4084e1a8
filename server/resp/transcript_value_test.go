package resp_test

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readValue reads one value of the Redis protocol, of its second or third version. It returns all
// of its bytes, and those that came before an error.
func readValue(in *bufio.Reader) (raw string, err error) {
	var b strings.Builder
	err = copyValue(&b, in)
	return b.String(), err
}

func firstValue(text string) (string, error) {
	return readValue(bufio.NewReader(strings.NewReader(text)))
}

func copyValue(b *strings.Builder, in *bufio.Reader) error {
	head, err := in.ReadString('\n')
	b.WriteString(head)
	if err != nil {
		return err
	}
	line, crlf := strings.CutSuffix(head, "\r\n")
	if !crlf || line == "" {
		return fmt.Errorf("%q is no line of the protocol", head)
	}
	switch line[0] {
	case '+', '-', ':', ',', '#', '(', '_':
		return nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < -1 {
		return fmt.Errorf("%q has no length", head)
	}
	switch line[0] {
	case '$', '=', '!':
		return copyBulk(b, in, n)
	case '%':
		n *= 2
	case '|':
		n = 2*n + 1 // attributes are followed by the value itself
	case '*', '~', '>':
	default:
		return fmt.Errorf("%q is no type of the protocol", head)
	}
	for range n {
		if err := copyValue(b, in); err != nil {
			return err
		}
	}
	return nil
}

func copyBulk(b *strings.Builder, in *bufio.Reader, n int) error {
	if n < 0 {
		return nil
	}
	body := make([]byte, n+len("\r\n"))
	got, err := io.ReadFull(in, body)
	b.Write(body[:got])
	if err == nil && string(body[n:]) != "\r\n" {
		err = fmt.Errorf("%q ends with no line end", body)
	}
	return err
}

// One value is read, with what is in it, and nothing after it.
func TestValuesEndWhereTheyEnd(t *testing.T) {
	for _, value := range []string{
		"+OK\r\n", "-ERR x\r\n", ":-1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(12\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"$0\r\n\r\n", "$4\r\na\r\nb\r\n", "=5\r\ntxt:a\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "%1\r\n+a\r\n*1\r\n:1\r\n",
		"~1\r\n:1\r\n", ">1\r\n+a\r\n", "|1\r\n+a\r\n:1\r\n:2\r\n",
	} {
		if got, err := firstValue(value + "+more\r\n"); got != value || err != nil {
			t.Errorf("of %q is read %q: %v", value, got, err)
		}
	}
	for _, bad := range []string{"", "\r\n", "+OK", "+OK\n", "?\r\n", "$x\r\n", "$-2\r\n", "$3\r\na\r\n", "$1\r\nabc", "*2\r\n:1\r\n"} {
		if got, err := firstValue(bad); err == nil {
			t.Errorf("of %q is read %q", bad, got)
		}
	}
}

// What a transcript says is what is sent and wanted, and it is written as it was read.
func TestTranscriptsAreRead(t *testing.T) {
	script, err := parseTranscript("dir/some.txt", `# a remark
== one
> SET "a\x00 b" 'it\'s' c
< "+OK\r\n"
> KEYS *
<unordered "*2\r\n"
  "+b\r\n+a\r\n"
>> "*1\r\n" 3*"ab"
<nothing
> TTL a
<range 1 9
~ for a reason
==3 two
> QUIT
<like \+O.\r\n
<closed
`)
	if err != nil || len(script.sessions) != 2 || !script.sessions[1].resp3 || script.name != "some" {
		t.Fatalf("read is %+v: %v", script, err)
	}
	steps := slices.Concat(script.sessions[0].steps, script.sessions[1].steps)
	for i, want := range []string{encode([]string{"SET", "a\x00 b", "it's", "c"}), encode([]string{"KEYS", "*"}),
		"*1\r\nababab", encode([]string{"TTL", "a"}), encode([]string{"QUIT"})} {
		if steps[i].request != want {
			t.Errorf("%s sends %q, want %q", steps[i].text, steps[i].request, want)
		}
	}
	if steps[3].differs == "" || !steps[2].nothing || len(steps[2].wants) > 0 || len(steps[4].wants) != 2 {
		t.Errorf("the marks are not read: %+v", steps)
	}
	for i, answers := range [][]string{{"+OK\r\n", "+OK\r\n\r\n"}, {"*2\r\n+a\r\n+b\r\n", "*2\r\n+a\r\n+a\r\n"}, nil,
		{":9\r\n", ":10\r\n"}, {"+OK\r\n", "+ON \r\n"}} {
		if answers != nil && (!steps[i].wants[0].matches(answers[0]) || steps[i].wants[0].matches(answers[1])) {
			t.Errorf("%s does not tell %q", steps[i].text, answers)
		}
	}
	for _, bad := range []string{"> GET a", "== a\n< \"x\"", "== a\n> GET \"a", "== a\n>> a", "== a\n> GET a\nx"} {
		if _, err := parseTranscript("bad.txt", bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
