package replicate

import (
	"cmp"
	"time"

	"httpdhs/kv"
)

// clearGrace is how long deletes that have begun may go on beyond the deadline: one that is given
// up may have been done, and would not be counted.
const clearGrace = 5 * time.Second

// clearPage is how many keys are listed, and then deleted, at a time.
const clearPage = 1000

// Clear deletes the keys that begin with a prefix, page by page in the order of a listing, until
// the deadline. Keys that come meanwhile may stay. What was deleted stays deleted, whatever the
// error: the same request with From at Next goes on.
func (c *Coordinator) Clear(req *kv.ClearRequest) (done kv.Cleared, err error) {
	done = kv.Cleared{Next: req.From, More: true}
	var call kv.Call
	for done.More && time.Now().Before(req.Deadline) {
		page, err := c.List(&kv.ListRequest{Prefix: req.Prefix, From: done.Next, Limit: clearPage, Deadline: req.Deadline})
		if err != nil {
			return done, err
		}
		call.Reset()
		call.Write, call.Deadline = req.Write, time.Now().Add(clearGrace)
		for i := range page.Records {
			key := page.Records[i].Key
			call.Ops = append(call.Ops, kv.Op{Kind: kv.OpDelete, Hash: kv.Hash(key), Record: kv.Record{Key: key}})
		}
		if len(call.Ops) > 0 {
			c.Do(&call)
		}
		for i := range call.Ops {
			op := &call.Ops[i]
			if op.Err == nil && op.Existed {
				done.Deleted++
			}
			err = cmp.Or(err, op.Err)
		}
		if err != nil {
			return done, err
		}
		done.Next, done.More = page.Next, page.More
	}
	return done, nil
}
