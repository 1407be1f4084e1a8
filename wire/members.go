package wire

import (
	"encoding/binary"
	"fmt"
)

// A member map in a file: u8 format, u32 number of entries, and the entries as Member.AppendTo has
// them, to the end. Integers are big endian, as in the entries.
const (
	membersFormat = 1
	membersHead   = 1 + 4

	// memberBytesMin is an entry without its zone and its name.
	memberBytesMin = 8 + 1 + 4 + 4 + 4
)

// AppendMembers appends the entries of a member map to dst, for [ParseMembers].
func AppendMembers(dst []byte, all []Member) []byte {
	dst = append(dst, membersFormat)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(all)))
	for _, m := range all {
		dst = m.AppendTo(dst)
	}
	return dst
}

// ParseMembers reads what [AppendMembers] wrote. Each entry is valid, and there are no more than a
// map may have. The error wraps [ErrBadMember].
func ParseMembers(data []byte) ([]Member, error) {
	switch {
	case len(data) < membersHead:
		return nil, fmt.Errorf("%w: a list of members has %d bytes", ErrBadMember, len(data))
	case data[0] != membersFormat:
		return nil, fmt.Errorf("%w: a list of members has format %d, this version reads %d", ErrBadMember, data[0], membersFormat)
	}
	n, rest := binary.BigEndian.Uint32(data[1:]), data[membersHead:]
	if n > helloMembersMax || int(n) > len(rest)/memberBytesMin {
		return nil, fmt.Errorf("%w: a list of %d members in %d bytes, at most %d", ErrBadMember, n, len(data), helloMembersMax)
	}
	all := make([]Member, n)
	for i := range all {
		var err error
		if all[i], rest, err = parseMember(rest); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow a list of members", ErrBadMember, len(rest))
	}
	return all, nil
}

// parseMember takes an entry off what AppendTo wrote.
func parseMember(data []byte) (m Member, rest []byte, err error) {
	if len(data) < memberBytesMin {
		return m, nil, fmt.Errorf("%w: an entry of %d bytes", ErrBadMember, len(data))
	}
	m.Version, m.State = binary.BigEndian.Uint64(data), State(data[8])
	m.Weight = int(binary.BigEndian.Uint32(data[9:]))
	rest = data[13:]
	for _, s := range []*string{&m.Zone, &m.Name} {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return m, nil, fmt.Errorf("%w: an entry is cut short", ErrBadMember)
		}
		n := binary.BigEndian.Uint32(rest)
		*s, rest = string(rest[4:4+n]), rest[4+n:]
	}
	return m, rest, m.Validate()
}
