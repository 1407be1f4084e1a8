package bench

// conn is one connection, without the socket: what was asked on it and not
// answered, what is still to be written, and what was read of the next answer.
// Its worker's event loop moves the bytes.
type conn struct {
	index int // among the connections of its worker
	node  int // which it leads to

	// It is dealer number share of shares: the only one to write what is at
	// the places that are share modulo shares.
	share, shares int

	up       bool
	greeted  bool // and it may be asked
	queued   bool // in the worker's queue of connections with room
	dirty    bool // in the worker's list of connections with something to write
	spent    bool // the workload had no more for it
	failures int  // to connect, since it last worked

	pending []pending // a ring: the requests outstanding, in their order
	first   int       // index of the oldest
	waiting int       // how many there are

	out  []byte // to be written
	in   []byte // read, and not a whole answer yet
	need int    // bytes that answer has; 0: not known yet

	sock socket // of the event loop
}

// pending is a request on its way.
type pending struct {
	start int64 // from when its latency counts
	sent  int64 // when it was handed to the connection
	bytes int   // of it
	item        // of a request of one operation
	items []item
}

// item is an operation in a request.
type item struct {
	op  op
	key uint32
	seq uint64 // of a write, if the run is verified
}

type op uint8

const (
	opGet op = iota
	opPut
	opDelete
	opIncr
	opHello // no operation: what a connection begins with
)

func newConn(index, node, pipeline int) *conn {
	return &conn{index: index, node: node, pending: make([]pending, pipeline)}
}

func (c *conn) room() bool { return c.waiting < len(c.pending) }

// push makes room for a request behind those that wait.
func (c *conn) push() *pending {
	p := &c.pending[(c.first+c.waiting)%len(c.pending)]
	c.waiting++
	p.item, p.items = item{}, p.items[:0]
	return p
}

// unpush takes the last push back.
func (c *conn) unpush() { c.waiting-- }

// oldest is the request that the next answer is for.
func (c *conn) oldest() *pending { return &c.pending[c.first] }

// pop forgets the oldest.
func (c *conn) pop() {
	c.first = (c.first + 1) % len(c.pending)
	c.waiting--
}

// reset is for when the connection is gone, and all that was under way on it
// was accounted for.
func (c *conn) reset() {
	c.up, c.greeted, c.need = false, false, 0
	c.in, c.out = c.in[:0], c.out[:0]
}

// fifo is a queue of connections, each in it at most once.
type fifo struct {
	ring        []*conn
	first, size int
}

func newFifo(n int) fifo { return fifo{ring: make([]*conn, n)} }

func (q *fifo) push(c *conn) {
	if c.queued {
		return
	}
	c.queued = true
	q.ring[(q.first+q.size)%len(q.ring)] = c
	q.size++
}

func (q *fifo) pop() *conn {
	c := q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.size--
	c.queued = false
	return c
}
