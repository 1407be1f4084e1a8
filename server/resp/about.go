package resp

import (
	_ "embed"
	"strconv"
	"strings"
)

// commands.txt has what COMMAND tells of each command, as redis-server 7.0 tells it: a line each,
// with tabs between its fields. A command without a line is not told of.
//
//go:embed commands.txt
var commandsText string

// about is a line of commands.txt.
type about struct {
	name              string
	arity             int
	flags             []string
	first, last, step int
	categories        []string
	tips              []string
	specs             []keySpec

	group, since, complexity, summary string
}

// keySpec says where keys are among the arguments.
type keySpec struct {
	flags       []string
	begin, find keyRule
	notes       string
}

// keyRule is a way to find keys, and its numbers.
type keyRule struct {
	kind    string // index, range or keynum
	numbers []int
}

// ruleFields are what the numbers of a rule are called.
func (r *keyRule) fields() []string {
	switch r.kind {
	case "index":
		return []string{"index"}
	case "range":
		return []string{"lastkey", "keystep", "limit"}
	}
	return []string{"keynumidx", "firstkey", "keystep"}
}

func readAbout() map[string]*about {
	all := make(map[string]*about)
	for line := range strings.Lines(commandsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		places := numbers(f[3])
		a := &about{
			name: f[0], arity: numbers(f[1])[0], flags: strings.Fields(f[2]), first: places[0], last: places[1], step: places[2],
			categories: strings.Fields(f[4]), tips: strings.Fields(f[5]), group: f[7], since: f[8], complexity: f[9], summary: f[10],
		}
		for spec := range strings.SplitSeq(f[6], ";") {
			if part := strings.Split(spec, "|"); len(part) == 4 {
				a.specs = append(a.specs, keySpec{strings.Fields(part[0]), readRule(part[1]), readRule(part[2]), part[3]})
			}
		}
		all[a.name] = a
	}
	return all
}

func readRule(text string) keyRule {
	kind, rest, _ := strings.Cut(text, " ")
	return keyRule{kind, numbers(rest)}
}

// numbers reads a text that was made for it.
func numbers(text string) (all []int) {
	for word := range strings.FieldsSeq(text) {
		n, err := strconv.Atoi(word)
		if err != nil {
			panic("BUG: resp: commands.txt has a number that is none: " + text)
		}
		all = append(all, n)
	}
	return all
}
