package replicate

import (
	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// ruling is what the primary has made of a run.
type ruling struct {
	changed bool
	current kv.Version // of the value that was there; 0: none
	derived bool       // the record is known from the operation
	record  kv.Entry   // else
	own     bool       // the values have memory of their own
	results int        // where those of its operations begin, in pending.results
}

// releaseRulings forgets what was decided.
func (p *pending) releaseRulings() {
	p.call = nil
	if len(p.rulings) == 0 && len(p.deciding.Ops) == 0 {
		return
	}
	clear(p.rulings)
	clear(p.results)
	p.rulings, p.results = p.rulings[:0], p.results[:0]
	p.deciding.Release()
	p.answered.Release()
}

// decision is one on the run that operation i leads, for Do.
func (p *pending) decision(call *kv.Call, i int) *kv.Decision {
	d := &p.deciding
	d.Ops = p.runs.ops(d.Ops[:0], call, i)
	return d
}

// takeAnswer takes what a peer has decided of the run that operation i leads. An answer that cannot
// be read is none.
func (p *pending) takeAnswer(i int, r *wire.Result) {
	d := &p.answered
	d.Ops = p.runs.ops(d.Ops[:0], p.call, i)
	d.Version = d.Ops[0].Version
	if wire.ReadDecided(r.Outcome, d) != nil {
		r.Code = peer.FailedDown
		return
	}
	p.takeDecision(i, d, false)
}

// takeDecision keeps what came of a decision on the run that operation i leads. own: its values
// have memory of their own, and are not copied.
func (p *pending) takeDecision(i int, d *kv.Decision, own bool) {
	made := ruling{changed: d.Changed, current: d.Current, derived: d.Derived(), own: own, results: len(p.results)}
	if d.Changed && !made.derived {
		made.record = p.keepEntry(&d.Record.Entry, own)
	}
	for k := range d.Results {
		r := d.Results[k]
		switch {
		case r.Made:
			r.Entry = made.record
		case r.Found:
			if d.Ops[k].Kind == kv.OpGet && p.there.full(p.max, len(r.Entry.Value)) {
				r = kv.Result{Err: kv.ErrAnswerFull}
			} else {
				r.Entry = p.keepEntry(&r.Entry, own)
			}
		}
		p.results = append(p.results, r)
	}
	p.rulings = append(p.rulings, made)
	p.at(i).ruling = int32(len(p.rulings))
}

// keepEntry copies an entry, unless it has memory of its own.
func (p *pending) keepEntry(e *kv.Entry, own bool) kv.Entry {
	kept := *e
	if own {
		return kept
	}
	kept.Meta, kept.Value = p.there.keep(e.Meta), p.there.keep(e.Value)
	return kept
}

// adopt makes the record of a decision that of the operation, for the other owners. It says whether
// there is one. The caller holds the lock.
func (p *pending) adopt(i int, op *kv.Op) bool {
	switch d := &p.rulings[p.at(i).ruling-1]; {
	case !d.changed:
		return false
	case d.derived:
		stamp(op, op.Version)
	default:
		op.Entry = d.record
	}
	return true
}

// leaves says whether operation o was decided, and nothing has come of that.
func (p *pending) leaves(o *operation) bool {
	return o.ruling > 0 && !p.rulings[o.ruling-1].changed
}

// finishRun takes the outcome of the run that operation i leads over into the call. copied: values
// that were found are to be copied to the call's memory.
func (p *pending) finishRun(call *kv.Call, i int, o *operation, copied bool) {
	lead := call.Ops[i] // what its own operation has found comes in its place
	for k := 0; i >= 0; i, k = p.runs.after(i), k+1 {
		op := &call.Ops[i]
		op.Acks, op.Required, op.Replicas, op.Kept = lead.Acks, lead.Required, lead.Replicas, false
		if op.Err = lead.Err; op.Err != nil || o.ruling == 0 {
			op.Entry = kv.Entry{Version: lead.Version, Expires: op.Expires}
			continue
		}
		d := &p.rulings[o.ruling-1]
		r := &p.results[d.results+k]
		op.Err, op.Existed, op.Number = r.Err, r.Existed, r.Number
		op.Kept = !d.changed && op.Kind != kv.OpGet && r.Err == nil
		switch {
		case r.Found:
			op.Entry = r.Entry
			if copied && !d.own {
				op.Value, op.Meta = p.here.keep(r.Entry.Value), p.here.keep(r.Entry.Meta)
			}
		case r.Err != nil:
			op.Entry = kv.Entry{Version: r.Entry.Version}
		case d.changed:
			op.Entry = kv.Entry{Version: lead.Version, Expires: lead.Expires}
		default:
			op.Entry = kv.Entry{Version: d.current}
		}
	}
}
