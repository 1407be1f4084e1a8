package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// HelloFormat is the version of hellos. 1 had an address for gossip in each entry, which made
	// part of the digest.
	HelloFormat = 2

	helloBytesMax   = 4 << 20
	helloMembersMax = MaxMembers + MaxRemoved
	reasonBytesMax  = 1024

	// partitionerBytesMax is more than the name of any partitioner has.
	partitionerBytesMax = 64

	// JoinMax bounds the addresses at which a node tries to join.
	JoinMax = 128
)

// ErrBadHello is wrapped by the error for a message that is no valid hello.
var ErrBadHello = errors.New("bad hello")

// Settings have to be equal at all members of a cluster. Else the members could not agree on who
// owns a key. Nodes compare them by hellos.
type Settings struct {
	Partitions  int    `json:"partitions"`
	Replicas    int    `json:"replicas"`
	Partitioner string `json:"partitioner"`
}

// Differ says which settings differ from there, which are those of the node called name, and what
// to do. here is this node's name. "": all are the same.
func (s Settings) Differ(here, name string, there Settings) string {
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

// Hello is a hello, or the answer to one. It is JSON, so that a later version can add to it.
type Hello struct {
	Format   int        `json:"format"`
	From     string     `json:"from"`
	To       string     `json:"to,omitempty"` // whom the asker means to reach; empty: whoever is at that address
	Boot     uint64     `json:"boot"`         // a random number of the process: tells this node from another of its name
	Formed   bool       `json:"formed"`
	Settings Settings   `json:"settings"`
	Refused  string     `json:"refused,omitempty"` // in an answer: why nothing was done
	Later    bool       `json:"later,omitempty"`   // the same: it may be done when the asker tries again
	Members  memberList `json:"members"`           // the whole map; of a node that is not formed its own entry alone
	Join     joinList   `json:"join,omitempty"`    // of a node that is not formed: where it tries to join
	Who      bool       `json:"who,omitempty"`     // the asker only wants to know who is there, and what it knows

	Expect   int      `json:"expect,omitempty"`  // of a node that is not formed: how many found a cluster; 0: as Join says
	Founding Founding `json:"founding,omitzero"` // of a node that is not formed: its latest attempt
	Agrees   bool     `json:"agrees,omitempty"`  // in an answer: to the attempt of the asker

	// InSyncAt is up to when the sender has gone on in a cluster that was in sync, in milliseconds
	// since the Unix epoch: all that it has forgotten of deletes is a --tombstone-grace older. 0:
	// it never has. InSyncUnknown: it cannot say, or not yet.
	InSyncAt int64 `json:"in_sync_at"`
}

// NamePrefix is before a name to join: dns:NAME:PORT.
const NamePrefix = "dns:"

// CutName says whether what a node is to join by is dns:NAME:PORT, and not a host:port. It is every
// address that the name has, then. It returns NAME:PORT, or the address as it is.
func CutName(join string) (addr string, named bool) { return strings.CutPrefix(join, NamePrefix) }

// NameOf is dns:NAME:PORT.
func NameOf(addr string) string { return NamePrefix + addr }

// Founding is an attempt of a node to found a cluster with others. In a hello to one of With it
// asks that one to agree, unless it is over.
type Founding struct {
	Attempt uint64   `json:"attempt"`        // counts those of the process; 0: it has made none
	Over    bool     `json:"over,omitempty"` // too few have agreed: the attempt comes to nothing
	With    joinList `json:"with,omitempty"` // the names of all that are asked, the founder's too
}

// InSyncUnknown is the Hello.InSyncAt of a node that is still loading. It is also what a hello of a
// version says that knew of no such thing.
const InSyncUnknown = -1

// maxInSyncAt is as late as a version can be, see kv.Version.
const maxInSyncAt = 1<<42 - 1

// Lists of a message. They are cut off at the most that there may be: else three bytes of a message
// would become fifty of memory.
type (
	memberList []Member
	joinList   []string
)

// UnmarshalJSON reads an array, or null.
func (l *memberList) UnmarshalJSON(data []byte) (err error) {
	*l, err = decodeList[Member](data, helloMembersMax, "members")
	return err
}

// UnmarshalJSON reads an array, or null.
func (l *joinList) UnmarshalJSON(data []byte) (err error) {
	*l, err = decodeList[string](data, JoinMax, "addresses to join")
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

// Encode makes the body of a message.
func (h *Hello) Encode() []byte {
	h.Format = HelloFormat
	data, err := json.Marshal(h)
	if err != nil {
		panic("BUG: a hello cannot be encoded: " + err.Error())
	}
	return data
}

// HelloFormatError is the error for a hello of another version. Its value is that version.
type HelloFormatError int

func (f HelloFormatError) Error() string {
	return fmt.Sprintf("its messages have format %d, this node's %d: run the same version at both", int(f), HelloFormat)
}

// DecodeHello reads and checks the body of a hello. The error wraps [ErrBadHello], or is a
// [HelloFormatError]. Errors are short, and so is each field but the lists: they are kept and
// logged.
func DecodeHello(data []byte) (*Hello, error) {
	if len(data) > helloBytesMax {
		return nil, fmt.Errorf("%w: %d bytes: at most %d", ErrBadHello, len(data), helloBytesMax)
	}
	// The format first: the rest of another one may not fit the fields.
	var outer struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return nil, badHello(err)
	}
	if outer.Format != HelloFormat {
		return nil, HelloFormatError(outer.Format)
	}
	h := &Hello{InSyncAt: InSyncUnknown}
	if err := json.Unmarshal(data, h); err != nil {
		return nil, badHello(err)
	}
	if err := h.validate(); err != nil {
		return nil, badHello(err)
	}
	h.Refused = Brief(h.Refused)
	return h, nil
}

// validate checks each field but the reason of a refusal, which is cut.
func (h *Hello) validate() error {
	if err := CheckAddr(h.From); err != nil {
		return fmt.Errorf("the sender's name %w", err)
	}
	if h.To != "" {
		if err := CheckAddr(h.To); err != nil {
			return fmt.Errorf("the name of the node that is asked %w", err)
		}
	}
	if n := len(h.Settings.Partitioner); n > partitionerBytesMax {
		return fmt.Errorf("the name of its partitioner has %d bytes: at most %d", n, partitionerBytesMax)
	}
	if h.InSyncAt < InSyncUnknown || h.InSyncAt > maxInSyncAt {
		return fmt.Errorf("it was in sync at %d, which is no time", h.InSyncAt)
	}
	for _, addr := range slices.Concat(h.Join, h.Founding.With) {
		if err := CheckAddr(addr); err != nil {
			return fmt.Errorf("an address to join %w", err)
		}
	}
	if h.Expect < 0 || h.Expect > MaxMembers {
		return fmt.Errorf("it expects %d nodes: 0 to %d can be", h.Expect, MaxMembers)
	}
	for _, entry := range h.Members {
		if err := entry.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// badHello is an [ErrBadHello]. What is wrong may quote what came.
func badHello(err error) error { return fmt.Errorf("%w: %s", ErrBadHello, Brief(err.Error())) }

// Brief makes a text that came from outside fit to be kept and logged.
func Brief(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), reasonBytesMax)], "?")
}

// Entry returns what the message says of a name.
func (h *Hello) Entry(name string) (Member, bool) {
	for _, m := range h.Members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// AppendHello appends a message with the body of a hello to dst.
func AppendHello(dst, hello []byte) []byte { return append(appendHead(dst, KindHello), hello...) }

// SplitHello returns the body of a message that is a hello.
func SplitHello(msg []byte) ([]byte, error) { return expect(msg, KindHello, Head) }

// IsHello says whether a message that this node has made is a hello.
func IsHello(msg []byte) bool { return len(msg) >= Head && Kind(msg[1]) == KindHello }
