package kv

import (
	"errors"
	"fmt"
)

// What can go wrong with a key, in the words of the layer that finds out.
// Each is matched with errors.Is and turned into a status in one table of
// package server.
var (
	// Input that no node can accept.
	ErrKeyEmpty       = errors.New("the key is empty")
	ErrKeyTooLong     = errors.New("the key is longer than --max-key-bytes")
	ErrValueTooLarge  = errors.New("the value is larger than --max-value-bytes")
	ErrMetaTooLong    = errors.New("too long: Content-Type, Cache-Control and Content-Encoding may have 255 bytes together")
	ErrMetaControl    = errors.New("control characters")
	ErrMetaNotUTF8    = errors.New("bytes that are not UTF-8")
	ErrExpiresTooLate = errors.New("expires is after the year 9999: leave it out to keep the value for ever")
	ErrLevel          = errors.New("the level asks for more replicas than a key has")

	// ErrFormat is for bytes that no encoder of ours wrote; ErrShort for ones
	// that end too early and might become a record when more arrive.
	ErrFormat = errors.New("malformed record")
	ErrShort  = errors.New("record cut short")

	// Answers about the key.
	ErrNotFound        = errors.New("no such key")
	ErrConditionFailed = errors.New("the condition does not hold")

	// Why an update is not done: the value that is there does not fit it.
	ErrNotInteger = errors.New("the value is no decimal integer of 64 bits")
	ErrNotFloat   = errors.New("the value, or what is to be added, is no decimal number")
	ErrOverflow   = errors.New("the sum is beyond an integer of 64 bits")
	ErrInfinite   = errors.New("the sum is infinite, or no number")

	// ErrNoMemory: a replica is at its --max-memory and the write needs more.
	ErrNoMemory = errors.New("a replica has no memory left for this write")

	// ErrNoDisk: a replica keeps what it holds on a disk as well, and cannot write there.
	ErrNoDisk = errors.New("a replica cannot write to its disk")

	// ErrDiskFull is an ErrNoDisk for which there is no room, within --max-disk or at all.
	ErrDiskFull = fmt.Errorf("%w: it is full", ErrNoDisk)

	// ErrNotDurable is an ErrNoDisk of a replica that has the write in memory already. Readers may
	// see it, and it may be lost.
	ErrNotDurable = fmt.Errorf("%w: it has the write in memory alone", ErrNoDisk)

	// ErrFilled is an ErrNotDurable of a replica whose disk is full, and so an ErrDiskFull as well.
	ErrFilled error = filled{}

	// ErrRefused: a replica is up and does not take the record.
	ErrRefused = errors.New("a replica refuses the write: its limits are lower, or its clock is far behind")

	// ErrUnavailable: too few replicas are up to meet the level. A write may
	// still appear.
	ErrUnavailable = errors.New("too few replicas are up")

	// ErrNoPrimary is an ErrUnavailable of what a key's primary decides: owners are up, and none
	// that this node reaches is the primary.
	ErrNoPrimary error = noPrimary{}

	// ErrTimeout: the level was not met in time. A write may still appear.
	ErrTimeout = errors.New("too few replicas answered in time")

	// ErrAbsenceUnknown: no replica that is up has the key, but none of them
	// is known to hold everything either, so it may exist.
	ErrAbsenceUnknown = errors.New("no replica that holds everything is up, so the key may exist")

	// ErrUnknownOutcome: a conditional write may or may not have been applied.
	ErrUnknownOutcome = errors.New("the connection to the key's primary broke while it decided; the write may or may not have been applied")

	// ErrAnswerFull: the value that a get found is beyond Call.MaxBytes.
	ErrAnswerFull = errors.New("the values found are more than one answer holds")

	// ErrAnswersHeld: Call.Hold has no memory for the value that a get found.
	ErrAnswersHeld = errors.New("too many answers wait in memory for their clients")

	// ErrUndecided is an ErrAnswersHeld of what a key's primary decides: Call.Hold has no memory
	// for what that copies. Nothing was done, and what is there is not known.
	ErrUndecided = fmt.Errorf("%w, or are being made", ErrAnswersHeld)

	// ErrOverloaded: a queue is at its bound; nothing was done.
	ErrOverloaded = errors.New("the node is overloaded")

	// ErrNoCluster: the node is part of no cluster yet; nothing was done.
	ErrNoCluster = errors.New("this node is part of no cluster yet")

	// ErrStarting: the node has been started, and does not serve yet; nothing was done.
	ErrStarting = errors.New("this node is starting")

	// ErrUnheard: the node was started a moment ago, or the others took it for down, and not all
	// members that are up have taken note that it is there; nothing was done.
	ErrUnheard = errors.New("this node was started or cut off a moment ago, and not all members have taken note of it yet")

	// ErrStopping: the node is shutting down.
	ErrStopping = errors.New("the node is stopping")
)

type filled struct{}

func (filled) Error() string { return ErrDiskFull.Error() + ", and it has the write in memory alone" }

func (filled) Is(target error) bool {
	return target == ErrDiskFull || target == ErrNotDurable || target == ErrNoDisk
}

type noPrimary struct{}

func (noPrimary) Error() string { return "no owner that this node reaches is the key's primary" }

func (noPrimary) Is(target error) bool { return target == ErrUnavailable }

// NotDurable is the error of a replica that has the write in memory, and cannot write it to its
// disk for that reason.
func NotDurable(why error) error {
	if errors.Is(why, ErrDiskFull) {
		return ErrFilled
	}
	return ErrNotDurable
}

// NoRoom says whether a replica refuses for want of room, in memory or on its disk. It holds what
// it held before, and it is behind: others may have what it has refused.
func NoRoom(err error) bool { return errors.Is(err, ErrNoMemory) || errors.Is(err, ErrNoDisk) }
