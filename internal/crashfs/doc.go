// Package crashfs is a file system in memory that forgets at a power cut what was not synced, and
// that fails in the ways in which disks do. It implements [disk.FS] for tests and for simulations.
//
// # What a power cut leaves
//
// A file has the content that reads see, and the content that is on the disk for sure: that of the
// last Sync. [FS.Crash] draws what is found between the two:
//
//   - Each page of 4 KiB that was written since is there, or is not. A page that was written
//     several times may have one of its last few versions.
//   - A page may be torn: each of its sectors of 512 bytes is that of one version or of the next.
//   - The size is any between the synced one and the present one. What was never written reads as
//     zeros, so a file may have grown and have zeros where its data should be.
//   - Create empties a file that is there. Either that happened, with any of what was written
//     afterwards, or it did not and nothing that was written afterwards is there.
//
// Pages reach the disk in any order, and independently of names.
//
// A directory has the names that are seen, and those that are on the disk for sure: those of the
// last SyncDir. Of the changes since then a prefix has happened, as ext4's journal has it. A rename
// happens as a whole. Sync of a file does not make its name last, and SyncDir does not make the
// content of files last. A directory is itself a name in its parent. Prefixes of different
// directories are independent of each other, which is more than a journal does. So Rename stays
// within a directory.
//
// A file whose name is lost is lost. One that was removed without SyncDir may be back.
//
// [FS.Kill] ends the process alone. The kernel has what was written, so all of it is found. It is
// no safer than before: a power cut after that may take it.
//
// # What a failed Sync leaves
//
// The pages that it should have written are clean afterwards, without being on the disk. Reads
// still see them. A later Sync that succeeds leaves them out, unless they were written again. It
// does make the size last, so zeros may be where they should be. [FS.Evict] has reads see what is
// on the disk. A SyncDir that fails changes nothing: a later one may succeed.
//
// A Sync covers the writes that came before it. What is written while a slow one runs is for the
// next.
//
// # What is left out
//
// Blocks that show what a removed file once had, damage to neighbours of a torn sector, and disks
// that lie about having flushed. For damage at rest there are [FS.Flip], [FS.Zero],
// [FS.Truncate] and [FS.Vanish].
//
// # Sources
//
//   - Pillai et al., "All File Systems Are Not Created Equal: On the Complexity of Crafting
//     Crash-Consistent Applications", OSDI 2014 (ALICE): what file systems reorder and tear.
//   - Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020: that pages are
//     marked clean after a failed fsync, and what is read and found afterwards.
//
// # Concurrency
//
// All methods are safe for concurrent use. One lock guards a file system. Nothing blocks while it
// is held, so bubbles of testing/synctest may use it. A slow Sync does not hold it. Nothing is
// random but what a [Fate] draws: the same calls and the same draws find the same disk.
package crashfs
