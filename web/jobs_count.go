package web

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/reach"
)

// countWithin is how long the tabs' counts may take together.
const countWithin = 3 * time.Second

// countOnFor is how long a page goes on counting jobs that a person is about to act on.
const countOnFor = 250 * time.Millisecond

// stateCount is how many jobs of one state match a filter.
type stateCount struct {
	bellhop.Tally
	Text string `json:"text"` // for people: "1,204", "10,000+"; empty if it is not known whether there is one
}

// jobCounts answers how many jobs of each state match the filter, counted no further than [countedTo] and not for long: a list
// is shown at once, and asks for these afterwards.
func (s *Server) jobCounts(v *view) error {
	r := v.readFilter()
	if len(r.Problems) > 0 {
		return badInput("%s: %s", r.Problems[0].Name, r.Problems[0].Text)
	}
	within := countWithin
	if r.Filter.ByArgs() || r.Filter.ByFailure() { // what is judged job by job is worth less
		within /= 3
	}
	ctx, cancel := context.WithTimeout(v.Context(), within)
	defer cancel()
	counts := map[string]stateCount{}
	for state := bellhop.StateScheduled; state <= bellhop.StateDead; state++ {
		f := r.Filter
		f.States = bellhop.States(state)
		t, ok, err := s.tally(v, ctx, f)
		// A driver may see that the time is over a moment before the context does.
		if end, _ := ctx.Deadline(); err != nil && time.Until(end) < 50*time.Millisecond && v.Context().Err() == nil {
			break // the tabs go without
		}
		if err != nil {
			return err
		}
		if ok {
			counts[state.String()] = t
		}
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(counts)
}

// tally counts what the viewer may see of a filter; false if that is nothing, whatever the store has.
func (s *Server) tally(v *view, ctx context.Context, f bellhop.Filter) (stateCount, bool, error) {
	narrow, some, err := reach.Look(v.viewer, f)
	if err != nil || !some {
		return stateCount{Text: "0"}, false, err
	}
	t, err := s.client.Tally(ctx, narrow, countedTo)
	if err != nil {
		return stateCount{}, false, err
	}
	return stateCount{t, tabText(t)}, true, nil
}

// tabText writes a count where none is better than one that tells nothing: none was found among the jobs that were looked at.
func tabText(t bellhop.Tally) string {
	if t.Count == 0 && t.More {
		return ""
	}
	return tallyText(t)
}

// tallyText writes a count and what it is worth.
func tallyText(t bellhop.Tally) string {
	text, _ := number(t.Count) // an int is a number
	if t.More {
		text += "+"
	}
	return text
}
