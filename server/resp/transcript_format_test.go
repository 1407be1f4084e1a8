package resp_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A transcript is a file of testdata/redis7. Its lines begin with
//
//	#           a remark
//	== TITLE    a session: an empty database, and a new connection
//	==3 TITLE   the same, and the connection begins with HELLO 3
//	> COMMAND   a command, with its words quoted as in redis-cli
//	>> "BYTES"  what is sent as it is; 3*"x" is "xxx"
//	< "BYTES"   an answer, quoted as in Go; indented lines that follow are more of it
//	<unordered "BYTES"  the same, but the elements of arrays may come in any order
//	<like REGEXP        the whole answer matches
//	<range LOW HIGH     an integer
//	<closed     the connection is closed; the next command gets another one
//	<nothing    no answer
//	~ REASON    httpdhs differs on purpose in the command above, or in all of the session above
//
// Each answer is one value, and raw bytes may have several. A command without any gets one when the
// answers are recorded.
type transcript struct {
	name     string // of the file, without its ending
	path     string
	lines    []line
	sessions []*session
}

// line is a line of the file. Those of a step are written from the step.
type line struct {
	text string
	step *step
}

type session struct {
	title   string
	resp3   bool
	differs string
	steps   []*step
}

type step struct {
	line    int
	text    string // of its line
	request string
	wants   []want
	nothing bool // is answered
	differs string
}

type kind int

const (
	exact kind = iota
	unordered
	like
	inRange
	closed
)

// want is what an answer has to be.
type want struct {
	kind      kind
	text      string // an answer, or a regexp
	low, high int64
}

func parseTranscript(path, body string) (*transcript, error) {
	script := &transcript{name: strings.TrimSuffix(filepath.Base(path), ".txt"), path: path}
	n := 0
	for text := range strings.Lines(body) {
		n++
		text = strings.TrimRight(text, "\n")
		if err := script.take(n, text); err != nil {
			return nil, fmt.Errorf("%s:%d: %q: %w", path, n, text, err)
		}
	}
	for _, s := range script.sessions {
		for _, step := range s.steps {
			if len(step.wants) == 0 && !step.nothing {
				step.wants = []want{{}}
			}
		}
	}
	return script, nil
}

// take adds a line of the file.
func (script *transcript) take(n int, text string) (err error) {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	if text == "" || word == "#" {
		script.lines = append(script.lines, line{text: text})
		return nil
	}
	if word == "==" || word == "==3" {
		script.lines = append(script.lines, line{text: text})
		script.sessions = append(script.sessions, &session{title: rest, resp3: word == "==3"})
		return nil
	}
	if len(script.sessions) == 0 {
		return errors.New("no session has begun")
	}
	s := script.sessions[len(script.sessions)-1]
	if word == ">" || word == ">>" {
		added := &step{line: n, text: text}
		if word == ">>" {
			added.request, err = rawBytes(rest)
		} else {
			var words []string
			words, err = splitWords(rest)
			added.request = encode(words)
		}
		s.steps = append(s.steps, added)
		script.lines = append(script.lines, line{step: added})
		return err
	}
	if len(s.steps) == 0 {
		if word != "~" {
			return errors.New("an answer to no command")
		}
		s.differs = rest
		script.lines = append(script.lines, line{text: text})
		return nil
	}
	return s.steps[len(s.steps)-1].take(word, rest)
}

// take adds a line of an answer.
func (s *step) take(word, rest string) (err error) {
	w := want{}
	switch word {
	case "~":
		s.differs = rest
		return nil
	case "<nothing":
		s.nothing = true
		return nil
	case "": // is indented
		if len(s.wants) == 0 {
			return errors.New("more of no answer")
		}
		more, err := strconv.Unquote(rest)
		s.wants[len(s.wants)-1].text += more
		return err
	case "<", "<unordered":
		if word == "<unordered" {
			w.kind = unordered
		}
		if rest != "" { // else it is to be recorded
			w.text, err = strconv.Unquote(rest)
		}
	case "<like":
		w.kind, w.text = like, rest
		_, err = regexp.Compile(rest)
	case "<range":
		w.kind = inRange
		_, err = fmt.Sscan(rest, &w.low, &w.high)
	case "<closed":
		w.kind = closed
	default:
		return errors.New("no line of a transcript")
	}
	s.wants = append(s.wants, w)
	return err
}

func (w *want) matches(answer string) bool {
	switch w.kind {
	case exact:
		return answer == w.text
	case unordered:
		return inOrder(answer) == inOrder(w.text)
	case like:
		return regexp.MustCompile(`^(?s:` + w.text + `)$`).MatchString(answer)
	case inRange:
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(answer, ":"), "\r\n"), 10, 64)
		return err == nil && answer[0] == ':' && n >= w.low && n <= w.high
	default:
		return false
	}
}

// String is the answer as a transcript has it.
func (w *want) String() string {
	switch w.kind {
	case exact, unordered:
		mark := "<"
		if w.kind == unordered {
			mark = "<unordered"
		}
		if w.text == "" { // nothing is recorded
			return mark
		}
		return mark + " " + quoteLines(w.text)
	case like:
		return "<like " + w.text
	case inRange:
		return fmt.Sprintf("<range %d %d", w.low, w.high)
	default:
		return "<closed"
	}
}

// quoteLines breaks what is long after line ends.
func quoteLines(text string) string {
	const columns = 90
	if quoted := strconv.Quote(text); len(quoted) <= columns {
		return quoted
	}
	var lines []string
	part := ""
	for piece := range strings.Lines(text) {
		if part != "" && len(strconv.Quote(part+piece)) > columns {
			lines = append(lines, strconv.Quote(part))
			part = ""
		}
		part += piece
	}
	return strings.Join(append(lines, strconv.Quote(part)), "\n  ")
}

// write puts what was recorded into the file.
func (script *transcript) write(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, l := range script.lines {
		if l.step == nil {
			fmt.Fprintln(&b, l.text)
			continue
		}
		fmt.Fprintln(&b, l.step.text)
		if l.step.nothing {
			fmt.Fprintln(&b, "<nothing")
		}
		for _, w := range l.step.wants {
			fmt.Fprintln(&b, w.String())
		}
		if l.step.differs != "" {
			fmt.Fprintln(&b, "~ "+l.step.differs)
		}
	}
	if err := os.WriteFile(script.path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// encode is a command as an array of bulk strings.
func encode(words []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

var repeated = regexp.MustCompile(`^(?:(\d+)\*)?("(?:[^"\\]|\\.)*")\s*`)

// rawBytes reads strings quoted as in Go, each with a number of times in front, if it has one.
func rawBytes(text string) (raw string, err error) {
	for text != "" {
		found := repeated.FindStringSubmatch(text)
		if found == nil {
			return "", fmt.Errorf("no quoted string: %s", text)
		}
		part, err := strconv.Unquote(found[2])
		if err != nil {
			return "", err
		}
		times, err := strconv.Atoi(cmp.Or(found[1], "1"))
		if err != nil {
			return "", err
		}
		raw += strings.Repeat(part, times)
		text = text[len(found[0]):]
	}
	return raw, nil
}

var wordPattern = regexp.MustCompile(`^(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']+))(?:\s+|$)`)

// splitWords splits a command into its words as redis-cli does.
func splitWords(text string) (words []string, err error) {
	for text != "" {
		found := wordPattern.FindStringSubmatch(text)
		switch {
		case found == nil:
			return nil, fmt.Errorf("unbalanced quotes: %s", text)
		case text[0] == '"':
			word, err := strconv.Unquote(`"` + found[1] + `"`)
			if err != nil {
				return nil, err
			}
			words = append(words, word)
		case text[0] == '\'':
			words = append(words, strings.ReplaceAll(found[2], `\'`, `'`))
		default:
			words = append(words, found[3])
		}
		text = text[len(found[0]):]
	}
	return words, nil
}

// inOrder is an answer, with the elements of each array in the order of their bytes.
func inOrder(answer string) string {
	end := strings.IndexByte(answer, '\n') + 1
	if end == 0 || !strings.ContainsRune("*~", rune(answer[0])) {
		return answer
	}
	var elements []string
	for rest := answer[end:]; rest != ""; {
		element, err := firstValue(rest)
		if err != nil {
			return answer
		}
		elements = append(elements, inOrder(element))
		rest = rest[len(element):]
	}
	slices.Sort(elements)
	return answer[:end] + strings.Join(elements, "")
}
