package bulk

import (
	"fmt"
	"strings"

	"github.com/gobellhop/bellhop"
)

// Narrow returns the filter with the states in which the action means something. Where a filter names no states, a retry means
// dead jobs: those that succeeded would do their work twice. Jobs that are named one by one are retried whatever their end.
//
// The error says that the filter's states and the action's have nothing in common, or that the filter selects every job.
func Narrow(action bellhop.Action, f bellhop.Filter) (bellhop.Filter, error) {
	if !action.Valid() {
		return f, fmt.Errorf("bulk: the action %v is unknown", action)
	}
	if f.IsZero() {
		return f, fmt.Errorf("bulk: an empty filter would select every job: choose at least a state, a queue or a kind")
	}
	switch wanted := f.States; {
	case wanted == 0 && action == bellhop.ActRetry && len(f.IDs) == 0:
		f.States = bellhop.States(bellhop.StateDead)
	case wanted == 0:
		f.States = action.From()
	default:
		if f.States &= action.From(); f.States == 0 {
			return f, fmt.Errorf("bulk: %s means nothing for jobs that are %s: it is for jobs that are %s", action, orList(wanted), orList(action.From()))
		}
	}
	return f, nil
}

func orList(set bellhop.StateSet) string { return strings.ReplaceAll(set.String(), "|", ", ") }
