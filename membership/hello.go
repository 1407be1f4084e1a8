package membership

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	helloFormat     = 2 // 1 had an address for gossip in each entry, which made part of the digest
	maxHelloBytes   = 4 << 20
	maxHelloMembers = MaxMembers + MaxRemoved
	maxReasonBytes  = 1024

	// maxPartitionerBytes is more than the name of any partitioner has.
	maxPartitionerBytes = 64
)

// Errors of a hello.
var (
	ErrBadHello = errors.New("bad hello")        // what came is not one
	ErrRefused  = errors.New("refused")          // by the node that was asked, or by this one on the same grounds
	ErrTwin     = errors.New("another process")  // answers at this node's name
	errMyself   = errors.New("it is this node")  // an address of the join list that leads back here
	errNoPlace  = errors.New("it has no answer") // it answered, but without this node's entry
)

// Settings are equal at all members of a cluster, or they could not agree on who owns a key. A hello compares them.
type Settings struct {
	Partitions  int    `json:"partitions"`
	Replicas    int    `json:"replicas"`
	Partitioner string `json:"partitioner"`
}

// differ says which settings are not the same as those of the node called name, and what to do; "" if all are.
func (s Settings) differ(here, name string, there Settings) string {
	var parts []string
	add := func(setting string, mine, theirs any) {
		if mine != theirs {
			parts = append(parts, fmt.Sprintf("%s is %v at %s and %v at %s", setting, mine, here, theirs, name))
		}
	}
	add("partitions", s.Partitions, there.Partitions)
	add("replicas", s.Replicas, there.Replicas)
	add("partitioner", s.Partitioner, there.Partitioner)
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, ", ") + ": start both with the same"
}

// hello is the message, in both directions. It is JSON, so that a later version can add to it.
type hello struct {
	Format   int        `json:"format"`
	From     string     `json:"from"`
	To       string     `json:"to,omitempty"` // whom the asker means to reach; empty: whoever is at that address
	Boot     uint64     `json:"boot"`         // a random number of the process: tells this node from another of its name
	Formed   bool       `json:"formed"`
	Settings Settings   `json:"settings"`
	Refused  string     `json:"refused,omitempty"` // in an answer: why nothing was done
	Members  memberList `json:"members"`           // the whole map; of a node that is not formed its own entry alone
	Join     joinList   `json:"join,omitempty"`    // of a node that is not formed: where it tries to join
	Who      bool       `json:"who,omitempty"`     // the asker only wants to know who is there
}

// Lists of a message, cut off at the most that there may be: three bytes of it would else become
// fifty of memory.
type (
	memberList []Member
	joinList   []string
)

// UnmarshalJSON reads an array, or null.
func (l *memberList) UnmarshalJSON(data []byte) (err error) {
	*l, err = decodeList[Member](data, maxHelloMembers, "members")
	return err
}

// UnmarshalJSON reads an array, or null.
func (l *joinList) UnmarshalJSON(data []byte) (err error) {
	*l, err = decodeList[string](data, maxJoin, "addresses to join")
	return err
}

func decodeList[T any](data []byte, most int, what string) (list []T, err error) {
	if string(data) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return nil, errors.Join(err, fmt.Errorf("%s: want an array", what))
	}
	for d.More() {
		if len(list) == most {
			return nil, fmt.Errorf("more than %d %s, which is the most", most, what)
		}
		var item T
		if err := d.Decode(&item); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

func (h *hello) encode() []byte {
	h.Format = helloFormat
	data, err := json.Marshal(h)
	if err != nil {
		panic("BUG: a hello cannot be encoded: " + err.Error())
	}
	return data
}

// errFormat says that a message has a format of another version.
type errFormat int

func (f errFormat) Error() string {
	return fmt.Sprintf("its messages have format %d, this node's %d: run the same version at both", int(f), helloFormat)
}

// decodeHello reads and checks what came from outside. The error wraps [ErrBadHello], or is an
// errFormat. No error, and no field of a hello but its lists, is long: both are kept and logged.
func decodeHello(data []byte) (*hello, error) {
	if len(data) > maxHelloBytes {
		return nil, fmt.Errorf("%w: %d bytes: at most %d", ErrBadHello, len(data), maxHelloBytes)
	}
	// The format first: the rest of another one may not fit the fields.
	var outer struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return nil, badHello(err)
	}
	if outer.Format != helloFormat {
		return nil, errFormat(outer.Format)
	}
	h := new(hello)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, badHello(err)
	}
	if err := h.validate(); err != nil {
		return nil, badHello(err)
	}
	h.Refused = brief(h.Refused)
	return h, nil
}

// validate checks each field but the reason of a refusal, which is cut.
func (h *hello) validate() error {
	if err := checkAddr(h.From); err != nil {
		return fmt.Errorf("the sender's name %w", err)
	}
	if h.To != "" {
		if err := checkAddr(h.To); err != nil {
			return fmt.Errorf("the name of the node that is asked %w", err)
		}
	}
	if n := len(h.Settings.Partitioner); n > maxPartitionerBytes {
		return fmt.Errorf("the name of its partitioner has %d bytes: at most %d", n, maxPartitionerBytes)
	}
	for _, addr := range h.Join {
		if err := checkAddr(addr); err != nil {
			return fmt.Errorf("an address to join %w", err)
		}
	}
	for _, entry := range h.Members {
		if err := entry.validate(); err != nil {
			return err
		}
	}
	return nil
}

// badHello is an [ErrBadHello]. What is wrong may quote what came.
func badHello(err error) error { return fmt.Errorf("%w: %s", ErrBadHello, brief(err.Error())) }

// brief is a text that came from outside, fit to be kept and logged.
func brief(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxReasonBytes)], "?")
}

// entry returns what the message says of a name.
func (h *hello) entry(name string) (Member, bool) {
	for _, m := range h.Members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// identity is what a node compares of a hello, and never changes while it runs.
type identity struct {
	name     string
	boot     uint64
	settings Settings
}

// refuses says why a node does not deal with a message, or "". asked is whom the asker meant to reach, if it said so,
// and answerer who answered.
func (id identity) refuses(h *hello, asked, answerer string) string {
	switch {
	case h.From == id.name && h.Boot != id.boot:
		return fmt.Sprintf("two nodes say that they are %s: give each a name of its own", id.name)
	case asked != "" && asked != answerer:
		return fmt.Sprintf("the node that was asked as %s is %s: one node under two names would count twice", asked, answerer)
	}
	return id.settings.differ(id.name, h.From, h.Settings)
}
