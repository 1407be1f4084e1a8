package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"httpdhs/ring"
)

// Limits on what an entry may hold, and on how many there are.
const (
	MaxMembers = 100 // what was shown to work, see docs/design/pings.md; a version has tags for kv.MaxTag + 1
	MaxRemoved = 1024

	MaxWeight    = ring.MaxWeight
	MaxZoneBytes = 64
	maxAddrBytes = 253 + len(":65535") // the longest name of the domain name system, and a port

	// MaxVersion is the largest version that is taken from outside. JSON keeps integers up to it in
	// all languages. With one change a millisecond it is reached in 285,000 years.
	MaxVersion = 1<<53 - 1
)

// ErrBadMember is wrapped by the error for an entry that is not valid.
var ErrBadMember = errors.New("bad member")

// State is where a member is in its life. Of two entries of the same version the larger state wins.
type State uint8

const (
	Active  State = iota // owns data
	Leaving              // still here, hands its data over
	Removed              // no member any more; remembered, or an older entry would bring it back
)

var stateWords = [...]string{Active: "active", Leaving: "leaving", Removed: "removed"}

func (s State) String() string {
	if int(s) < len(stateWords) {
		return stateWords[s]
	}
	return "state " + strconv.Itoa(int(s))
}

// MarshalText writes the state as a word.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateWords) {
		return nil, fmt.Errorf("%w: %s is no state", ErrBadMember, s)
	}
	return []byte(stateWords[s]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for i, word := range stateWords {
		if string(text) == word {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("%w: %.20q is no state: want active, leaving or removed", ErrBadMember, text)
}

// Member is an entry of the member map. It is the one shape that a member has, from the message
// that brings it to the ring that it is on.
type Member struct {
	Name    string `json:"name"`    // host:port at which the others reach it over HTTP
	Version uint64 `json:"version"` // the higher one of a name wins; 0: from a list, never met
	State   State  `json:"state"`
	Weight  int    `json:"weight"` // share of the data relative to the others, 1 to MaxWeight
	Zone    string `json:"zone,omitempty"`
}

// Members are the members of a cluster, as a member map has them.
type Members struct {
	All    []Member // active and leaving ones
	Digest uint64   // of the map: equal where the maps are
}

// Has says whether there is a member of that name.
func (m *Members) Has(name string) bool {
	return slices.ContainsFunc(m.All, func(o Member) bool { return o.Name == name })
}

// Node is the member as a ring has it.
func (m Member) Node() ring.Node { return ring.Node{Name: m.Name, Weight: m.Weight, Zone: m.Zone} }

// Validate checks an entry that came from outside.
func (m Member) Validate() error {
	if err := CheckAddr(m.Name); err != nil {
		return fmt.Errorf("%w: its name %w", ErrBadMember, err)
	}
	switch {
	case m.Version > MaxVersion:
		return fmt.Errorf("%w: %s: version %d is above %d", ErrBadMember, m.Name, m.Version, uint64(MaxVersion))
	case int(m.State) >= len(stateWords):
		return fmt.Errorf("%w: %s: %s is no state", ErrBadMember, m.Name, m.State)
	case m.Weight < 1 || m.Weight > MaxWeight:
		return fmt.Errorf("%w: %s: its weight is %d: use 1 to %d", ErrBadMember, m.Name, m.Weight, MaxWeight)
	case len(m.Zone) > MaxZoneBytes:
		return fmt.Errorf("%w: %s: its zone has %d bytes: use at most %d", ErrBadMember, m.Name, len(m.Zone), MaxZoneBytes)
	case !utf8.ValidString(m.Zone) || strings.ContainsFunc(m.Zone, unicode.IsControl):
		return fmt.Errorf("%w: %s: its zone %q is not plain text", ErrBadMember, m.Name, m.Zone)
	}
	return nil
}

// CheckAddr says what is wrong with a host:port.
func CheckAddr(addr string) error {
	if len(addr) > maxAddrBytes {
		return fmt.Errorf("has %d bytes: use at most %d", len(addr), maxAddrBytes)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || !utf8.ValidString(host) {
		return fmt.Errorf("is %q: want host:port", addr)
	}
	if strings.ContainsFunc(host, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`/\?#@,"'`, r)
	}) {
		return fmt.Errorf("is %q: %q is no host", addr, host)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("is %q, which is no address that others could reach", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("is %q: want a port from 1 to 65535", addr)
	}
	return nil
}

// CanonicalAddr is the one way to write a host:port. A node is known by it. The name of a host is
// in lower case, as the domain name system does not tell cases apart (RFC 4343). An IP address is
// as RFC 5952 has it. Two names of one host, or its name and its address, stay two. What is no
// host:port is returned as it is.
func CanonicalAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(ip.Unmap().String(), port)
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}

// AppendTo appends the fixed encoding of an entry to dst. The digest is made of it, and it decides
// between two entries of one name. The version comes first and the state second, so that the larger
// encoding wins.
func (m Member) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, m.Version)
	dst = append(dst, byte(m.State))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Weight))
	for _, s := range [...]string{m.Zone, m.Name} {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(s)))
		dst = append(dst, s...)
	}
	return dst
}
