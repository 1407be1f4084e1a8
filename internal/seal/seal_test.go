package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
)

const name = "node1.example.org:1234"

var secrets = []string{"", "between the nodes"}

// exchange is a request and its answer, as they go over the wire.
type exchange struct {
	purpose      Purpose
	request      []byte // seal
	body         []byte
	answer       []byte // seal
	status       int
	answerBody   []byte
	here, there  *Sealer
	asked, heard Seal // the seal of the request at either side
}

func newExchange(t testing.TB, secret string, body, answerBody string) *exchange {
	t.Helper()
	x := &exchange{purpose: Exchange, body: []byte(body), status: 200, answerBody: []byte(answerBody), here: New(secret), there: New(secret)}
	x.request = bytes.Clone(x.here.Request(&x.asked, x.purpose, name, x.body))
	if err := x.open(); err != nil {
		t.Fatal(err)
	}
	if to := string(x.heard.To()); to != name {
		t.Errorf("it is for %q, want %q", to, name)
	}
	x.answer = bytes.Clone(x.there.Answer(&x.heard, x.status, x.answerBody))
	if err := x.openAnswer(); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *exchange) open() error {
	if err := x.there.OpenRequest(&x.heard, x.purpose, x.request, len(x.body)); err != nil {
		return err
	}
	return x.there.CheckBody(&x.heard, x.body)
}

// roundTrip is what both sides do for a message.
func (x *exchange) roundTrip(t testing.TB) {
	x.request = append(x.request[:0], x.here.Request(&x.asked, x.purpose, name, x.body)...)
	err := x.open()
	x.answer = append(x.answer[:0], x.there.Answer(&x.heard, x.status, x.answerBody)...)
	if err := errors.Join(err, x.openAnswer()); err != nil {
		t.Error(err)
	}
}

func (x *exchange) openAnswer() error {
	return x.here.OpenAnswer(&x.asked, x.answer, x.status, x.answerBody)
}

// What was sealed is opened, with a secret and without, whatever the body; and seals are used
// again.
func TestMessagesComeThrough(t *testing.T) {
	for _, secret := range secrets {
		for _, body := range []string{"", "b", strings.Repeat("body", 10_000)} {
			newExchange(t, secret, body, body+"answer")
		}
		x := newExchange(t, secret, "first", "answer")
		for range 3 {
			x.request = bytes.Clone(x.here.Request(&x.asked, Hello, "", nil))
			if x.purpose, x.body = Hello, nil; x.open() != nil || len(x.heard.To()) != 0 {
				t.Error("a seal is not used again")
			}
		}
	}
}

// A request or an answer that differs in one bit, wherever it is, from what was sealed is not
// opened. It is told from one with another secret.
func TestOneBitOpensNothing(t *testing.T) {
	for _, secret := range secrets {
		x := newExchange(t, secret, "some body", "some answer")
		each := func(b []byte, what string, open func() error) {
			for bit := range 8 * len(b) {
				b[bit/8] ^= 1 << (bit % 8)
				if err := open(); !errors.Is(err, ErrChanged) && !errors.Is(err, ErrFormat) {
					t.Fatalf("secret %q, %s, bit %d: %v", secret, what, bit, err)
				}
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
		each(x.request, "seal", x.open)
		each(x.body, "body", x.open)
		each(x.answer, "seal of the answer", x.openAnswer)
		each(x.answerBody, "answer", x.openAnswer)
		for bit := range 10 {
			x.status ^= 1 << bit
			if err := x.openAnswer(); !errors.Is(err, ErrChanged) {
				t.Errorf("secret %q: status %d: %v", secret, x.status, err)
			}
			x.status ^= 1 << bit
		}
	}
}

// What nodes of one format say to each other is fixed to the byte: a seal is as the comment on
// Format has it.
func TestLayout(t *testing.T) {
	x := newExchange(t, "s", "body", "answer")
	key := sha256.Sum256([]byte("httpdhs messages\x00s"))
	seal := func(head, body, tail []byte, tagged ...[]byte) []byte {
		sum := sha256.Sum256(body)
		fields := slices.Concat(head, sum[:], tail)
		mac := hmac.New(sha256.New, key[:])
		mac.Write(slices.Concat(tagged[0], fields, tagged[1]))
		fields = append(fields, mac.Sum(nil)[:16]...)
		check := xxh3.Hash(slices.Concat(tagged[0], fields[:len(fields)-16], tagged[1], fields[len(fields)-16:]))
		return binary.LittleEndian.AppendUint64(fields, check)
	}
	request := seal(x.asked.request[:18], x.body, []byte(name), []byte("x\x04\x00\x00\x00\x00\x00\x00\x00"), nil)
	if !bytes.Equal(request[:2], []byte{4, 1}) || !bytes.Equal(request, x.asked.request) {
		t.Errorf("a request:\n got %x\nwant %x", x.asked.request, request)
	}
	answer := seal([]byte{Format, 1}, x.answerBody, nil, []byte("a\x06\x00\x00\x00\x00\x00\x00\x00"), slices.Concat([]byte{200, 0}, request))
	if !bytes.Equal(answer, x.heard.answer) {
		t.Errorf("an answer:\n got %x\nwant %x", x.heard.answer, answer)
	}
	if x.here.Request(&x.asked, Exchange, name, nil); len(x.asked.request) != 2+16+32+len(name)+16+8 {
		t.Errorf("%d bytes", len(x.asked.request))
	}
	if New("").Request(&x.asked, Exchange, name, nil); len(x.asked.request) != 2+16+8+len(name)+8 {
		t.Errorf("%d bytes without a secret", len(x.asked.request))
	}
}

// A seal is good for one purpose, one length and one request.
func TestSealsAreBound(t *testing.T) {
	for _, secret := range secrets {
		x, other := newExchange(t, secret, "body", "answer"), newExchange(t, secret, "body", "answer")
		var p Seal
		fields := len(x.answer) - sizesOf(x.answer[modeAt]).tags
		reflected := slices.Concat(x.answer[:fields], []byte{200, 0}, x.request, x.answer[fields:]) // what its tags are of
		for what, err := range map[string]error{
			"as a hello":                      x.there.OpenRequest(&p, Hello, x.request, len(x.body)),
			"longer":                          x.there.OpenRequest(&p, Exchange, x.request, len(x.body)+1),
			"of unknown length":               x.there.OpenRequest(&p, Exchange, x.request, -1),
			"an answer as a request":          x.there.OpenRequest(&p, Exchange, x.answer, len(x.answerBody)),
			"an answer as what it is":         x.there.OpenRequest(&p, answer, reflected, len(x.answerBody)),
			"a request as its answer":         x.here.OpenAnswer(&x.asked, x.request, 200, x.body),
			"the answer to another of a body": x.here.OpenAnswer(&x.asked, other.answer, 200, other.answerBody),
		} {
			if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrFormat) {
				t.Errorf("secret %q: %s: %v", secret, what, err)
			}
		}
		if bytes.Equal(x.request, other.request) {
			t.Errorf("secret %q: two requests have one seal", secret)
		}
	}
}

// Who has another secret, or none, is told so, in both directions; what has no seal, or one of
// another format, is of another version.
func TestRefusalsSayWhatIsWrong(t *testing.T) {
	sealers := []*Sealer{New(""), New("ours"), New("theirs")}
	for i, here := range sealers {
		for j, there := range sealers {
			var asked, heard Seal
			err := there.OpenRequest(&heard, Exchange, here.Request(&asked, Exchange, name, nil), 0)
			if (i == j) != (err == nil) || err != nil && (!errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), "--cluster-secret-file")) {
				t.Errorf("%d to %d: %v", i, j, err)
			}
			if err := here.OpenAnswer(&asked, there.Answer(&asked, 403, nil), 403, nil); (i == j) != (err == nil) || err != nil && !errors.Is(err, ErrSecret) {
				t.Errorf("the answer of %d to %d: %v", j, i, err)
			}
		}
		var p Seal
		if err := here.OpenRequest(&p, Exchange, nil, 0); !errors.Is(err, ErrNone) {
			t.Errorf("no seal: %v", err)
		}
		if err := here.OpenRequest(&p, Exchange, []byte{Format + 1, 0, 1}, 0); !errors.Is(err, ErrFormat) {
			t.Errorf("another format: %v", err)
		}
	}
}

// Nothing of a seal tells the secret, in any spelling.
func TestTheSecretIsNotInASeal(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	x := newExchange(t, secret, "body", "answer")
	for _, b := range [][]byte{x.request, x.answer, x.asked.request, x.heard.answer} {
		for i := range len(secret) - 8 {
			if bytes.Contains(b, []byte(secret[i:i+8])) {
				t.Errorf("%q has part of the secret", b)
			}
		}
	}
}

// Whatever comes as a seal, it opens nothing that was not sealed, and harms nobody.
func FuzzOpen(f *testing.F) {
	for _, secret := range secrets {
		x := newExchange(f, secret, "body", "answer")
		f.Add(x.request, x.body)
		f.Add(x.answer, x.answerBody)
	}
	f.Add([]byte{Format, 1}, []byte{})
	s := New("of the fuzz")
	f.Fuzz(func(t *testing.T, sealed, body []byte) {
		var p, asked Seal
		if s.OpenRequest(&p, Exchange, sealed, len(body)) == nil {
			t.Error("a request is opened that nobody has sealed")
		}
		s.Request(&asked, Exchange, name, nil)
		if s.OpenAnswer(&asked, sealed, 200, body) == nil {
			t.Error("an answer is opened that nobody has sealed")
		}
		loose := New("")
		if loose.OpenRequest(&p, Exchange, sealed, len(body)) == nil {
			_, _ = p.To(), loose.CheckBody(&p, body)
		}
	})
}

// BenchmarkExchange seals and opens a message of a size, and a short answer.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{150, 4 << 10, 256 << 10} {
		body := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{}).Read(body)
		for _, secret := range secrets {
			x := newExchange(b, secret, string(body), strings.Repeat("\x01", 64))
			b.Run(fmt.Sprintf("secret=%t/bytes=%d", secret != "", size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					x.roundTrip(b)
				}
			})
		}
	}
}
