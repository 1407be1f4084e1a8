package rebalance

import "testing"

// Each rule of the protocol is needed: a cluster that leaves one out breaks a property. It also shows that the searches find what is wrong.
func TestEveryRuleIsNeeded(t *testing.T) {
	for _, c := range []struct {
		broken   mutation
		what     string
		scenario string
	}{
		{mapsNotCompared, "a claim does not ask for equal member maps", "two joins"},
		{answersNotAwaited, "a claim does not wait for answers to what this node said", "two joins"},
		{deliveryNotAwaited, "a claim does not wait for what is kept for this node", "suspicion"},
		{alwaysBelieved, "what a member holds is believed though it does not know that it was down", "suspicion"},
		{regardNotAwaited, "a node coordinates while others still take it for down", "everything"},
		{decidesWithoutAnswers, "a condition is decided before others have answered that they read by the same ring", "two joins"},
		{wantsNotHeeded, "only the target and the ring that is read by are written", "two joins"},
		{statedTooSoon, "rings are stated while operations of before go on", "join"},
		{coordinatesUnheard, "a node coordinates before it has heard from all", "join"},
		{claimsWithoutSince, "a claim ends though the ring was let go meanwhile", "swap"},
		{claimsWithoutPull, "a claim ends without having pulled", "join"},
		{pullsFromAnyone, "a pull is believed though the source has lost its authority", "suspicion"},
		{staleOperations, "a write of before is acknowledged after its coordinator has missed something", "suspicion"},
		{dropsUnconfirmed, "a partition is dropped before its owners have it", "one replica"},
		{keptCountsAsStored, "what a node keeps for others counts as stored", "everything"},
		{countsOneEnd, "the count of downs grows only at the beginning of one", "suspicion"},
		{countsHeededInSilence, "of two that take each other for down, both may have heeded all", "suspicion"},
		{countsOnNewBootAtOnce, "a node counts on a restarted member while operations go on that its memory was part of", "restarts"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			cfg := scenarios[c.scenario]
			cfg.broken = c.broken
			for seed := range uint64(setting("REBALANCE_MUTANT_SEEDS", 300)) {
				if trace, fault := walk(&cfg, seed, 600); fault != "" {
					t.Logf("%s: seed %d, %d actions: %s", c.what, seed, len(trace), fault)
					return
				}
			}
			t.Errorf("no property is broken")
		})
	}
}
