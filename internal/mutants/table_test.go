package mutants

// A mutant is a bug of one line, and the test that finds it.
type mutant struct {
	bug      string // in words, as docs/design/mutants.md has it
	file     string
	from, to string // from is there once
	in, test string // the package, and its test
	seed     int    // of the simulation: the first of those that are tried
}

// seeds is how many seeds of the simulation are tried.
const seeds = 60

const simnet = "internal/simnet"

var mutants = []mutant{
	// Claims, and who counts on whom.
	{
		bug:  "a claim without the handshake",
		file: "topology/claim.go",
		from: "rings.state.Missing(x, c.t.mu.world()); missing {",
		to:   "rings.state.Missing(x, c.t.mu.world()); missing && false {",
		in:   "topology", test: "TestClaimWaitsForAllThatAreUp",
	},
	{
		bug:  "a claim without the pull",
		file: "topology/claim.go",
		from: "if err := c.fetch(x, pull); err != nil {",
		to:   "if err := error(nil); err != nil {",
		in:   simnet, test: simulation,
	},
	{
		bug:  "a claim by members that are not the latest",
		file: "topology/claim.go",
		from: "s.opt.Members != nil && s.opt.Members.Outdated",
		to:   "false && s.opt.Members.Outdated",
		in:   "topology", test: "TestNodeClaimsByTheLatestMembers",
	},
	{
		bug:  "a peer is counted on while it is sent what was kept for it",
		file: "topology/member.go",
		from: "return m.peer.Delivered() &&",
		to:   "return !m.down() &&",
		in:   "topology", test: "TestMemberIsCountedOnOnceItHasWhatWasKept",
	},
	{
		bug:  "a peer is counted on while the last of that is on its way",
		file: "peer/peer.go",
		from: "return p.State() == Up && !p.delivering",
		to:   "return p.State() == Up",
		in:   "topology", test: "TestMemberIsCountedOnOnceItHasWhatWasKept",
	},
	{
		bug:  "a restarted peer is counted on while operations of before go on",
		file: "topology/member.go",
		from: " && m.belief.metAt < m.t.oldest.Load()",
		in:   "topology", test: "TestRestartedMemberIsCountedOnOnceOperationsAreOver",
	},
	{
		bug:  "a peer that answers a joiner before it has a view is never counted on",
		file: "topology/heard.go",
		from: metAlways, to: metWithAView,
		in: "topology", test: "TestJoinerCountsOnWhoAnswersAtOnce",
	},
	{
		bug:  "a peer that answers a joiner before it has a view is never counted on, in the simulation",
		file: "topology/heard.go",
		from: metAlways, to: metWithAView,
		in: simnet, test: simulation,
	},

	// Being taken for down.
	{
		bug:  "an evicted member keeps its authority",
		file: "topology/topology.go",
		from: "Overtaken(reason string) { t.fence(reason) }",
		to:   "Overtaken(reason string) {}",
		in:   "topology", test: "TestOvertakenNodeHasNoAuthority",
	},
	{
		bug:  "a node votes against members that it has not asked yet",
		file: "topology/evict.go",
		from: "m.judged.Load() && m.downFor() >= after",
		to:   "m.downFor() >= after",
		in:   "topology", test: "TestUnaskedMemberIsNotDead",
	},
	{
		bug:  "a member is removed before it was asked whether it is up",
		file: "membership/leave.go",
		from: "case !m.calls.isDown(name):",
		to:   "case false:",
		in:   "membership", test: "TestRemoveWaitsForAVerdict",
	},
	{
		bug:  "a node that leaves tells nobody whom it has not asked yet",
		file: "membership/leave.go",
		from: "others = append(others, other.Name)",
		to:   "",
		in:   "membership", test: "TestLeftTellsMembersNotYetUp",
	},
	{
		bug:  "a member that was removed and came back is believed at once",
		file: "topology/belief.go",
		from: "remove() { b.suspicion++ }",
		to:   "remove() {}",
		in:   "topology", test: "TestSuspectedMemberHasToAcknowledge",
	},
	{
		bug:  "what is said to be held is believed of a peer that was taken for down",
		file: "topology/belief.go",
		from: "return !down && b.ping.Sees.Of(b.self).Acknowledged == b.suspicion",
		to:   "return !down",
		in:   "topology", test: "TestSuspectedMemberHasToAcknowledge",
	},
	{
		bug:  "the suspicion epoch does not grow when the peer is back",
		file: "topology/belief.go",
		from: "if b.suspicion > 0 {",
		to:   "if false {",
		in:   "topology", test: "TestSuspectedMemberHasToAcknowledge",
	},
	{
		bug:  "a write is acknowledged among others though others have gone on meanwhile",
		file: "replicate/pending.go",
		from: "if !good() {",
		to:   "if false {",
		in:   "replicate", test: "TestFencedOperationsAreNotAcknowledged",
	},
	{
		bug:  "a write is acknowledged though others have gone on meanwhile",
		file: "replicate/attempt.go",
		from: "return a.p.fence == a.board.Fence() && !a.board.Lapsed()",
		to:   "return !a.board.Lapsed()",
		in:   "replicate", test: "TestFencedOperationsAreNotAcknowledged",
	},
	{
		bug:  "a node goes on without a member that has left one probe without an answer",
		file: "topology/prober.go",
		from: "if verdict = p.exhausted(); verdict {\n\t\t\tp.m.fall(errSilent)",
		to:   "if p.exhausted() {\n\t\t\tp.m.fall(errSilent)",
		in:   "topology", test: "TestUnheardMemberHasToBeDown",
	},
	{
		bug:  "a question proves that the last ping was heard, whatever it names",
		file: "topology/pair.go",
		from: "heard := m.sent.of(p.Heard)",
		to:   "heard := m.sent.latest()",
		in:   "topology", test: "TestQuestionProvesWhatItNames",
	},
	{
		bug:  "a question proves something however long it was on its way",
		file: "topology/pair.go",
		from: "return *heard, rtt, rtt <= patience",
		to:   "return *heard, rtt, true",
		in:   "topology", test: "TestQuestionProvesWhatItNames",
	},

	// Rings.
	{
		bug:  "writes go to the ring that is read alone",
		file: "placement/view.go",
		from: "for i, t := range v.Writes {\n\t\t\tfor",
		to:   "for i, t := range v.Writes[:1] {\n\t\t\tfor",
		in:   "dataplane", test: "TestWritesGoToBothRings",
	},
	{
		bug:  "a ring is let go of while others want it",
		file: "rebalance/rebalance.go",
		from: "wanted = append(wanted, m.Said.Wants...)",
		to:   "_ = m",
		in:   "rebalance", test: "TestRingsOfOthersAreWantedAndWritten",
	},
	{
		bug:  "a node coordinates before it has heard of all",
		file: "rebalance/rebalance.go",
		from: "\treturn s.caught\n",
		to:   "\treturn true\n",
		in:   "rebalance", test: "TestNodeCoordinatesOnceItIsCountedOn",
	},
	{
		bug:  "hand-over drops when one owner has confirmed",
		file: "antientropy/handover.go",
		from: "\t\t\treturn err\n\t\t}\n\t}\n\tif !g.own.store.DropIf",
		to:   "\t\t\treturn err\n\t\t}\n\t\tbreak\n\t}\n\tif !g.own.store.DropIf",
		in:   "dataplane", test: "TestNothingIsDroppedBeforeItsOwnersHaveIt",
	},

	// Conditions.
	{
		bug:  "a condition is decided before all read by the ring",
		file: "rebalance/rebalance.go",
		from: "m.Answered < s.readsAt || m.Said.Reads != s.reads) {",
		to:   "m.Answered < s.readsAt) {",
		in:   "rebalance", test: "TestConditionsAreDecidedOnceAllReadByTheSameRing",
	},
	{
		bug:  "a condition is decided before all acknowledge the primary epoch",
		file: "topology/primacy.go",
		from: "if !t.primacy.acknowledged() {",
		to:   "if false {",
		in:   "dataplane", test: "TestPrimaryThatComesBackKnowsWhatOthersDecided",
	},
	{
		bug:  "a node decides in another's place without an epoch of its own",
		file: "topology/member.go",
		from: "if m.peer.InSync() {\n\t\tm.t.primacy.departs()",
		to:   "if false {\n\t\tm.t.primacy.departs()",
		in:   "dataplane", test: "TestSuccessorKnowsWhatWasDecided",
	},
	{
		bug:  "a condition is decided though an earlier owner is in sync",
		file: "topology/primacy.go",
		from: "if p.Up() && p.InSync() {\n\t\t\tt.Probe(p)",
		to:   "if false {\n\t\t\tt.Probe(p)",
		in:   "topology", test: "TestOnePrimary",
	},

	// Operations.
	{
		bug:  "a run that was declined gets another stamp",
		file: "replicate/decide.go",
		from: "if op.Version == 0 {",
		to:   "if true {",
		in:   "dataplane", test: "TestDeclinedRunTakesEffectOnce",
	},
	{
		bug:  "w=all is acknowledged after one",
		file: "replicate/operation.go",
		from: "return o.required + o.extra }",
		to:   "return min(1, o.required+o.extra) }",
		in:   simnet, test: simulation,
	},
	{
		bug:  "w=live is acknowledged by an owner to come alone",
		file: "replicate/write.go",
		from: "next.extra = uint8(owners - a.v.Replicas)",
		to:   "if !next.live {\n\t\tnext.extra = uint8(owners - a.v.Replicas)\n\t}",
		in:   "dataplane", test: "TestLiveNeedsAnOwnerThatIsRead",
	},
	{
		bug:  "an owner to come tells which of two writes was first",
		file: "replicate/operation.go",
		from: "o.concede = o.concede || owner < o.readers",
		to:   "o.concede = true",
		in:   "dataplane", test: "TestOwnerToComeSaysNothingOfTheOrder",
	},
	{
		bug:  "a stale write is acknowledged",
		file: "replicate/operation.go",
		from: "case wire.Stale:\n\t\to.newer++",
		to:   "case wire.Stale:\n\t\to.acks++",
		in:   simnet, test: simulation,
	},
	{
		bug:  "a quorum read is answered from one",
		file: "replicate/quorum.go",
		from: "required: uint8(op.Required), waiting",
		to:   "required: 1, waiting",
		in:   simnet, test: simulation,
	},
	{
		bug:  "a read does not repair who is behind",
		file: "replicate/quorum.go",
		from: "extra, behind := 0, g.older()&^g.behind",
		to:   "extra, behind := 0, ownerSet(0)",
		in:   simnet, test: simulation,
	},
	{
		bug:  "absence is believed of readers without authority while the ring changes",
		file: "replicate/quorum.go",
		from: "absent && o.acks == 0 || !g.found.Exists() && o.acks < o.required && a.v.Moving() {",
		to:   "absent && o.acks == 0 {",
		in:   "dataplane", test: "TestAbsenceWhileTheRingChanges",
	},
	{
		bug:  "a small step of the machine's clock goes into stamps at once",
		file: "kv/wall.go",
		from: "most := passed / slewShare",
		to:   "most := stepMin",
		in:   "kv", test: "TestWallMakesUpForSmallSteps",
	},
	{
		bug:  "values expire by a clock that was not compared",
		file: "topology/step.go",
		from: "if close(s.ready); s.opt.Wall != nil {",
		to:   "if close(s.ready); false {",
		in:   "topology", test: "TestNothingExpiresBeforeClocksAreCompared",
	},
	{
		bug:  "a member that is not in sync leads others' stamps",
		file: "topology/stamps.go",
		from: "ok && r.established && !m.down()",
		to:   "ok && !m.down()",
		in:   "topology", test: "TestLeadIsThatOfMembersInSync",
	},
	{
		bug:  "a node that has just started meets others however far before what is on its disk",
		file: "topology/clocks.go",
		from: "ahead > 0 {",
		to:   "ahead < 0 {",
		in:   "topology", test: "TestNodesThatStartAgainTakeEachOtherForMembers",
	},
	{
		bug:  "what others stamp counts as what was on the disk",
		file: "kv/version.go",
		from: "raise(&c.last, seen)\n\treturn true",
		to:   "c.Resume(v)\n\treturn true",
		in:   "kv", test: "TestResumedIsWhatWasStored",
	},
	{
		bug:  "the clock of a member that is down, and has asked, does not count",
		file: "topology/stamps.go",
		from: "return !m.down() || m.belief.asked.After(m.belief.failed)",
		to:   "return !m.down()",
		in:   "topology", test: "TestLagIsThatOfAProcess",
	},
	{
		bug:  "sync skips tombstones",
		file: "antientropy/holdings.go",
		from: "|| r.Collectable(now, h.grace) {",
		to:   "|| r.Tombstone || now < 0 {",
		in:   simnet, test: simulation,
	},

	{
		bug:  "the end of a flight does not wake the sender of a peer that is coming back",
		file: "peer/enqueue.go",
		from: "return p.flight == nil && (p.hintedLocked() || p.State() != Down",
		to:   "return p.flight == nil && (p.hintedLocked() && len(p.queue.batches) > 0 || p.State() != Down",
		in:   "peer", test: "TestPeerComesUpAfterACarriedFlight",
	},

	// What primaries decide.
	{
		bug:  "a decision that is sent twice is carried out twice",
		file: "shard/apply.go",
		from: "if held.Version == r.Version {",
		to:   "if false {",
		in:   "dataplane", test: "TestSumWhoseAnswerIsLost",
	},
	{
		bug:  "an outcome of what was sent twice is believed, whatever the first try has done",
		file: "peer/sender.go",
		from: "it.Kind.Mode() == kv.ModeDecide && !r.Changed {",
		to:   "it.Kind.Mode() == kv.ModeDecide && false {",
		in:   "dataplane", test: "TestConditionalWriteWhoseAnswerIsLost",
	},
	{
		bug:  "what follows in a run has the outcome of what leads it",
		file: "replicate/ruling.go",
		from: "op.Err, op.Existed, op.Number = r.Err, r.Existed, r.Number",
		to:   "op.Err, op.Existed, op.Number = p.results[d.results].Err, r.Existed, r.Number",
		in:   "dataplane", test: "TestRunHasAnOutcomeForEach",
	},
	{
		bug:  "a run that a put leads is not decided",
		file: "replicate/run.go",
		from: "\t\treturn kv.ModeDecide\n",
		to:   "\t\treturn call.Ops[i].Mode()\n",
		in:   "dataplane", test: "TestRunWhoeverCoordinatesIt",
	},
	{
		bug:  "a condition is looked at after the change",
		file: "kv/update.go",
		from: "\tswitch {\n\tcase op.Kind == OpExpire && !r.Existed:",
		to:   "\ts.change(op, r)\n\tswitch {\n\tcase op.Kind == OpExpire && !r.Existed:",
		in:   "kv", test: "TestConditionsOfUpdates",
	},
	{
		bug:  "an update loses the expiry and the metadata",
		file: "kv/decision.go",
		from: "if !s.live() {",
		to:   "if s.Decision != nil {",
		in:   "kv", test: "TestWhatOperationsMake",
	},
	{
		bug:  "what a decision makes lies in the memory of the store",
		file: "kv/decision.go",
		from: "s.entry.Meta = s.copy(s.entry.Meta)",
		to:   "_ = s.found",
		in:   "kv", test: "TestWhatOperationsMake",
	},
	{
		bug:  "a deletion that was decided goes to the other owners as a value",
		file: "replicate/ruling.go",
		from: "\t\tstamp(op, op.Version)\n",
		to:   "\t\top.Err = nil\n",
		in:   "dataplane", test: "TestConditionsOnVersions",
	},
	{
		bug:  "a read of several owners is part of a run",
		file: "replicate/run.go",
		from: "several && call.Ops[i].Mode()",
		to:   "false && several && call.Ops[i].Mode()",
		in:   "dataplane", test: "TestDeadlineInAStage",
	},
	{
		bug:  "what waits for another operation of its call is never begun",
		file: "replicate/attempt.go",
		from: "if held < 0 || !a.p.release(held) {",
		to:   "if held < 0 || a.p.runs.staged || !a.p.release(held) {",
		in:   "dataplane", test: "TestDecidedOperationGoesOn",
	},
	{
		bug:  "what was decided goes on when all else of its call is there",
		file: "replicate/pending.go",
		from: "p.due = p.due || o.phase == phaseDecide || p.runs.staged",
		to:   "p.due = p.due && o.phase == phaseDecide",
		in:   "dataplane", test: "TestDecidedOperationGoesOn",
	},

	// What lasts on disks.
	{
		bug:  "an owner acknowledges what is not durable",
		file: "replicate/serve.go",
		from: "if why := s.store.Durable(time.Time{}); why != nil {",
		to:   "if why := error(nil); why != nil {",
		in:   "replicate", test: "TestFailedSyncIsNoAcknowledgement",
	},
	{
		bug:  "a coordinator counts what is not durable at itself",
		file: "replicate/attempt.go",
		from: "if why := a.replica.store.Durable(a.call.Deadline); why != nil {",
		to:   "if why := error(nil); why != nil {",
		in:   "replicate", test: "TestFailedSyncIsNoAcknowledgement",
	},
	{
		bug:  "a write that an owner has in memory alone gets a second stamp",
		file: "replicate/operation.go",
		from: "o.lost = o.lost || errors.Is(why, kv.ErrNotDurable)",
		to:   "",
		in:   "replicate", test: "TestNotDurableIsNotStampedAgain",
	},
	{
		bug:  "a partition is dropped before it is on the disks of its owners",
		file: "antientropy/serve.go",
		from: "if level == wire.OnDisk {",
		to:   "if false {",
		in:   "antientropy", test: "TestHandOverWaitsForTheDisksOfOwners",
	},
	{
		bug:  "a partition is dropped once its owners have acknowledged it by their own settings",
		file: "antientropy/handover.go",
		from: "_, err = o.digests(wire.OnDisk, part)",
		to:   "",
		in:   "antientropy", test: "TestHandOverWaitsForTheDisksOfOwners",
	},
	{
		bug:  "a partition is dropped after its owner was restarted",
		file: "antientropy/handover.go",
		from: "o.boot = func(*peer.Peer) uint64 { return boot }",
		to:   "_ = boot",
		in:   "antientropy", test: "TestHandOverIsToOneProcess",
	},
	{
		bug:  "what expires while no process runs has less grace",
		file: "kv/grace.go",
		from: "max(dead, g.OffFrom))",
		to:   "g.OffFrom)*max(0, min(1, g.OffFrom+1-dead))",
		in:   "kv", test: "TestGraceDoesNotCountTimeOff",
	},

	// The log on the disk.
	{
		bug:  "a segment does not count before its copies are synced",
		file: "disk/clean.go",
		from: "\tif err := c.Sync(); err != nil { // nobody may read of it before\n\t\treturn err\n\t}\n\tnext := c.files.withoutFirst()\n",
		to:   "\tnext := c.files.withoutFirst()\n\tif err := c.Sync(); err != nil {\n\t\treturn err\n\t}\n",
		in:   "disk", test: "TestPowerCutWhileLargeSegmentIsCleaned",
	},
	{
		bug:  "a segment is removed before the note that it does not count is synced",
		file: "disk/clean.go",
		from: "return appendFirst(dst, next) })\n\tif err := c.Sync(); err != nil {",
		to:   "return appendFirst(dst, next) })\n\tif err := error(nil); err != nil {",
		in:   "disk", test: "TestPowerCuts",
	},
	{
		bug:  "what was written again after a failed sync is believed before it is synced",
		file: "disk/renew.go",
		from: "if err := c.syncFiles(); err != nil {",
		to:   "if err := error(nil); err != nil {",
		in:   "disk", test: "TestPowerCutAfterFailedSyncs",
	},
	{
		bug:  "a segment that is full is not synced",
		file: "disk/segment.go",
		from: "append(slices.Clone(dirty), active)",
		to:   "[]File{active}",
		in:   "disk", test: "TestPowerCuts",
	},
	{
		bug:  "what a failed sync has not made last counts",
		file: "disk/segment.go",
		from: "f.void, f.broken = f.syncedTo, false",
		to:   "f.broken = false",
		in:   "disk", test: "TestPowerCutAfterFailedSyncs",
	},
	{
		bug:  "what is damaged is taken for whole",
		file: "disk/walk.go",
		from: "if !b.whole() {",
		to:   "if false {",
		in:   "disk", test: "TestDamageIsKnown",
	},
	{
		bug:  "what is found is not synced before it is said to be",
		file: "disk/load.go",
		from: "err := l.syncLoaded()",
		to:   "err := error(nil)",
		in:   "disk", test: "TestWhatIsFoundLasts",
	},
	{
		bug:  "a change is said to last with the round before it",
		file: "disk/log.go",
		from: "\t\t\tneed++\n",
		in:   "disk", test: "TestBackupHasAllThatWasAcknowledged",
	},
	{
		bug:  "who waits for a sync is not told that it has failed",
		file: "disk/progress.go",
		from: "if err := fault(); err != nil {",
		to:   "if err := fault(); err != nil && false {",
		in:   "disk", test: "TestFailedSyncIsTold",
	},
	{
		bug:  "changes are taken while the disk takes none",
		file: "disk/log.go",
		from: "l.faults.refuse(delete); err != nil &&",
		to:   "l.faults.refuse(delete); err != nil && false &&",
		in:   "disk", test: "TestFailedSyncIsTold",
	},
	{
		bug:  "a log that is mended keeps what was damaged",
		file: "disk/clean.go",
		from: "case uint64(oldest.number) <= mend && count > 1:",
		to:   "case uint64(oldest.number) <= mend && count > 1<<40:",
		in:   "disk", test: "TestMend",
	},
	{
		bug:  "a tombstone that could be collected does not take the place of what it deleted",
		file: "shard/window.go",
		from: "terms{restore: true}",
		to:   "terms{}",
		in:   "disk", test: "TestWhatWasDeletedStaysDeleted",
	},
	{
		bug:  "what a log with a damaged part holds is believed",
		file: "antientropy/suspect.go",
		from: "if !p.suspects.parts[part] {",
		to:   "if true {",
		in:   "antientropy", test: "TestWhatIsSuspectIsFetchedAnew",
	},
	{
		bug:  "what lacks of a file that was cut is not written again",
		file: "disk/clean.go",
		from: "if int64(len(data)) < oldest.size {",
		to:   "if false {",
		in:   "disk", test: "TestWhatWasCutIsWrittenAgain",
	},
	{
		bug:  "what was emptied was in sync",
		file: "disk/load.go",
		from: "l.KeepInSync(time.UnixMilli(0))",
		to:   "l.loaded.inSync.Store(0)",
		in:   "disk", test: "TestEmpty",
	},
	{
		bug:  "nobody knows since when a log has what it has",
		file: "disk/load.go",
		from: "m.Began = l.opt.Now().UnixMilli()",
		to:   "m.Began += 0",
		in:   "disk", test: "TestEmpty",
	},
	{
		bug:  "a node that was never in sync gives up what it has stored since its log was made",
		file: "node/start.go",
		from: "max(at, membership.Millis(n.cfg.Disk.Began()))",
		to:   "at",
		in:   "node", test: "TestWhoWasNeverInSyncKeepsWhatItStored",
	},
	{
		bug:  "a peer that was restarted is not looked at when it is in sync",
		file: "antientropy/drift.go",
		from: "r.owed = later",
		to:   "r.owed = nil",
		in:   "antientropy", test: "TestWhoWasRestartedIsLookedAt",
	},
	{
		bug:  "a backup does not keep its segments",
		file: "disk/segment.go",
		from: "return f.backups == 0 || s.number > f.pinned",
		to:   "return true",
		in:   "disk", test: "TestABackupKeepsItsSegmentsAlone",
	},
	{
		bug:  "what was given up counts again, since a later segment knows of it",
		file: "disk/load.go",
		from: "case void == 0 || begin < void:",
		to:   "default:",
		in:   "disk", test: "TestPowerCutAfterFailedSyncs",
	},
	{
		bug:  "what is left in a file that is used again is taken for the log",
		file: "disk/block.go",
		from: "seed() uint64 { return uint64(p) }",
		to:   "seed() uint64 { return 0 }",
		in:   "disk", test: "TestABlockCountsWhereItWasWritten",
	},
	{
		bug:  "a segment that was synced is not missed",
		file: "disk/load.go",
		from: "last := p.synced.segment(); last > 0 &&",
		to:   "last := p.synced.segment(); last > 1<<29 &&",
		in:   "disk", test: "TestMissingFilesAreKnown",
	},
	{
		bug:  "a log says that it ends behind what is synced",
		file: "disk/log.go",
		from: "_, err = l.files.sync() // the cleaner",
		to:   "// the cleaner",
		in:   "disk", test: "TestCloseSyncsWhatIsAppendedMeanwhile",
	},
	{
		bug:  "damage that came after the load is skipped",
		file: "disk/clean.go",
		from: "c.loaded.noted[at(w.number, w.lostAt)]",
		to:   "uint64(w.number) <= c.mend.Load()",
		in:   "disk", test: "TestMoreDamageWhileItIsMended",
	},
	{
		bug:  "damage is cleaned away before it is mended",
		file: "disk/clean.go",
		from: "case c.loaded.damage != nil && mend == 0:",
		to:   "case false:",
		in:   "disk", test: "TestDamageIsNotCleanedAway",
	},
	{
		bug:  "deletes pass the bound on a directory",
		file: "disk/bound.go",
		from: "l.faults.bounded(boundAll, used, bound)",
		to:   "l.faults.bounded(boundMost, used, bound)",
		in:   "disk", test: "TestDeletesAtTheBound",
	},
	{
		bug:  "all that memory holds waits to be written again",
		file: "disk/clean.go",
		from: "	c.awaitTaken()\n",
		to:   "	if c.full.Load() { c.awaitRoom() }\n",
		in:   "disk", test: "TestWritingAgainIsHeldBack",
	},
	{
		bug:  "the store is emptied before the log is closed that goes by it",
		file: "node/node.go",
		from: "n.unplug(), n.closeDisk(), n.store.Close())",
		to:   "n.unwire(), n.closeDisk())",
		in:   "node", test: "TestTheDiskIsClosedFirst",
	},
	{
		bug:  "a node that waits for an owner hears of no deletes",
		file: "antientropy/repairer.go",
		from: "		r.keepUp()\n",
		to:   "",
		in:   "antientropy", test: "TestWhoWaitsKeepsUp",
	},
	{
		bug:  "a commit waits for the meta",
		file: "disk/keep.go",
		from: "	signal(l.kept.now)\n",
		to:   "	_ = l.keepDue()\n",
		in:   "disk", test: "TestNobodyWaitsForTheMeta",
	},
	{
		bug:  "a meta that cannot be written is forgotten",
		file: "disk/keep.go",
		from: "k.due, k.failed = k.due || err != nil, err != nil",
		to:   "k.due, k.failed = false, err != nil",
		in:   "disk", test: "TestMembersAreKept",
	},
	{
		bug:  "what was written since the start is forgotten with what is suspect",
		file: "antientropy/suspect.go",
		from: "if r.Version > p.suspects.upTo {",
		to:   "if false {",
		in:   "antientropy", test: "TestWhatIsSuspectIsFetchedAnew",
	},
	{
		bug:  "members are kept before they are whole on the disk",
		file: "disk/meta.go",
		from: "\t\terr = f.Sync()\n",
		in:   "disk", test: "TestMembersAreKept",
	},
	{
		bug:  "what lies behind a torn block counts",
		file: "disk/replay.go",
		from: "return blocks, end, true",
		to:   "end = w.offset",
		in:   "disk", test: "TestPowerCuts",
	},

	// Connections.
	{
		bug:  "a write to a socket ends where the kernel takes no more",
		file: "internal/nonblock/conn_linux.go",
		from: "return errno != syscall.EAGAIN",
		to:   "return true",
		in:   "internal/nonblock", test: "TestEverythingArrives",
	},
	{
		bug:  "a read of a socket that finds nothing is the end",
		file: "internal/nonblock/conn_linux.go",
		from: "return t.errno != syscall.EAGAIN",
		to:   "return true",
		in:   "internal/nonblock", test: "TestErrorsAreThoseOfNet",
	},
	{
		bug:  "the end of a connection is no error",
		file: "internal/nonblock/conn_linux.go",
		from: "case n == 0:",
		to:   "case n < 0:",
		in:   "internal/nonblock", test: "TestErrorsAreThoseOfNet",
	},
}

const (
	metAlways = `			t.mu.replaceView()
		}
		m.mu.Lock()
		m.belief.metAt = last
		m.mu.Unlock()
`
	metWithAView = `			t.mu.replaceView()
			m.mu.Lock()
			m.belief.metAt = last
			m.mu.Unlock()
		}
`
)
