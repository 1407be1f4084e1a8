package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"httpdhs/kv"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// Who is on a ring:
//
//	ring    u64 fingerprint
//	answer  JSON, an array of ring.Node; null if the ring is not known

// ringBytesMax bounds an answer. It has room for many more members than there may be, with the
// longest names.
const ringBytesMax = 1 << 20

// AppendRing appends a question for who is on a ring to dst.
func AppendRing(dst []byte, r rebalance.Ring) []byte {
	return binary.LittleEndian.AppendUint64(appendHead(dst, KindRing), uint64(r))
}

// ParseRing reads the body of a question.
func ParseRing(body []byte) (rebalance.Ring, error) {
	if len(body) != 8 {
		return 0, fmt.Errorf("%w: ring", ErrMalformed)
	}
	return rebalance.Ring(binary.LittleEndian.Uint64(body)), nil
}

// AppendNodes appends an answer to dst. nil nodes: the ring is not known.
func AppendNodes(dst []byte, nodes []ring.Node) []byte {
	answer, err := json.Marshal(nodes)
	if err != nil {
		panic("BUG: wire: nodes do not marshal: " + err.Error())
	}
	return append(appendHead(dst, KindRing), answer...)
}

// ParseNodes reads an answer.
func ParseNodes(answer []byte) (nodes []ring.Node, err error) {
	body, err := expect(answer, KindRing, Head)
	if err != nil {
		return nil, err
	}
	if len(body) > ringBytesMax {
		return nil, fmt.Errorf("%w: ring of %d bytes", ErrMalformed, len(body))
	}
	if err := json.Unmarshal(body, &nodes); err != nil {
		return nil, fmt.Errorf("%w: ring: %w", ErrMalformed, err)
	}
	if len(nodes) > kv.MaxTag+1 {
		return nil, fmt.Errorf("%w: ring of %d members, at most %d", ErrMalformed, len(nodes), kv.MaxTag+1)
	}
	return nodes, nil
}
