package replicate

import (
	"math"

	"httpdhs/kv"
)

// purse is what a call may copy of values without asking for it. The first bytes are free. What is
// small then comes out of what was asked for in larger pieces, so that nobody asks for each.
type purse struct{ left int }

const (
	purseBytes = 4 * kv.HeldBytes // that are asked for at once
	shareLeast = 1 << 10          // that a decision which a peer makes may copy, if there is so much
)

// open makes the purse that of a new call.
func (u *purse) open(call *kv.Call) {
	u.left = kv.HeldBytes
	if call.Hold == nil {
		u.left = math.MaxInt
	}
}

// takes says whether so many bytes, which are found, may be copied, and takes them.
func (u *purse) takes(call *kv.Call, n int) bool {
	if n <= kv.HeldBytes {
		u.fill(call, n)
	}
	if n > u.left {
		return call.Holds(kv.Copies{Found: n})
	}
	u.left -= n
	return true
}

// fill asks for more where there is less than n.
func (u *purse) fill(call *kv.Call, n int) {
	if u.left < n && call.Holds(kv.Copies{Found: purseBytes}) {
		u.left += purseBytes
	}
}

// share takes what a decision that a peer makes may copy, of the call's. All of the call together
// get about as much as is asked for at once.
func (u *purse) share(call *kv.Call, d *kv.Decision) int {
	if d.Small() {
		return 0
	}
	n := min(max(purseBytes/len(call.Ops), shareLeast), kv.HeldBytes)
	u.fill(call, n)
	n = min(n, u.left)
	u.left -= n
	return n
}
