package bellhop

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// State says where a job is now. Every job is in exactly one of eight states.
//
// The numbers are part of the stored format and never change; the zero State
// means "no state" and is never stored.
type State uint8

// The eight states. The first three are waiting, the last four final.
const (
	StateScheduled State = 1 // due later: a first run, a retry, a snooze
	StateBlocked   State = 2 // waits for something other than time: jobs, a free place, an event
	StateReady     State = 3 // may be claimed now
	StateRunning   State = 4 // claimed by a process
	StateSucceeded State = 5 // done
	StateDiscarded State = 6 // given up as no longer needed
	StateCancelled State = 7 // stopped by a person, the API or a workflow
	StateDead      State = 8 // failed too often, crashed its process, or sent there; waits for a person
)

var stateNames = [...]string{"", "scheduled", "blocked", "ready", "running", "succeeded", "discarded", "cancelled", "dead"}

// String returns the state's name in lower case, as used in the API, on pages and in queries.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// Valid reports whether s is one of the eight states.
func (s State) Valid() bool { return s >= StateScheduled && s <= StateDead }

// Waiting reports whether a job in s has yet to be claimed: scheduled, blocked or ready.
func (s State) Waiting() bool { return s >= StateScheduled && s <= StateReady }

// Final reports whether s is an end: succeeded, discarded, cancelled or dead.
// Only a person's retry leads out of a final state.
func (s State) Final() bool { return s >= StateSucceeded && s <= StateDead }

// Live reports whether a job in s may still run by itself: waiting or running.
// A unique key is held exactly while its job is live.
func (s State) Live() bool { return s >= StateScheduled && s <= StateRunning }

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) {
	if !s.Valid() {
		return nil, fmt.Errorf("state %d is not one of the eight states", uint8(s))
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(text []byte) error {
	v, err := ParseState(string(text))
	if err == nil {
		*s = v
	}
	return err
}

// ParseState returns the state with the given name. The error lists the names.
func ParseState(name string) (State, error) {
	for i, n := range stateNames {
		if i > 0 && n == name {
			return State(i), nil
		}
	}
	return 0, fmt.Errorf("state %.64q is unknown; the states are %s", name, strings.Join(stateNames[1:], ", "))
}

// StateSet is a set of states. The zero set is empty; in a [Filter] an empty set means any state.
type StateSet uint16

// States makes a set.
func States(states ...State) StateSet {
	var set StateSet
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

// AllStates holds all eight.
const AllStates StateSet = 0b1_1111_1110

// Has reports whether s is in the set.
func (set StateSet) Has(s State) bool { return set&(1<<s) != 0 }

// Len returns how many states the set holds.
func (set StateSet) Len() int { return bits.OnesCount16(uint16(set)) }

// List returns the states of the set in their order of declaration.
func (set StateSet) List() []State {
	var list []State
	for s := StateScheduled; s <= StateDead; s++ {
		if set.Has(s) {
			list = append(list, s)
		}
	}
	return list
}

// first returns the state of the set that was declared first; 0 if the set is empty.
func (set StateSet) first() State {
	if set == 0 {
		return 0
	}
	return State(bits.TrailingZeros16(uint16(set)))
}

// String returns the names, separated by "|".
func (set StateSet) String() string {
	var names []string
	for _, s := range set.List() {
		names = append(names, s.String())
	}
	return strings.Join(names, "|")
}

// EventType names a transition: what happened to a job. Each has one row in
// the transition table; listeners receive an [Event] for each.
type EventType uint8

// The transitions.
const (
	EventEnqueued   EventType = iota + 1 // came into being
	EventPromoted                        // became due
	EventBlocked                         // began to wait for something other than time
	EventUnblocked                       // what it waited for has come
	EventClaimed                         // a process took it
	EventSucceeded                       // its handler returned nil
	EventRetried                         // its handler failed; it will run again after a wait
	EventSnoozed                         // its handler asked to run later; no failure
	EventDiscarded                       // no longer needed
	EventDied                            // failed for good; waits for a person
	EventCancelled                       // stopped on request
	EventHandedBack                      // its process gave it back without having run it, or cut it short at shutdown
	EventSwept                           // its process is gone; taken back
	EventRunNow                          // a person would not wait until it is due
	EventRunAgain                        // a person retried a finished job: a new generation
	EventDeleted                         // removed with its history
)

var eventNames = [...]string{
	"", "enqueued", "promoted", "blocked", "unblocked", "claimed", "succeeded", "retried", "snoozed",
	"discarded", "died", "cancelled", "handed back", "swept", "run now", "run again", "deleted",
}

// String returns the transition's name: "succeeded", "handed back".
func (e EventType) String() string {
	if e == 0 || int(e) >= len(eventNames) {
		return fmt.Sprintf("EventType(%d)", uint8(e))
	}
	return eventNames[e]
}

const (
	waiting StateSet = 1<<StateScheduled | 1<<StateBlocked | 1<<StateReady
	final   StateSet = 1<<StateSucceeded | 1<<StateDiscarded | 1<<StateCancelled | 1<<StateDead
)

// transitions is the one place that says what may follow what. A store has no
// such rule of its own: it is told the states to move from and to.
var transitions = [...]struct{ from, to StateSet }{
	EventEnqueued:   {0, waiting},
	EventPromoted:   {1 << StateScheduled, 1 << StateReady},
	EventBlocked:    {1<<StateScheduled | 1<<StateReady | 1<<StateRunning, 1 << StateBlocked},
	EventUnblocked:  {1 << StateBlocked, 1<<StateReady | 1<<StateScheduled},
	EventClaimed:    {1 << StateReady, 1 << StateRunning},
	EventSucceeded:  {1 << StateRunning, 1 << StateSucceeded},
	EventRetried:    {1 << StateRunning, 1 << StateScheduled},
	EventSnoozed:    {1 << StateRunning, 1 << StateScheduled},
	EventDiscarded:  {waiting | 1<<StateRunning | 1<<StateDead, 1 << StateDiscarded},
	EventDied:       {waiting | 1<<StateRunning, 1 << StateDead},
	EventCancelled:  {waiting | 1<<StateRunning, 1 << StateCancelled},
	EventHandedBack: {1 << StateRunning, 1 << StateReady},
	EventSwept:      {1 << StateRunning, 1 << StateReady},
	EventRunNow:     {1 << StateScheduled, 1 << StateReady},
	EventRunAgain:   {final, 1 << StateReady},
	EventDeleted:    {waiting | final, 0},
}

// From returns the states that the transition may start from; empty for [EventEnqueued].
func (e EventType) From() StateSet { return transitions[e.known()].from }

// To returns the states that the transition may lead to; empty for [EventDeleted].
func (e EventType) To() StateSet { return transitions[e.known()].to }

// Allows reports whether the transition may lead from one state to the other.
func (e EventType) Allows(from, to State) bool {
	return e.From().Has(from) && e.To().Has(to)
}

// known is e, or 0, which leads from nowhere to nowhere, if e is no transition.
func (e EventType) known() EventType {
	if int(e) < len(transitions) {
		return e
	}
	return 0
}

// Action is what a person or a program may do to jobs from outside. See [Store.Act].
type Action uint8

// The actions.
const (
	ActRetry   Action = iota + 1 // run a finished job again, as a new generation, with its history kept
	ActRunNow                    // make a scheduled job ready at once
	ActCancel                    // stop: a waiting job is cancelled at once, a running one has its context cancelled
	ActDiscard                   // give up a waiting or dead job as no longer needed
	ActDelete                    // remove a job that is not running, with its history
)

var actions = [...]struct {
	name  string
	event EventType
	from  StateSet
}{
	ActRetry:   {"retry", EventRunAgain, final},
	ActRunNow:  {"run", EventRunNow, 1 << StateScheduled},
	ActCancel:  {"cancel", EventCancelled, waiting | 1<<StateRunning},
	ActDiscard: {"discard", EventDiscarded, waiting | 1<<StateDead},
	ActDelete:  {"delete", EventDeleted, waiting | final},
}

// Valid reports whether a is one of the actions.
func (a Action) Valid() bool { return a >= ActRetry && a <= ActDelete }

// String returns the action's name as used in the API and on the command line: "retry", "run", ….
func (a Action) String() string {
	if !a.Valid() {
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
	return actions[a].name
}

// Event returns the transition that the action causes.
func (a Action) Event() EventType { return actions[a.known()].event }

func (a Action) known() Action {
	if a.Valid() {
		return a
	}
	return 0
}

// From returns the states in which the action means something. Jobs in other states are skipped and named.
func (a Action) From() StateSet { return actions[a.known()].from }

// To returns the state that the action leads to; 0 for [ActDelete].
func (a Action) To() State {
	return a.Event().To().first()
}

// ParseAction returns the action with the given name. The error lists the names.
func ParseAction(name string) (Action, error) {
	var names []string
	for a := ActRetry; a <= ActDelete; a++ {
		if actions[a].name == name {
			return a, nil
		}
		names = append(names, actions[a].name)
	}
	return 0, fmt.Errorf("action %.64q is unknown; the actions are %s", name, strings.Join(names, ", "))
}

// Forever as a retention means that a finished job is kept until a person deletes it.
const Forever time.Duration = -1

// How long finished jobs are kept when nothing else is said.
const (
	KeepSucceeded = 24 * time.Hour
	KeepDiscarded = 7 * 24 * time.Hour
	KeepCancelled = 7 * 24 * time.Hour
	KeepDead      = Forever
)

// Keep returns how long a job that ends in state s is kept: its own retention
// if it has one and did not die, else the default for the state. Dead jobs
// always wait for a person.
func (j *Job) Keep(s State) time.Duration {
	switch {
	case s == StateDead:
		return KeepDead
	case j.Retention != 0:
		return j.Retention
	case s == StateSucceeded:
		return KeepSucceeded
	case s == StateDiscarded:
		return KeepDiscarded
	}
	return KeepCancelled
}
