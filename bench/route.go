package bench

import (
	"fmt"
	"math/bits"

	"httpdhs/api"
	"httpdhs/kv"
)

// pickersByOwner makes a picker for each node of the ring, of the keys that it
// is the primary of.
func pickersByOwner(c *Config, ring *api.Ring) ([]*picker, error) {
	owned := make([][]uint32, len(ring.Nodes))
	key := make([]byte, c.KeySize)
	shift := 64 - bits.TrailingZeros(uint(ring.Partitions))
	for i := range c.Keys {
		putDecimal(key, uint64(i))
		owners := ring.Owners[kv.Hash(key)>>shift]
		if len(owners) == 0 {
			return nil, fmt.Errorf("the ring has a partition without an owner")
		}
		owned[owners[0]] = append(owned[owners[0]], uint32(i))
	}
	pickers := make([]*picker, len(owned))
	for i, keys := range owned {
		if len(keys) < c.Conns/len(owned)+1 {
			return nil, fmt.Errorf("%s is the primary of %d of the keys: too few for its connections", ring.Nodes[i].Name, len(keys))
		}
		pickers[i] = newPicker(len(keys), keys, c.Dist)
	}
	return pickers, nil
}
