package wire

import (
	"encoding/binary"
	"fmt"

	"httpdhs/kv"
)

// A part of a page of keys, of the partitions that one node is asked for:
//
//	list    u64 from, u32 limit, u32 most bytes of records, u8 with values, uvarint length,
//	        prefix, then u16 partitions, ascending, to the end
//	answer  u8 flags (1: has authority for all, 2: cut short, 4: behind at some keys),
//	        u64 next (where it was cut), u32 bytes of the record there, if no record had room,
//	        records in the order of their hashes, to the end
const (
	listAuthority = 1
	listMore      = 2
	listBehind    = 4

	questionHead = 8 + 4 + 4 + 1 // up to the prefix

	listHead = Head + 1 + 8 + 4
)

// Partitions are the partitions that a question names, u16 each. They exist, and are no more than a
// question may name.
type Partitions []byte

// Next takes the first partition off. There has to be one.
func (p *Partitions) Next() (partition int) {
	partition = int(binary.LittleEndian.Uint16(*p))
	*p = (*p)[2:]
	return partition
}

// parsePartitions checks a list of partitions, of which there are all in all. A question may name
// most of them: its answer grows with them.
func parsePartitions(list []byte, all, most int) (Partitions, error) {
	if len(list)%2 != 0 || len(list)/2 > most {
		return nil, fmt.Errorf("%w: %d bytes of partitions, at most %d partitions", ErrMalformed, len(list), most)
	}
	for at := 0; at < len(list); at += 2 {
		if p := int(binary.LittleEndian.Uint16(list[at:])); p >= all {
			return nil, fmt.Errorf("%w: partition %d", ErrMalformed, p)
		}
	}
	return Partitions(list), nil
}

// AppendList appends a question for a part of a page to dst. The deadline does not travel.
func AppendList(dst []byte, req *kv.ListRequest, partitions []uint16) []byte {
	dst = appendHead(dst, KindList)
	dst = binary.LittleEndian.AppendUint64(dst, req.From)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(req.Limit))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(req.Bytes))
	values := byte(0)
	if req.Values {
		values = 1
	}
	dst = append(dst, values)
	dst = binary.AppendUvarint(dst, uint64(len(req.Prefix)))
	dst = append(dst, req.Prefix...)
	for _, p := range partitions {
		dst = binary.LittleEndian.AppendUint16(dst, p)
	}
	return dst
}

// ParseList reads the body of a question, in a cluster of so many partitions. What it returns
// aliases the body.
func ParseList(body []byte, partitions int) (req kv.ListRequest, of Partitions, err error) {
	if len(body) < questionHead {
		return req, nil, fmt.Errorf("%w: listing", ErrMalformed)
	}
	req.From = binary.LittleEndian.Uint64(body)
	req.Limit = int(binary.LittleEndian.Uint32(body[8:]))
	req.Bytes = int(binary.LittleEndian.Uint32(body[12:]))
	req.Values = body[16] != 0
	n, size := binary.Uvarint(body[questionHead:])
	body = body[questionHead+max(size, 0):]
	if size <= 0 || n > uint64(len(body)) {
		return req, nil, fmt.Errorf("%w: prefix of a listing", ErrMalformed)
	}
	req.Prefix = body[:n]
	of, err = parsePartitions(body[n:], partitions, partitions)
	return req, of, err
}

// Listing is a node's answer to a question for a part of a page.
type Listing struct {
	Authority bool   // for all the partitions
	Behind    bool   // something newer was refused in one of them
	More      bool   // the answer was full,
	Next      uint64 // and the page goes on from this hash
	Needs     int    // bytes of the record there; 0 if the answer has records
	Records   []byte // encoded; see DecodeRecord
}

// OpenListing starts an answer, to which the records are appended. Finish ends it.
func OpenListing(dst []byte) []byte {
	return append(appendHead(dst, KindList), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// Finish writes all but the records into the answer. It is called once all records are in it.
func (l *Listing) Finish(answer []byte) {
	flags := byte(0)
	if l.Authority {
		flags |= listAuthority
	}
	if l.More {
		flags |= listMore
	}
	if l.Behind {
		flags |= listBehind
	}
	answer[Head] = flags
	binary.LittleEndian.PutUint64(answer[Head+1:], l.Next)
	binary.LittleEndian.PutUint32(answer[Head+9:], uint32(l.Needs))
}

// ParseListing reads an answer. Its records alias it.
func ParseListing(answer []byte) (l Listing, err error) {
	kind, _, err := Split(answer)
	if err != nil {
		return l, err
	}
	if kind != KindList || len(answer) < listHead {
		return l, fmt.Errorf("%w: answer to a listing", ErrMalformed)
	}
	flags := answer[Head]
	return Listing{
		Authority: flags&listAuthority != 0,
		Behind:    flags&listBehind != 0,
		More:      flags&listMore != 0,
		Next:      binary.LittleEndian.Uint64(answer[Head+1:]),
		Needs:     int(binary.LittleEndian.Uint32(answer[Head+9:])),
		Records:   answer[listHead:],
	}, nil
}
