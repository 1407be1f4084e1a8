package kv

// Outcome is what became of a record that was offered to a store.
type Outcome uint8

const (
	Stored Outcome = iota // it took the place of what was there
	Same                  // exactly this version was there already
	Stale                 // something newer is there
	Kept                  // a decision leaves what is there
)

// Applied is the answer of a store that was offered a record.
type Applied struct {
	Outcome Outcome
	Existed bool    // before, a reader would have seen a value
	Current Version // what is held now; 0: nothing
}

// Offer is one of several records that are offered to a store together, and the
// store's answer.
type Offer struct {
	Hash     uint64    // of the record's key
	Record   *Record   // not kept
	Decision *Decision // makes the record, which is its own; nil: it is given

	Applied
	Err error
}
