package observe_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/observe"
)

func TestCount(t *testing.T) {
	for name, c := range map[string]struct {
		event bellhop.Event
		want  observe.Counted
	}{
		"enqueued":            {bellhop.Event{Kind: "k", Type: bellhop.EventEnqueued}, observe.Counted{What: observe.Enqueued}},
		"ended":               {bellhop.Event{Kind: "k", Type: bellhop.EventDied, Claim: 3, Took: time.Second}, observe.Counted{What: observe.Ended, Outcome: "dead", Ran: true}},
		"ended before it ran": {bellhop.Event{Kind: "k", Type: bellhop.EventHandedBack, Claim: 3}, observe.Counted{What: observe.Ended, Outcome: "handed_back"}},
		"lost":                {bellhop.Event{Kind: "k", Type: bellhop.EventSucceeded, Claim: 3, Took: time.Second, Stale: true}, observe.Counted{What: observe.Lost}},
		"claimed":             {bellhop.Event{Kind: "k", Type: bellhop.EventClaimed, Claim: 3}, observe.Counted{}},
		"promoted":            {bellhop.Event{Kind: "k", Type: bellhop.EventPromoted}, observe.Counted{}},
		"by a person":         {bellhop.Event{Type: bellhop.EventCancelled}, observe.Counted{}},
		"by one who names it": {bellhop.Event{Kind: "k", Type: bellhop.EventCancelled}, observe.Counted{}},
	} {
		if got := observe.Count(c.event); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestNoEndIsForgotten finds a way to end an attempt that was added to the transitions and has no name here.
func TestNoEndIsForgotten(t *testing.T) {
	for e := bellhop.EventEnqueued; e <= bellhop.EventDeleted; e++ {
		ends := e.From().Has(bellhop.StateRunning)
		got := observe.Count(bellhop.Event{Kind: "k", Type: e, Claim: 1})
		if ended := got.What == observe.Ended && got.Outcome != ""; ended != ends {
			t.Errorf("%s: ends an attempt: %v, counted as %+v", e, ends, got)
		}
	}
}
