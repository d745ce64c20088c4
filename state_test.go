package bellhop

import (
	"strings"
	"testing"
)

// The table is written out a second time, by hand, from the drawing of states:
// a change of the rule must be made in both.
func TestTransitions(t *testing.T) {
	want := map[EventType]string{
		EventEnqueued:   " > scheduled|blocked|ready",
		EventPromoted:   "scheduled > ready",
		EventBlocked:    "scheduled|ready|running > blocked",
		EventUnblocked:  "blocked > scheduled|ready",
		EventClaimed:    "ready > running",
		EventSucceeded:  "running > succeeded",
		EventRetried:    "running > scheduled",
		EventSnoozed:    "running > scheduled",
		EventDiscarded:  "scheduled|blocked|ready|running|dead > discarded",
		EventDied:       "scheduled|blocked|ready|running > dead",
		EventCancelled:  "scheduled|blocked|ready|running > cancelled",
		EventHandedBack: "running > ready",
		EventSwept:      "running > ready",
		EventRunNow:     "scheduled > ready",
		EventRunAgain:   "succeeded|discarded|cancelled|dead > ready",
		EventDeleted:    "scheduled|blocked|ready|succeeded|discarded|cancelled|dead > ",
	}
	if len(transitions)-1 != len(want) || len(eventNames) != len(transitions) {
		t.Fatalf("%d transitions, %d names, %d expected", len(transitions)-1, len(eventNames)-1, len(want))
	}
	for e, rule := range want {
		if got := e.From().String() + " > " + e.To().String(); got != rule {
			t.Errorf("%v: %s, want %s", e, got, rule)
		}
		for _, from := range AllStates.List() {
			for _, to := range AllStates.List() {
				if got := e.Allows(from, to); got != (e.From().Has(from) && e.To().Has(to)) {
					t.Errorf("%v.Allows(%v, %v) = %v", e, from, to, got)
				}
			}
		}
	}
	if EventType(200).Allows(StateReady, StateRunning) {
		t.Error("an unknown event allows something")
	}
}

// What a person may do must be a transition that the table allows from each of the action's states.
func TestActionsAreTransitions(t *testing.T) {
	for a := ActRetry; a <= ActDelete; a++ {
		if extra := a.From() &^ a.Event().From(); extra != 0 {
			t.Errorf("%v may start from %v, which its transition does not allow", a, extra)
		}
		if n := a.Event().To().Len(); n > 1 || (n == 0) != (a == ActDelete) {
			t.Errorf("%v leads to %d states", a, n)
		}
		if back, err := ParseAction(a.String()); err != nil || back != a {
			t.Errorf("ParseAction(%q) = %v, %v", a, back, err)
		}
	}
	if _, err := ParseAction("explode"); err == nil || !strings.Contains(err.Error(), "retry, run, cancel, discard, delete") {
		t.Errorf("an unknown action: %v", err)
	}
}

func TestOutcomesAreTransitions(t *testing.T) {
	for k := OutcomeSucceeded; k <= OutcomeSwept; k++ {
		if !k.Event().Allows(StateRunning, k.To()) {
			t.Errorf("%v leads from running to %v, which the table does not allow", k, k.To())
		}
		text, err := k.MarshalText()
		var back OutcomeKind
		if err != nil || back.UnmarshalText(text) != nil || back != k {
			t.Errorf("%v does not come back from its text %q", k, text)
		}
	}
}

func TestStateTexts(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range AllStates.List() {
		text, err := s.MarshalText()
		var back State
		if err != nil || back.UnmarshalText(text) != nil || back != s || seen[string(text)] {
			t.Errorf("%v does not come back from its text %q", s, text)
		}
		seen[string(text)] = true
		if n := btoi(s.Waiting()) + btoi(s == StateRunning) + btoi(s.Final()); n != 1 {
			t.Errorf("%v is in %d of waiting, running, final", s, n)
		}
		if s.Live() == s.Final() {
			t.Errorf("%v is live and final, or neither", s)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d states, want 8", len(seen))
	}
	if _, err := State(0).MarshalText(); err == nil {
		t.Error("the zero state has a text")
	}
	if _, err := ParseState("Ready"); err == nil || !strings.Contains(err.Error(), "scheduled, blocked, ready") {
		t.Errorf("a wrong state: %v", err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
