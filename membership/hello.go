package membership

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	helloFormat     = 2 // 1 had an address for gossip in each entry, which made part of the digest
	maxHelloBytes   = 4 << 20
	maxHelloMembers = MaxMembers + MaxRemoved
	maxReasonBytes  = 1024
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
	Join     []string   `json:"join,omitempty"`    // of a node that is not formed: where it tries to join
	Who      bool       `json:"who,omitempty"`     // the asker only wants to know who is there
}

// memberList is as many as a map has. No more are taken from a message: three bytes of it would
// else become fifty of memory.
type memberList []Member

// UnmarshalJSON reads an array, or null.
func (e *memberList) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return errors.Join(err, errors.New("members: want an array"))
	}
	for *e = nil; d.More(); {
		if len(*e) == maxHelloMembers {
			return fmt.Errorf("more than %d members, which is the most", maxHelloMembers)
		}
		var m Member
		if err := d.Decode(&m); err != nil {
			return err
		}
		*e = append(*e, m)
	}
	return nil
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

// decodeHello reads and checks what came from outside. The error wraps [ErrBadHello], or is an errFormat.
func decodeHello(data []byte) (*hello, error) {
	if len(data) > maxHelloBytes {
		return nil, fmt.Errorf("%w: %d bytes: at most %d", ErrBadHello, len(data), maxHelloBytes)
	}
	// The format first: the rest of another one may not fit the fields.
	var outer struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadHello, err)
	}
	if outer.Format != helloFormat {
		return nil, errFormat(outer.Format)
	}
	h := new(hello)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadHello, err)
	}
	if err := checkAddr(h.From); err != nil {
		return nil, fmt.Errorf("%w: the sender's name %w", ErrBadHello, err)
	}
	if len(h.Join) > maxJoin {
		return nil, fmt.Errorf("%w: %d addresses to join: at most %d", ErrBadHello, len(h.Join), maxJoin)
	}
	for _, addr := range h.Join {
		if err := checkAddr(addr); err != nil {
			return nil, fmt.Errorf("%w: an address to join %w", ErrBadHello, err)
		}
	}
	for _, entry := range h.Members {
		if err := entry.validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadHello, err)
		}
	}
	if len(h.Refused) > maxReasonBytes || !utf8.ValidString(h.Refused) {
		h.Refused = strings.ToValidUTF8(h.Refused[:min(len(h.Refused), maxReasonBytes)], "?")
	}
	return h, nil
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
