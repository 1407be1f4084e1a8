package antientropy

import (
	"fmt"
	"time"

	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/wire"
)

// askTimeout is how long one message may take.
const askTimeout = 10 * time.Second

// errNoAuthority is for a source that may lack something, though it was chosen because it did not.
var errNoAuthority = fmt.Errorf("%w: a replica is not in sync any more, or has refused what it has no room for", placement.ErrNotInSync)

// remote is another owner, and what it has to be.
type remote struct {
	*peer.Peer
	sure bool // its answers have to say that it has authority
	boot func(*peer.Peer) uint64
}

func (r *Repairer) remote(p *peer.Peer, sure bool) remote {
	return remote{Peer: p, sure: sure, boot: r.topology.Boot}
}

// is says what is wrong with who made an answer.
func (o remote) is(from wire.Origin) error {
	if from.Boot != o.boot(o.Peer) {
		return fmt.Errorf("%w: %s was restarted", placement.ErrNotInSync, o.Name())
	}
	if o.sure && !from.Authority {
		return fmt.Errorf("%w: %s", errNoAuthority, o.Name())
	}
	return nil
}

// digests asks for the digests of partitions.
func (o remote) digests(level wire.Level, partitions []int) ([]uint64, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	answer, err := o.Ask(wire.AppendDigests(nil, level, partitions), time.Now().Add(askTimeout))
	if err != nil {
		return nil, err
	}
	from, all, err := wire.ParseDigestsAnswer(answer, level, len(partitions))
	if err == nil {
		err = o.is(from)
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// records asks for the next records of a pull, and moves the question on.
func (o remote) records(ask *wire.Pull) (records []byte, more bool, err error) {
	answer, err := o.Ask(wire.AppendPull(nil, ask), time.Now().Add(askTimeout))
	if err != nil {
		return nil, false, err
	}
	from, pulled, err := wire.ParsePulled(answer)
	if err == nil {
		err = o.is(from)
	}
	if err != nil {
		return nil, false, err
	}
	ask.From = pulled.Next
	return pulled.Records, pulled.More, nil
}
