package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A history of one key is written as words: an operation is "kind:value@begin-end", then what
// differs from the usual after commas. Times are in milliseconds. The usual is: at level live, or
// one for a read; done; with all acks.
func story(t *testing.T, text string) (ops []Op) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		parts := strings.Split(word, ",")
		what, at, _ := strings.Cut(parts[0], "@")
		kind, value, _ := strings.Cut(what, ":")
		var begin, end int
		if _, err := fmt.Sscanf(at, "%d-%d", &begin, &end); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		o := Op{How: kind, Key: "k", Value: value, Level: Live, Acks: 3, Outcome: Done,
			Begin: time.Duration(begin) * time.Millisecond, End: time.Duration(end) * time.Millisecond}
		switch kind {
		case "get":
			o.Kind, o.Level, o.Acks = Get, One, 0
			if value == "" {
				o.Outcome = Absent
			}
		case "put":
			o.Kind = Put
		case "create":
			o.Kind, o.IfAbsent = Put, true
		case "delete":
			o.Kind = Delete
		default:
			t.Fatalf("%s: no such kind", word)
		}
		for _, extra := range parts[1:] {
			o.vary(t, extra)
		}
		ops = append(ops, o)
	}
	return ops
}

func (o *Op) vary(t *testing.T, extra string) {
	t.Helper()
	name, value, _ := strings.Cut(extra, "=")
	switch name {
	case "quorum":
		o.Level, o.Acks = Quorum, min(o.Acks, 2)
	case "all":
		o.Level = All
	case "unknown":
		o.Outcome, o.Error = Unknown, "503"
	case "failed":
		o.Outcome, o.Error = Failed, "503"
	case "refused":
		o.Outcome, o.Acks = Refused, 0
	case "acks":
		_, _ = fmt.Sscan(value, &o.Acks)
	case "etag":
		o.ETag = value
	case "match":
		o.IfMatch = value
	case "ttl":
		var ms int
		_, _ = fmt.Sscan(value, &ms)
		o.TTL = time.Duration(ms) * time.Millisecond
	case "node":
		_, _ = fmt.Sscan(value, &o.Node)
	case "doubtful":
		o.Doubtful = true
	default:
		t.Fatalf("no such thing as %s", extra)
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

var (
	split = &Window{From: ms(100), To: ms(200), Split: true}
	loss  = &Window{From: ms(100), To: ms(200), Lost: []time.Duration{ms(100)}, Away: []Away{{2, ms(100), ms(150)}}}
	both  = &Window{From: ms(100), To: ms(200), Lost: []time.Duration{ms(150)}, Split: true}
	grows = &Window{From: ms(100), To: ms(200), Changed: true}
)

// Each property is broken by histories that break it, and by none that come close.
func TestCheck(t *testing.T) {
	for _, row := range []struct {
		name   string
		ops    string
		window *Window
		end    string // what both nodes answer at the end; "-": they are not asked; "": absent
		broken string // the only property that is; empty: none
	}{
		{"one after the other", "put:a@1-2 get:a@3-4 put:b@5-6 get:b@7-8 delete@9-10 get@11-12", nil, "", ""},
		{"at the same time, either", "put:a@1-5 put:b@2-6 get:a@7-8", nil, "a", ""},
		{"a read at the same time finds either", "put:a@1-2 put:b@3-9 get:b@4-5 get:a@6-7", nil, "b", ""},
		{"an unknown write may come late", "put:a@101-102,unknown put:b@103-104 get:a@105-106", split, "-", ""},

		{"an older value after a newer", "put:a@1-2 put:b@3-4 get:a@5-6", nil, "-", "once"},
		{"a value that was seen is back", "put:a@101-160,unknown get:a@110-120,all put:b@130-140,all get:a@145-150,quorum", split, "-", "once"},
		{"a deleted value that was seen is back", "put:a@101-160,unknown get:a@110-120,all delete@130-140,all get:a@145-150", split, "-", "once"},
		{"what one replica has shown is later than a delete", "put:a@101-142 get:a@110-120 delete@130-140,all get:a@145-150", nil, "-", ""},
		{"a value of before is back", "put:b@1-2 get:before@3-4", nil, "-", "once"},
		{"at a minority, while cut off", "put:a@1-2,quorum put:b@110-120,acks=2 get:a@130-140", split, "-", ""},
		{"at a majority, while one is cut off", "put:a@1-2 put:b@110-120,acks=2 get:a@130-140,quorum", split, "-", "once"},
		{"after all had it, at a minority", "put:a@1-2 put:b@3-4 get:a@130-140", split, "-", "once"},
		{"after all had it, where memories are lost too", "put:a@1-2 put:b@3-4 get:a@130-140", both, "-", "once"},
		{"at rest again", "put:a@1-2 put:b@110-120,acks=2 get:a@210-220", split, "-", ""},
		{"of what was written at rest again", "put:a@1-2 put:b@201-205 get:a@210-220", split, "-", "once"},
		{"while one restarts", "put:a@1-2 put:b@110-120,acks=2 get:a@130-140", loss, "-", "once"},
		{"a minority has the newer, and one restarts", "put:a@1-2 put:b@110-120,quorum get:a@130-140,quorum", loss, "-", ""},
		{"a minority has the newer, at rest", "put:a@1-2 put:b@3-4,quorum get:a@5-6", nil, "-", ""},
		{"while one joins", "put:a@1-2 put:b@110-120 get:a@130-140", grows, "-", "once"},
		{"a majority goes back", "put:a@1-90 put:b@2-91 get:a@10-20,quorum get:b@21-30,quorum get:a@31-40,quorum", nil, "-", "once"},
		{"a majority goes back from nothing", "put:a@101-190,unknown delete@102-191,unknown get:a@110-120,quorum get@121-130,quorum get:a@131-140,quorum", split, "-", "once"},
		{"one replica after the other", "put:a@1-90 put:b@2-91 get:a@10-20 get:b@21-30 get:a@31-40", nil, "-", ""},
		{"a write under a condition that was over", "put:a@1-2,etag=x put:b@3-4 put:c@5-6,match=x", nil, "-", "once"},

		{"not there though it is", "put:a@1-2 get@3-4", nil, "-", "absent"},
		{"not there, and may be deleted", "put:a@1-2 delete@3-9 get@4-5", nil, "-", ""},
		{"not there, and was deleted before", "delete@1-2 put:a@3-4 get@5-6", nil, "-", "absent"},
		{"not there, and may be expired", "put:a@1-2,ttl=400 get@210-220", nil, "-", ""},
		{"not there, and is not expired", "put:a@1-2,ttl=4000 get@210-220", nil, "-", "absent"},
		{"not there, for a node that was cut off", "put:a@110-120,acks=2 get@130-140", split, "-", "absent"},
		{"what was there before is not, in a split", "get@130-140", split, "-", "absent"},
		{"not there after a restart", "put:a@1-2 get@130-140", loss, "-", "absent"},
		{"created though it is there", "put:a@1-2 create:b@3-4", nil, "-", "absent"},
		{"a majority does not find what one found", "put:a@101-190,unknown get:a@110-120,quorum get@121-130,quorum", split, "-", "absent"},

		{"nobody has written it", "get:made-up@1-2", nil, "-", "value"},
		{"read before it is written", "get:a@1-2 put:a@3-4", nil, "-", "value"},
		{"written, and refused", "create:a@1-2,refused get:a@3-4", nil, "-", "value"},
		{"another stamp than the writer was told", "put:a@1-2,etag=x get:a@3-4,etag=y", nil, "-", "stamp"},
		{"another stamp than before", "get:before@3-4,etag=y", nil, "-", "stamp"},
		{"expired", "put:a@1-2,ttl=100 get:a@500-501", nil, "-", "expiry"},
		{"not expired for sure", "put:a@1-2,ttl=100 get:a@150-151", nil, "-", ""},

		{"created twice", "delete@1-2 create:a@3-5 create:b@4-6", nil, "-", "create"},
		{"created twice with a delete between", "delete@1-2 create:a@3-5 delete@5-6 create:b@7-8", nil, "-", ""},
		{"created on both sides", "delete@1-2 create:a@103-105,acks=2 create:b@104-106,acks=1", split, "-", ""},
		{"created twice while one restarts", "delete@1-2 create:a@113-125,acks=2 create:b@114-126,acks=2", loss, "-", "create"},
		{"changed twice", "put:a@1-2,etag=x put:b@3-5,match=x put:c@4-6,match=x", nil, "-", "create"},
		{"refused for what is there", "create:a@3-4,refused", nil, "-", ""},

		{"fails at rest", "get:before@1-2,failed", nil, "-", "error"},
		{"fails at rest again", "get:before@210-220,failed", split, "-", "error"},
		{"fails in a split", "get:before@110-120,failed", split, "-", ""},
		{"fails while another restarts", "get:before@110-120,failed", loss, "-", "error"},
		{"fails at the one that restarts", "get:before@110-120,failed,node=2", loss, "-", ""},
		{"takes all while one restarts", "put:a@110-120,unknown,all", loss, "-", ""},
		{"takes a majority while one restarts", "put:a@110-120,unknown,quorum", loss, "-", "error"},
		{"may be there, while one restarts", "get:before@110-120,failed,doubtful", loss, "-", ""},
		{"has fewer acks at rest", "put:a@1-2,acks=2", nil, "-", "acks"},
		{"has fewer acks while one restarts", "put:a@110-120,acks=2", loss, "-", ""},

		{"the last write is not there", "put:a@1-2 put:b@3-4", nil, "a", "lost"},
		{"no write is there", "put:a@1-2", nil, "", "lost"},
		{"nor what was there before", "", split, "", "lost"},
		{"a deleted value is there", "put:a@1-2 delete@3-4", split, "a", "lost"},
		{"one that is unknown is", "put:a@1-2 put:b@103-104,unknown", split, "b", ""},
		{"one that nobody has written is", "put:a@1-2", nil, "b", "value"},
		{"it was lost with those who had it", "put:a@110-120,acks=1", both, "before", ""},
		{"it was not", "put:a@110-120,acks=2", both, "before", "lost"},
	} {
		s := &Segment{Replicas: 3, Before: map[string]Found{"k": {"before", "e0"}}, Ops: story(t, row.ops), Window: row.window}
		if row.end != "-" {
			s.Keys = []string{"k"}
			s.Found = map[int]map[string]Found{0: {}, 1: {}}
			s.Listed = map[int][]string{0: {}, 1: {}}
			if row.end != "" {
				for node := range s.Found {
					s.Found[node]["k"] = Found{row.end, "e"}
					s.Listed[node] = []string{"k"}
				}
			}
		}
		if got := broken(s); row.broken == "" && len(got) > 0 || row.broken != "" && !slices.Equal(got, []string{row.broken}) {
			t.Errorf("%s: %q, want %q: %v", row.name, got, row.broken, Check(s))
		}
	}
}

// broken are the properties that a segment breaks.
func broken(s *Segment) (names []string) {
	for _, v := range Check(s) {
		if !slices.Contains(Properties, v.Property) {
			panic("BUG: no property is called " + v.Property)
		}
		if !slices.Contains(names, v.Property) {
			names = append(names, v.Property)
		}
	}
	return names
}

// What nodes hold, answer and list at the end is compared.
func TestCheckAtRest(t *testing.T) {
	segment := func(change func(*Segment)) *Segment {
		s := &Segment{
			Replicas: 2, Before: map[string]Found{"a": {"1", "x"}, "b": {"2", "y"}}, Keys: []string{"a", "b", "c"},
			Found:  map[int]map[string]Found{0: {"a": {"1", "x"}, "b": {"2", "y"}}, 1: {"a": {"1", "x"}, "b": {"2", "y"}}},
			Copies: map[string][]Copy{"a": {{"n0", "x", false}, {"n1", "x", false}}, "c": {{"n0", "z", true}, {"n1", "z", true}}},
			Listed: map[int][]string{0: {"b", "a"}, 1: {"a", "b"}},
		}
		change(s)
		return s
	}
	for _, row := range []struct {
		name   string
		change func(*Segment)
		broken []string
	}{
		{"all agree", func(*Segment) {}, nil},
		{"an answer differs", func(s *Segment) { s.Found[1]["a"] = Found{"1", "z"} }, []string{"agree"}},
		{"a key is at one alone", func(s *Segment) { delete(s.Found[1], "a") }, []string{"lost", "agree"}},
		{"a copy is older", func(s *Segment) { s.Copies["a"][1].Version = "w" }, []string{"copies"}},
		{"a copy is no tombstone", func(s *Segment) { s.Copies["c"][1].Tombstone = false }, []string{"copies"}},
		{"a key is not listed", func(s *Segment) { s.Listed[0] = []string{"a"} }, []string{"agree"}},
		{"a key is listed twice", func(s *Segment) { s.Listed[0] = []string{"a", "b", "b"} }, []string{"agree"}},
		{"a key is listed that is not there", func(s *Segment) { s.Listed[0] = []string{"a", "b", "c"} }, []string{"agree"}},
	} {
		s := segment(row.change)
		if got := broken(s); !slices.Equal(got, row.broken) {
			t.Errorf("%s: %q, want %q: %v", row.name, got, row.broken, Check(s))
		}
	}
}
