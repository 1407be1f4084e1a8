package rebalance

import (
	"os"
	"strconv"
	"testing"
)

// scenarios are the clusters that are searched.
var scenarios = map[string]config{
	"join":         {replicas: 2, initial: 0b0011, all: 0b0111, budget: budget{joins: 1, writes: 8}},
	"two joins":    {replicas: 2, initial: 0b0011, all: 0b1111, budget: budget{joins: 2, writes: 8}},
	"leave":        {replicas: 2, initial: 0b0111, all: 0b0111, budget: budget{leaves: 1, writes: 8}},
	"swap":         {replicas: 2, initial: 0b0111, all: 0b1111, budget: budget{joins: 1, leaves: 2, writes: 8}},
	"crash":        {replicas: 2, initial: 0b0111, all: 0b1111, budget: budget{joins: 1, crashes: 1, restarts: 1, writes: 8}},
	"joiners":      {replicas: 2, initial: 0b0011, all: 0b1111, budget: budget{joins: 2, crashes: 3, restarts: 2, writes: 8}},
	"removal":      {replicas: 2, initial: 0b0111, all: 0b1111, budget: budget{joins: 1, crashes: 1, restarts: 1, removals: 1, leaves: 1, writes: 8}},
	"restarts":     {replicas: 2, initial: 0b0111, all: 0b0111, budget: budget{crashes: 3, restarts: 3, writes: 8}},
	"suspicion":    {replicas: 2, initial: 0b0111, all: 0b1111, budget: budget{joins: 1, falseDowns: 3, writes: 8}},
	"false remove": {replicas: 2, initial: 0b0111, all: 0b0111, budget: budget{falseDowns: 2, removals: 1, writes: 8}},
	"one replica":  {replicas: 1, initial: 0b0011, all: 0b1111, budget: budget{joins: 2, leaves: 1, writes: 8}},
	"everything":   {replicas: 2, initial: 0b0111, all: 0b1111, budget: budget{joins: 1, leaves: 2, crashes: 2, restarts: 3, removals: 1, falseDowns: 3, writes: 12}},
}

func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// Whatever happens, in whatever order, at random: all properties hold, and when the faults end
// everything comes to rest.
func TestRandomSchedulesHoldTheProperties(t *testing.T) {
	seeds, depth := setting("REBALANCE_SEEDS", 15), setting("REBALANCE_DEPTH", 600)
	for name, cfg := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				if trace, fault := walk(&cfg, seed, depth); fault != "" {
					short, f := shorten(&cfg, seed, trace, fault)
					t.Fatalf("seed %d: %s\nshortened to %d actions: %s\n%s", seed, fault, len(short), f, list(short))
				}
			}
		})
	}
}
