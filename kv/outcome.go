package kv

import "errors"

// OutcomeUnknown says whether a write that failed so, at the level of its call, may still appear:
// too few replicas are known to have it, or one has refused what another has stored or may get as a
// hint, or has it in memory alone. A get changes nothing, whatever becomes of it.
func (o *Op) OutcomeUnknown(w Level) bool {
	switch err := o.Err; {
	case o.Kind == OpGet:
		return false
	case errors.Is(err, ErrNotDurable):
		return true
	case NoRoom(err), errors.Is(err, ErrRefused):
		return o.Acks > 0 || o.Mode() == ModeMerge && !o.allAnswered(w)
	default:
		return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnknownOutcome)
	}
}

// allAnswered says whether every replica is known to have answered a write. At LevelLive, Required
// counts those that were up. At other levels it does not tell.
func (o *Op) allAnswered(w Level) bool {
	isLive := w == LevelLive || w == 0
	return o.Replicas == 1 || isLive && o.Required == o.Replicas
}
