package house

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bounds are the constants that rows of the table of bounds in ARCHITECTURE.md give, by how the row
// begins.
var bounds = map[string][]string{
	"metadata of a value":          {"MaxMetaBytes"},
	"entity tags in a condition":   {"MaxConditionVersions"},
	"connections of clients":       {"defaultMaxConns"},
	"once the node stops":          {"lastAccepts", "lastAcceptsMax"},
	"requests of a connection":     {"partingsMax"},
	"side ports (`--pprof-addr`":   {"sideConns", "sideReadTimeout", "sideWriteTimeout", "pprofIdleTimeout", "metricsIdleTimeout"},
	"request bodies in memory":     {"defaultMaxInFlightBytes"},
	"answers that clients have":    {"defaultMaxAnswerBytes"},
	"queue to a peer that is up":   {"defaultHintBytes"},
	"queue to a peer that is down": {"defaultHintBytes"},
	"batch to a peer":              {"BatchBytes"},
	"message from a peer":          {"exchangeSlack", "answerRoom"},
	"connections to a peer":        {"linksMax", "upgradedBytes"},
	"rounds of a conditional":      {"unpausedRounds"},
	"log lines of `--slow-log`":    {"linesPerSecond", "shownBytesMax"},
	"hellos from hosts":            {"helloBytesMax", "strangeBytesMax"},
	"look-ups of members' hosts":   {"lookupsMax", "hostsPause", "hostsPatience"},
	"messages from hosts":          {"hostsWaiting"},
	"members; removed ones":        {"MaxMembers", "MaxRemoved"},
	"addresses in `--join`":        {"JoinMax"},
	"hello |":                      {"helloBytesMax", "JoinMax", "partitionerBytesMax"},
	"reason for which a hello":     {"reasonBytesMax"},
	"what a node says":             {"pingBytesMax"},
	"counters of a node":           {"statsBytesMax", "HotMax"},
	"who is on a ring":             {"ringBytesMax"},
	"partitions in a question":     {"BucketChunk"},
	"hellos under way":             {"callsMax"},
	"nodes that want to join":      {"checksMax"},
	"members that were removed":    {"pastMax"},
	"Redis protocol: connections":  {"defaultMaxConns"},
	"Redis protocol: a command":    {"commandSlack", "argsMax", "bulkSlack", "lineMax"},
	"Redis protocol: before AUTH":  {"guestArgsMax", "guestBulkMax"},
	"Redis protocol: operations":   {"callOps", "callBytes", "foundBytes"},
	"Redis protocol: values":       {"answerBytes", "keysBytes"},
	"Redis protocol: commands":     {"defaultMaxInBytes", "freeBytes"},
	"Redis protocol: answers":      {"defaultMaxOutBytes", "freeBytes"},
	"records merged":               {"windowOffers", "windowBytes"},
	"page of keys":                 {"defaultListLimit", "maxListLimit", "pageBytesMax"},
	"operations in a `/batch`":     {"batchItemsMax", "batchAnswerBytes"},
	"answer to a pull":             {"pullBytes"},
	"records of a page":            {"listBytes"},
	"`/load-data`":                 {"loadErrorsMax"},
	"partitions |":                 {"MaxPartitions"},
	"replicas |":                   {"MaxReplicas"},
}

// The table of bounds has the numbers of the code.
func TestTableOfBoundsIsTrue(t *testing.T) {
	values := constants(t)
	_, table, _ := strings.Cut(readFile(t, "ARCHITECTURE.md"), "\n## Bounds\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for begin, names := range bounds {
		_, row, ok := strings.Cut(table, "\n| "+begin)
		row, _, _ = strings.Cut(row, "\n")
		if !ok {
			t.Errorf("the table of bounds has no row %q", begin)
			continue
		}
		for _, name := range names {
			if len(values[name]) == 0 {
				t.Errorf("no package has a constant %s, for the row %q of the table of bounds", name, begin)
			} else if !slices.ContainsFunc(values[name], func(v int64) bool { return tells(row, v) }) {
				t.Errorf("the row %q of the table of bounds does not have %s, which is %d", begin, name, values[name])
			}
		}
	}
}

// tells says whether a row has a number: as it is, in groups of three digits, in KiB or MiB, or in
// seconds.
func tells(row string, v int64) bool {
	forms := []string{strconv.FormatInt(v, 10)}
	if v >= 1000 {
		forms = append(forms, fmt.Sprintf("%d,%03d", v/1000, v%1000))
	}
	for unit, bytes := range map[string]int64{" KiB": 1 << 10, " MiB": 1 << 20} {
		if v%bytes == 0 {
			forms = append(forms, strconv.FormatInt(v/bytes, 10)+unit)
		}
	}
	if d := time.Duration(v); d >= time.Millisecond {
		forms = append(forms, strconv.FormatFloat(d.Seconds(), 'g', -1, 64)+" s")
	}
	words := strings.FieldsFunc(row, func(r rune) bool { return r == ' ' || r == '|' || r == ';' })
	text := " " + strings.Join(words, " ") + " "
	return slices.ContainsFunc(forms, func(form string) bool {
		return strings.Contains(text, " "+form+" ") || strings.Contains(text, " "+form+", ")
	})
}

// constants are the values of all whole constants of the code, by name.
func constants(t *testing.T) map[string][]int64 {
	t.Helper()
	values := map[string][]int64{}
	eachNode(t, false, func(_ source, n ast.Node) {
		gen, ok := n.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			return
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, expr := range spec.Values {
				if v, exact := constant.Int64Val(constant.ToInt(valueOf(expr))); exact {
					values[spec.Names[i].Name] = append(values[spec.Names[i].Name], v)
				}
			}
		}
	})
	return values
}

var durations = map[string]time.Duration{
	"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
}

// valueOf works out a constant expression of literals and units of time.
func valueOf(expr ast.Expr) constant.Value {
	switch x := expr.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(x.Value, x.Kind, 0)
	case *ast.ParenExpr:
		return valueOf(x.X)
	case *ast.SelectorExpr:
		if d, ok := durations[x.Sel.Name]; ok && isNamed(x.X, "time") {
			return constant.MakeInt64(int64(d))
		}
	case *ast.BinaryExpr:
		a, b := valueOf(x.X), valueOf(x.Y)
		if a.Kind() != constant.Int || b.Kind() != constant.Int {
			break
		}
		switch n, _ := constant.Uint64Val(b); x.Op {
		case token.SHL:
			return constant.Shift(a, token.SHL, uint(n))
		case token.ADD, token.SUB, token.MUL:
			return constant.BinaryOp(a, x.Op, b)
		}
	}
	return constant.MakeUnknown()
}
