package topology

import (
	"httpdhs/placement"
)

// state is what the topology's mu guards: the rings, who is a member, and what follows from both.
type state struct {
	opt      *Options
	board    placement.Writer
	primacy  *primacy
	rings    rings
	roster   roster
	make     func(name string, before past) *member
	dead     []string      // members that this node would have removed; replaced, never modified
	pings    uint64        // that were made
	ready    chan struct{} // closed when this node may coordinate
	started  bool
	stepping bool // a step is to be taken soon
	ended    bool
}
