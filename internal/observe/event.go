package observe

import "github.com/gobellhop/bellhop"

// Counted is what counters make of an event.
type Counted struct {
	What What
	// Outcome names how an attempt ended: "succeeded", "retried"; for [Ended].
	Outcome string
	// Ran says that the attempt's handler was started, so that the event tells how long it waited and ran; for [Ended].
	Ran bool
}

// What is the kind of thing that is counted.
type What uint8

// What an event may be.
const (
	Nothing  What = iota // of no attempt, or not an end: not counted
	Enqueued             // a job came into being through this process
	Lost                 // an attempt had lost its claim
	Ended                // an attempt ended, and changed its job
)

// outcomes are the names of ends, the same in all metrics.
var outcomes = map[bellhop.EventType]string{
	bellhop.EventSucceeded: "succeeded", bellhop.EventRetried: "retried", bellhop.EventSnoozed: "snoozed",
	bellhop.EventDiscarded: "discarded", bellhop.EventDied: "dead", bellhop.EventCancelled: "cancelled",
	bellhop.EventHandedBack: "handed_back", bellhop.EventSwept: "swept", bellhop.EventBlocked: "blocked",
}

// Count sorts an event for counters. Those of a person's action name the job only, and are not counted.
func Count(e bellhop.Event) Counted {
	switch outcome := outcomes[e.Type]; {
	case e.Kind == "":
		return Counted{}
	case e.Stale:
		return Counted{What: Lost}
	case e.Type == bellhop.EventEnqueued:
		return Counted{What: Enqueued}
	case e.Claim == 0 || outcome == "":
		return Counted{}
	default:
		return Counted{What: Ended, Outcome: outcome, Ran: e.Took > 0 || e.Waited > 0}
	}
}
