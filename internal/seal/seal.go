// Package seal frames and protects the messages that nodes send each other.
//
// A message travels in a frame, with its seal in front of it. What a seal vouches for, both ways:
//
//   - the body, its length, and whether it is a message to a node, a hello or an answer;
//   - of a request: the name of the node that it is for;
//   - of an answer: its status, and the request that it answers.
//
// Without a secret a seal is a checksum (xxh3): what was changed on its way is not taken for a
// message. With a secret it is also a MAC (HMAC-SHA256, truncated as RFC 2104 allows): nobody
// makes one who does not know the secret, and the secret itself is never sent.
//
// The tags of a seal are over its other fields, and one of these is a digest of the body. So a
// receiver knows before the body whether a message is one of the cluster, for whom it is and how
// long. The body cannot be another afterwards. It is the shape of RFC 9421 (HTTP Message
// Signatures) with RFC 9530 (Digest Fields).
//
// A request has a random nonce, so that no two have the same seal, and an answer is to one alone.
// Nothing here keeps a request from being sent again: docs/operations.md says what that can do.
//
// A Sealer may be used by many goroutines at once, a Seal by one.
package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/zeebo/xxh3"
)

// Format is the version of seals and frames. What they protect has its own. The fields of a seal,
// little endian:
//
//	u8   format
//	u8   0: without a secret; 1: with one
//	16   nonce, of a request
//	8    xxh3 of the body; with a secret 32: its SHA-256
//	…    of a request: the name of the node that it is for
//	16   with a secret: the first half of the HMAC-SHA256 of the tagged bytes
//	8    xxh3 of the tagged bytes, and of the HMAC if there is one
//
// The tagged bytes are the purpose, u64 length of the body, the fields above the tags; and of an
// answer u16 status, and all fields of the request.
const Format = 4

// Purpose is what a request is.
type Purpose uint16

const (
	Exchange Purpose = 'x' // a message to the node of a name
	Hello    Purpose = 'h' // a message to whoever is at an address

	answer Purpose = 'a'
)

const (
	nonceBytes = 16
	checkBytes = 8
	macBytes   = sha256.Size / 2

	plain = 0
	keyed = 1

	modeAt  = 1
	nonceAt = 2
)

// Errors of a message that is not taken.
var (
	ErrNone    = errors.New("it carries no seal, which a message between nodes of this version has: run the same version at all nodes")
	ErrFormat  = errors.New("run the same version at all nodes")
	ErrChanged = errors.New("it was changed on its way: send it again")
	ErrSecret  = errors.New("set the same --cluster-secret-file at all nodes")
)

var (
	errTheirs = fmt.Errorf("it was sent with a cluster secret, and this node has none: %w", ErrSecret)
	errOurs   = fmt.Errorf("it was sent without a cluster secret, and this node has one: %w", ErrSecret)
	errOther  = fmt.Errorf("it was sent with another cluster secret: %w", ErrSecret)
)

// Sealer seals and opens the messages of one cluster.
type Sealer struct {
	macs *sync.Pool // of hash.Hash with the key; nil: there is no secret
}

// New makes the sealer of nodes that share a secret; "": they share none.
func New(secret string) *Sealer {
	if secret == "" {
		return &Sealer{}
	}
	key := sha256.Sum256([]byte("httpdhs messages\x00" + secret))
	return &Sealer{macs: &sync.Pool{New: func() any { return hmac.New(sha256.New, key[:]) }}}
}

// Seal is that of one request, on either side, and makes or opens that of its answer. The zero
// value is ready, and it can be used for one request after the other.
type Seal struct {
	request []byte // its fields
	answer  []byte // its fields
	tagged  []byte
	own     []byte // what is compared with that of the other side
}

// Request seals a request, and returns the seal, which is good until the next call with p.
func (s *Sealer) Request(p *Seal, purpose Purpose, to string, body []byte) []byte {
	b := append(p.request[:0], Format, s.mode())
	b = append(b, make([]byte, nonceBytes)...)
	_, _ = rand.Read(b[nonceAt:]) // it never fails
	b = append(s.appendSum(b, body), to...)
	p.tag(purpose, len(body), b)
	p.request = s.appendTags(b, p)
	return p.request
}

// OpenRequest checks a request by its seal, before its body is read. The body, whose length the
// head tells, is still to be checked with [Sealer.CheckBody]. The error wraps one of the above if
// the request is not to be taken; a refusal can be sealed with p all the same.
func (s *Sealer) OpenRequest(p *Seal, purpose Purpose, seal []byte, length int) error {
	p.request = append(p.request[:0], seal...)
	fields, err := split(p.request, nonceAt+nonceBytes)
	if err != nil {
		return err
	}
	if purpose != Exchange && purpose != Hello { // least of all an answer
		return fmt.Errorf("it is no request: %w", ErrFormat)
	}
	p.tag(purpose, length, fields)
	return s.checkTags(p, p.request, len(fields))
}

// To is the name of the node that an opened request is for; of a hello it is the address that was
// dialled.
func (p *Seal) To() []byte {
	size := sizesOf(p.request[modeAt])
	return p.request[nonceAt+nonceBytes+size.sum : len(p.request)-size.tags]
}

// CheckBody says whether the body is that of an opened request; if not, the error wraps
// [ErrChanged].
func (s *Sealer) CheckBody(p *Seal, body []byte) error {
	return s.checkSum(p, p.request[nonceAt+nonceBytes:], body)
}

// Answer seals the answer to a request, and returns the seal, which is good until the next call
// with p.
func (s *Sealer) Answer(p *Seal, status int, body []byte) []byte {
	b := s.appendSum(append(p.answer[:0], Format, s.mode()), body)
	p.tagAnswer(status, len(body), b)
	p.answer = s.appendTags(b, p)
	return p.answer
}

// OpenAnswer checks the answer to the request of p. The error wraps one of the above if nothing of
// the answer, its status least of all, is to be believed.
func (s *Sealer) OpenAnswer(p *Seal, seal []byte, status int, body []byte) error {
	p.answer = append(p.answer[:0], seal...)
	fields, err := split(p.answer, nonceAt)
	if err != nil {
		return err
	}
	p.tagAnswer(status, len(body), fields)
	if err := s.checkTags(p, p.answer, len(fields)); err != nil {
		return err
	}
	return s.checkSum(p, p.answer[nonceAt:], body)
}

func (s *Sealer) mode() byte {
	if s.macs == nil {
		return plain
	}
	return keyed
}

// sizes are those of the fields whose length depends on the mode.
type sizes struct{ sum, tags int }

func sizesOf(mode byte) sizes {
	if mode == plain {
		return sizes{checkBytes, checkBytes}
	}
	return sizes{sha256.Size, checkBytes + macBytes}
}

// split returns the fields above the tags of a seal. So many bytes of them precede the sum.
func split(b []byte, before int) ([]byte, error) {
	switch {
	case len(b) == 0:
		return nil, ErrNone
	case len(b) < nonceAt:
		return nil, ErrChanged
	case b[0] != Format:
		return nil, fmt.Errorf("its format is %d, and this node speaks %d: %w", b[0], Format, ErrFormat)
	case b[modeAt] > keyed:
		return nil, ErrChanged
	}
	size := sizesOf(b[modeAt])
	if len(b) < before+size.sum+size.tags {
		return nil, ErrChanged
	}
	return b[:len(b)-size.tags], nil
}

// tag makes the tagged bytes of a request.
func (p *Seal) tag(purpose Purpose, length int, fields []byte) {
	b := append(p.tagged[:0], byte(purpose)) // it is one of the three
	b = binary.LittleEndian.AppendUint64(b, uint64(length))
	p.tagged = append(b, fields...)
}

// tagAnswer makes the tagged bytes of an answer. All that precedes the fields of the request has
// one length in each mode.
func (p *Seal) tagAnswer(status, length int, fields []byte) {
	p.tag(answer, length, fields)
	p.tagged = binary.LittleEndian.AppendUint16(p.tagged, uint16(status))
	p.tagged = append(p.tagged, p.request...)
}

// appendTags appends the tags of the tagged bytes, to which it adds.
func (s *Sealer) appendTags(dst []byte, p *Seal) []byte {
	if s.macs != nil {
		p.own = s.appendMAC(p.own[:0], p.tagged)
		p.tagged = append(p.tagged, p.own...)
		dst = append(dst, p.own...)
	}
	return binary.LittleEndian.AppendUint64(dst, xxh3.Hash(p.tagged))
}

func (s *Sealer) appendMAC(dst, tagged []byte) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	_, _ = mac.Write(tagged)
	end := len(dst) + macBytes
	return mac.Sum(dst)[:end]
}

// checkTags compares the tags of a seal, which begin at, with those of the tagged bytes. A message
// that was changed has another checksum; one of another secret only another MAC.
func (s *Sealer) checkTags(p *Seal, b []byte, at int) error {
	mode, mac, check := b[modeAt], b[at:len(b)-checkBytes], b[len(b)-checkBytes:]
	if s.macs != nil {
		p.own = s.appendMAC(p.own[:0], p.tagged)
	}
	p.tagged = append(p.tagged, mac...)
	switch {
	case binary.LittleEndian.Uint64(check) != xxh3.Hash(p.tagged):
		return ErrChanged
	case mode != s.mode() && mode == keyed:
		return errTheirs
	case mode != s.mode():
		return errOurs
	case mode == keyed && !hmac.Equal(p.own, mac):
		return errOther
	}
	return nil
}

func (s *Sealer) appendSum(dst, body []byte) []byte {
	if s.macs == nil {
		return binary.LittleEndian.AppendUint64(dst, xxh3.Hash(body))
	}
	sum := sha256.Sum256(body)
	return append(dst, sum[:]...)
}

// checkSum compares the body with the sum at the start of b.
func (s *Sealer) checkSum(p *Seal, b, body []byte) error {
	p.own = s.appendSum(p.own[:0], body)
	if !hmac.Equal(p.own, b[:len(p.own)]) {
		return ErrChanged
	}
	return nil
}

// sealMax is longer than any seal: a name has some 260 bytes.
const sealMax = 1024
